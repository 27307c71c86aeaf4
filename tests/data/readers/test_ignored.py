import numpy as np

from cellrec_jax.data.readers.ignored import ignore_boxes


def test_every_touched_pixel_is_ignored_even_by_inverted_boxes() -> None:
    boxes = np.array([[0.5, 1.0, 2.0, 2.2], [1.0, 4.5, -9.0, 99.0]])
    ignore = ignore_boxes(boxes, (3, 6))
    assert ignore is not None
    np.testing.assert_array_equal(
        ignore.astype(int), [[0, 1, 1, 0, 1, 1], [0, 1, 1, 0, 0, 0], [0] * 6]
    )


def test_no_box_ignores_nothing() -> None:
    assert ignore_boxes(np.zeros((0, 4)), (3, 6)) is None
