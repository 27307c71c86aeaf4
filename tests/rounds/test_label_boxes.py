"""Which boxes the points of a round have."""

import dataclasses

import numpy as np

from cellrec_jax.data import arrays, sets
from cellrec_jax.data.example import ExampleSpec
from cellrec_jax.data.record import Record
from cellrec_jax.rounds import label_boxes, relabel
from cellrec_jax.rounds.labels import ImageLabels

CELLS = np.array([[10, 10], [10, 30], [30, 20]], np.float32)
BOXES = np.array([[4, 6, 16, 14], [2, 20, 18, 40], [20, 8, 40, 32]], np.float32)


def _record() -> Record:
    image = np.zeros((48, 60, 3), np.uint8)
    source = arrays.from_arrays([image], [CELLS], boxes_yxyx=[BOXES])
    return source.load(source.image_ids[0])


def _labels(points, origins) -> ImageLabels:
    number = len(points)
    return ImageLabels(
        np.array(points, np.float32).reshape(-1, 2),
        tuple(origins),
        np.zeros(number, np.int32),
        np.zeros(number, np.float32),
    )


def test_given_cells_keep_their_boxes_and_others_have_the_median_size():
    """Of 12 x 8 and 20 x 24 px: 16 x 16 px."""
    taken = ("given", "pseudo_positive", "given", "pseudo_negative")
    labels = _labels([[10.01, 10], [20, 50], [30, 20], [10, 30]], taken)
    found = label_boxes.of(_record(), labels, 32.0)
    around = [[12, 42, 28, 58], [2, 22, 18, 38]]
    np.testing.assert_array_equal(found, [BOXES[0], around[0], BOXES[2], around[1]])
    assert found.dtype == np.float32


def test_without_a_given_cell_boxes_are_squares():
    """One that a person added, at no cell, is none."""
    labels = _labels([[20, 50], [40, 50]], ("pseudo_positive", "given"))
    found = label_boxes.of(_record(), labels, 8.0)
    np.testing.assert_array_equal(found, [[16, 46, 24, 54], [36, 46, 44, 54]])
    assert label_boxes.of(_record(), _labels([], ()), 8.0).shape == (0, 4)


def test_points_alone_have_no_boxes():
    record = dataclasses.replace(_record(), boxes_yxyx=None)
    labels = _labels([[10, 10]], ("given",))
    assert label_boxes.of(record, labels, 8.0) is None


def test_training_on_given_labels_sees_the_boxes_of_the_set():
    image = np.zeros((48, 60, 3), np.uint8)
    source = arrays.from_arrays([image], [CELLS], boxes_yxyx=[BOXES])
    spec = ExampleSpec(size_hw=(48, 60), max_cells=8)
    split = sets.Split(source, source.image_ids, spec)
    (image_id,) = source.image_ids
    labels = {image_id: _labels(CELLS[[2, 0]], ("given", "given"))}
    images = sets.load_train(relabel.with_labels(split, labels)).images
    kept = images.boxes_yxyx[0][images.points_mask[0]]
    np.testing.assert_array_equal(kept, BOXES[[2, 0]])
