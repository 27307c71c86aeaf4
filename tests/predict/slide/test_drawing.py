import numpy as np

from cellrec_jax.predict.slide import drawing
from cellrec_jax.predict.slide.tissue import Mask


def test_the_edge_of_what_was_analysed_is_outlined():
    """Two px wide, inside, on px of half the size of the mask's; not at the border."""
    inside = np.zeros((20, 30), bool)
    inside[5:20, 10:20] = True
    canvas = np.full((40, 60, 3), 240, np.uint8)
    points_yx = drawing.add_outline(canvas, Mask(inside, (8.0, 8.0)), (4.0, 4.0))
    expected = np.zeros((40, 60), bool)
    expected[10:40, 20:40] = True
    expected[12:40, 22:38] = False
    np.testing.assert_array_equal(canvas[..., 0] < 100, expected)
    assert len(points_yx)
    assert np.all((points_yx >= (10, 20)) & (points_yx < (40, 40)))


def test_outlines_are_light_on_dark_slides():
    canvas = np.full((40, 60, 3), 9, np.uint8)
    inside = np.zeros((40, 60), bool)
    inside[10:30, 20:40] = True
    drawing.add_outline(canvas, Mask(inside, (1.0, 1.0)), (1.0, 1.0))
    assert canvas[10, 20].min() > 200


def test_a_legend_lies_where_nothing_was_analysed():
    canvas = np.full((400, 400, 3), 240, np.uint8)
    points_yx = np.stack(np.meshgrid(*[np.arange(0, 400, 8)] * 2), -1).reshape(-1, 2)
    points_yx = points_yx[(points_yx < 200).any(axis=1)]  # all but the last corner
    colors = [(200, 50, 50), (90, 90, 180)]
    picture = drawing.with_legend(canvas, ["a", "b"], [3, 4], colors, points_yx)
    changed = np.argwhere((np.asarray(picture) != 240).any(axis=-1))
    assert changed.min() >= 200
    for color in colors:
        assert (np.asarray(picture)[200:, 200:] == color).all(axis=-1).any()
