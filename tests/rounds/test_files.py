"""Files of rounds: what is written is read, edited labels are noticed."""

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data import arrays, sets
from cellrec_jax.data.example import ExampleSpec
from cellrec_jax.rounds import files as round_files
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds.candidates import Candidates
from cellrec_jax.rounds.files import RoundFiles

SIZES = {"a": (40, 60), "b": (40, 60)}
POINTS = np.array([[3.5, 50.25], [39.0, 2.0]], np.float32)
LABELS = {"a": round_labels.given(POINTS), "b": round_labels.given(POINTS[:0])}


def test_the_latest_labels_are_those_to_go_on_from(tmp_path):
    files = RoundFiles(tmp_path, SIZES)
    assert files.latest(5) == 0
    for number in (0, 1):
        files.write_labels(number, LABELS)
    assert files.latest(5) == files.latest(1) == 1
    assert files.latest(0) == 0  # a run with fewer rounds


def test_labels_come_back_and_edits_before_a_round_count(tmp_path):
    files = RoundFiles(tmp_path, SIZES)
    files.write_labels(1, LABELS)
    files.write_labels(1, {**LABELS, "b": round_labels.given(POINTS[1:])})
    found = files.read_labels(1)
    np.testing.assert_array_equal(found["a"].points_yx, POINTS)
    np.testing.assert_array_equal(found["b"].points_yx, POINTS[1:])


def test_edits_after_a_round_began_are_refused(tmp_path):
    files = RoundFiles(tmp_path, SIZES)
    files.write_labels(1, LABELS)
    files.read_labels(1)
    files.write_labels(1, {**LABELS, "b": round_labels.given(POINTS)})
    with pytest.raises(errors.ConfigError, match=r"2 labels were added.*rounds/1"):
        files.read_labels(1)


def test_edits_of_any_round_that_began_are_refused(tmp_path):
    files = RoundFiles(tmp_path, SIZES)
    for number in (0, 1, 10):
        files.write_labels(number, LABELS)
        files.read_labels(number)
    files.write_labels(2, LABELS)  # not begun: may be edited
    path = files.labels_path(1)
    path.write_bytes(path.read_bytes() + b"\n")  # the same labels, other bytes
    round_files.refuse_edits(tmp_path)
    files.write_labels(0, {**LABELS, "b": round_labels.given(POINTS)})
    round_files.refuse_edits(tmp_path, 1)
    with pytest.raises(errors.ConfigError, match=r"round_0.*delete rounds/0, labels/"):
        round_files.refuse_edits(tmp_path)
    files.labels_path(0).unlink()  # to have them selected anew
    round_files.refuse_edits(tmp_path)


def test_labels_that_mark_no_cell_are_refused_and_can_be_mended(tmp_path):
    files = RoundFiles(tmp_path, SIZES)
    nothing = round_labels.given(POINTS[:0])
    background = round_labels.ImageLabels(
        POINTS,
        (round_labels.NEGATIVE,) * 2,
        np.ones(2, np.int32),
        np.zeros(2, np.float32),
    )
    for odd in (nothing, background):
        files.write_labels(1, {"a": odd, "b": nothing})
        with pytest.raises(errors.DataError, match=r"round_1.json: no label marks a"):
            files.read_labels(1)
    files.write_labels(1, LABELS)
    assert files.read_labels(1).keys() == LABELS.keys()


def test_candidates_and_summaries_come_back(tmp_path):
    files = RoundFiles(tmp_path, SIZES)
    assert files.read_candidates(0) is None
    written = Candidates(
        np.array([0, 1], np.int32), POINTS, np.array([0.5, 1.0], np.float32)
    )
    files.write_candidates(0, written)
    for ours, theirs in zip(written, files.read_candidates(0), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    files.write_summary(0, {"round": 0})
    files.write_summary(2, {"round": 2})  # 1 is missing: nothing after it counts
    assert files.read_summaries() == [{"round": 0}]


def test_given_labels_are_those_that_training_keeps():
    """At half size, the point at the far edge still lies inside the file's image."""
    image = np.zeros((40, 60, 1), np.uint8)
    points = np.array([[39.999, 59.999], [10.0, 20.0], [5.0, 5.0]], np.float32)
    source = arrays.from_arrays([image], [points])
    spec = ExampleSpec(size_hw=(20, 30), max_cells=8, keep_rate=0.6)
    train = sets.Split(source, source.image_ids, spec)
    whole = sets.load_eval(train._replace(spec=ExampleSpec((20, 30), training=False)))
    (labels,) = round_files.given_labels(train, whole).values()
    assert labels.origins == ("given", "given")  # ceil(0.6 * 3)
    for point in labels.points_yx:
        assert np.abs(points - point).max(axis=1).min() < 1e-2
        assert (point < [40, 60]).all()
