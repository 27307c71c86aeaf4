import numpy as np
from PIL import Image
import pytest

from cellrec_jax.io import overlay, palette

RED = np.array([230, 20, 20])
GREEN = np.array(palette.class_colors(1)[0])


def draw(*arguments, **options):
    return np.array(overlay.draw_overlay(*arguments, **options))


def blank(height=60, width=90):
    return np.full((height, width, 3), 200, np.uint8)


def where(image, color):
    """Rows and columns that hold a colour: (y0, x0, y1, x1), half open."""
    rows, columns = np.nonzero((image == color).all(axis=-1))
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


def no_points():
    return np.zeros((0, 2)), np.zeros(0)


def test_boxes_cover_their_pixels_in_red():
    image = blank()
    drawn = draw(
        image, *no_points(), true_boxes_yxyx=np.array([[5.0, 20.0, 25.0, 60.0]])
    )
    assert where(drawn, RED) == (5, 20, 25, 60)
    assert (drawn[5, 20:60] == RED).all()
    assert (drawn[10:20, 30:50] == 200).all()
    assert (image == 200).all()


def test_boxes_of_classes_have_their_colours():
    image = np.full((40, 80, 3), 255, np.uint8)
    boxes = np.array([[5.0, 10.0, 25.0, 30.0], [5.0, 50.0, 25.0, 70.0]])
    drawn = np.asarray(
        overlay.draw_overlay(
            image, *no_points(), true_boxes_yxyx=boxes, true_labels=np.array([1, 0])
        )
    )
    first, second = palette.class_colors(2)
    assert tuple(drawn[5, 15]) == second
    assert tuple(drawn[5, 55]) == first


def test_diamonds_are_green_and_centred():
    points_yx = np.array([[20.5, 60.5], [40.5, 20.5]])
    drawn = draw(blank(), points_yx, np.array([0.6, 0.59]))
    y0, x0, y1, x1 = where(drawn, GREEN)
    # Only the first is drawn, around the centre of pixel (20, 60), 7 px each way.
    np.testing.assert_allclose([(y0 + y1) / 2, (x0 + x1) / 2], [20.5, 60.5], atol=1)
    assert 14 <= y1 - y0 <= 18
    assert 14 <= x1 - x0 <= 18
    assert (drawn[20, 60] == 200).all()
    assert (drawn[15, 55] == 200).all()  # no corner: not a square


def test_labels_choose_the_colour():
    points_yx = np.array([[20.5, 60.5], [40.5, 20.5]])
    drawn = draw(
        blank(), points_yx, np.ones(2), labels=np.array([1, 0]), score_threshold=0.1
    )
    blue = palette.class_colors(2)[1]
    assert where(drawn, GREEN)[1] < 30
    assert where(drawn, blue)[1] > 45


def test_marks_outside_and_without_area_do_no_harm():
    drawn = draw(
        blank(1, 1),
        np.array([[-50.0, 900.0], [0.5, 0.5]]),
        np.ones(2),
        true_boxes_yxyx=np.array([[5.0, 5.0, 5.0, 5.0], [-90.0, -80.0, 70.0, 60.0]]),
    )
    assert drawn.shape == (1, 1, 3)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 4), (4, 5, 2)])
def test_other_images_are_refused(shape):
    with pytest.raises(ValueError, match="uint8"):
        draw(np.zeros(shape, np.uint8), *no_points())


@pytest.mark.parametrize("shape", [(4, 5, 3), (4, 5)])
def test_png_round_trip(tmp_path, rng, shape):
    image = rng.integers(0, 256, shape).astype(np.uint8)
    overlay.write_png(tmp_path / "new" / "a.png", image)
    np.testing.assert_array_equal(
        np.array(Image.open(tmp_path / "new" / "a.png")), image
    )


def test_the_legend_is_in_the_emptiest_corner():
    """Cells in all corners but the lower right one; a swatch of each class there."""
    points_yx = np.array([[10.0, 10.0], [10.0, 390.0], [290.0, 10.0]])
    plain = draw(blank(300, 400), points_yx, np.ones(3))
    drawn = draw(
        blank(300, 400),
        points_yx,
        np.ones(3),
        colors=(tuple(GREEN), (1, 2, 250)),
        legend=["one: 3", "two: 0"],
    )
    rows, columns = np.nonzero((drawn != plain).any(axis=-1))
    assert (rows.max(), columns.max()) == (299, 399)
    assert rows.min() > 200
    assert columns.min() > 200
    y0, x0, y1, x1 = where(drawn, (1, 2, 250))
    assert 6 <= y1 - y0 == x1 - x0 <= 12
    assert (drawn[y0 - 10, x0 + 2] == GREEN).all() or (
        drawn[y0 - 15, x0] == GREEN
    ).all()


def test_small_images_are_not_hidden_by_a_legend():
    drawn = draw(blank(20, 30), *no_points(), legend=["positive: 3"])
    assert (drawn == 200).all()


def test_given_colours_are_used():
    drawn = draw(blank(), np.array([[20.5, 60.5]]), np.ones(1), colors=((1, 2, 3),))
    assert (drawn == (1, 2, 3)).all(axis=-1).any()
