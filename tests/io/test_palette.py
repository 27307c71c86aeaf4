from cellrec_jax.io import palette


def test_colors_are_bytes_and_distinct():
    colors = palette.class_colors(8)
    assert len(set(colors)) == 8
    assert all(0 <= value <= 255 for color in colors for value in color)
    assert palette.class_colors(10)[8] == colors[0]
    assert palette.class_colors(0) == ()
