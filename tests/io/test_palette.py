from cellrec_jax.io import palette


def test_colors_are_bytes_and_distinct():
    colors = palette.class_colors(8)
    assert len(set(colors)) == 8
    assert all(0 <= value <= 255 for color in colors for value in color)
    assert palette.class_colors(10)[8] == colors[0]
    assert palette.class_colors(0) == ()


def test_signs_choose_the_colour():
    colors = palette.class_colors(9, positive=[1, 3], negative=[0])
    assert (colors[0], colors[1]) == ((0, 90, 220), (225, 30, 40))
    assert palette.class_colors(2, positive=[0], negative=[1]) == (colors[1], colors[0])
    assert len(set(colors)) == 9


def test_classes_of_qupath_have_its_colours_and_others_their_own():
    names = ["Positive", "tumor", "Tumor: Negative", "Stroma:3+", "mitosis", "Ignore*"]
    own = tuple((number, 0, 0) for number in range(6))
    assert palette.qupath_colors(names, own) == (
        (200, 50, 50),
        (200, 0, 0),
        (90, 90, 180),
        (200, 50, 50),
        (4, 0, 0),
        (180, 180, 180),
    )
    assert palette.qupath_colors(names)[4] == palette.class_colors(6)[4]
