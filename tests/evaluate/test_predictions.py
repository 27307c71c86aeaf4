"""Detections come back in px of the image on disk, judged where annotations count."""

from collections import Counter
import dataclasses

import numpy as np
import pytest

from cellrec_jax.cells import Cells
from cellrec_jax.data import classes
from cellrec_jax.data.record import Record, Source
from cellrec_jax.evaluate import predictions
from cellrec_jax.predict.frame import Frame


def test_frames_and_regions(results):
    first, second = results
    np.testing.assert_allclose(first.true_points_yx, [[10.5, 20.5]], rtol=1e-5)
    np.testing.assert_allclose(
        first.pred_points_yx, [[10.5, 20.5], [30.5, 50.5], [35, 160 / 3]], rtol=1e-5
    )
    assert first.pred_ignored.tolist() == [False, True, True]
    box = [[6.5, 16.5, 14.5, 24.5]]
    np.testing.assert_allclose(first.true_boxes_yxyx, box, rtol=1e-5)
    np.testing.assert_allclose(first.pred_boxes_yxyx[:1], box, rtol=1e-5)
    assert second.pred_ignored.tolist() == [False, False]
    assert second.image_id == "b"


@pytest.mark.parametrize("batch", [2, 3])
def test_batches_change_nothing(scenes, network, results, batch):
    for one, other in zip(
        results, predictions.predict_set(network(batch), scenes), strict=True
    ):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_seconds_per_image_is_a_time(scenes, network):
    assert 0 < predictions.seconds_per_image(network(1), scenes[0]) < 10


def test_what_was_dropped_in_these_images_is_counted(split):
    repairs = split.source.repairs
    repairs["files without an image"] += 2
    repairs.count("a", {"points outside the image dropped": 3})
    repairs.count("c", {"points outside the image dropped": 5})
    assert predictions.dropped(split) == {
        "files without an image": 2,
        "points outside the image dropped": 3,
    }


def test_much_that_is_dropped_is_warned_of(results):
    """2 cells are left: of 3 a third, of 20 more than a tenth."""
    outside, left_out = "points outside the image dropped", classes.LEFT_OUT
    told = predictions.dropped_lines(Counter({outside: 1, left_out: 5}), results)
    assert "warning: 1 of 3 cells (33%) are dropped" in told[-1]
    assert "--config.data.ignore_classes" in told[-2]
    assert "5 cells" in told[-2]
    many = results[0]._replace(true_points_yx=np.zeros((20, 2), np.float32))
    assert len(predictions.dropped_lines(Counter({outside: 2}), [many])) == 1


def test_cells_in_ignored_regions_are_counted(scenes):
    assert [predictions.num_ignored(scene.key) for scene in scenes] == [1, 0]


def test_predicted_cells_are_ignored_and_deleted_ones_are_none(split):
    """Of a set of corrections: one is given, then a prediction and a deleted one."""
    points_yx = np.array([[10.5, 10.5], [20.5, 30.5], [30.5, 50.5]], np.float32)
    image, labels = np.zeros((40, 60, 3), np.uint8), np.zeros(3, np.int32)
    trust = np.array([1, 0.5, -1], np.float32)
    record = Record("a", image, points_yx, labels, mpp=0.25, trust=trust)
    source = Source("arrays", ("cell",), ("a",), {"a": record}.__getitem__)
    frame = Frame((40, 60), 0.25, (80, 90), "squeeze", 8.0, 1, "auto")
    of_one = split._replace(source=source, image_ids=("a",))
    (scene,) = predictions.scenes(of_one, frame)
    assert scene.key.points_yx.tolist() == [[10.5, 10.5]]
    assert scene.key.boxes_yxyx.tolist() == [[6.5, 6.5, 14.5, 14.5]]
    found = Cells(points_yx, np.ones(3), labels, np.ones((3, 1)))
    result = predictions.to_result(scene.key, found)
    assert result.pred_ignored.tolist() == [False, True, False]
    assert result.true_points_yx.tolist() == [[10.5, 10.5]]
    # A disc of `box_size` 8 px around the middle of pixel (20, 30).
    assert np.flatnonzero(~scene.key.valid[20]).tolist() == [*range(26, 35)]


def test_a_given_pixel_size_is_before_that_of_the_file(split):
    spec = dataclasses.replace(split.spec, mpp=0.5)
    frame = Frame((40, 60), 0.25, (80, 90), "squeeze", 8.0, 1, "auto")
    first = next(predictions.scenes(split._replace(spec=spec), frame))
    assert (first.key.mpp, first.ratio) == (0.5, 2.0)


def test_a_radius_that_reaches_neighbours_is_told(results):
    """Cells of 20 px distance; one alone has no neighbour."""
    points = np.array([[0, 0], [0, 20], [0, 40]], np.float32)
    near = results[0]._replace(true_points_yx=points)
    assert not predictions.radius_lines([near], 10.0)
    (line,) = predictions.radius_lines([near], 10.1)
    assert "20.0 px" in line
    assert line.endswith("such as 10")
    assert "--config.eval.radius_px" in line
    assert not predictions.radius_lines([near._replace(true_points_yx=points[:1])], 99)
