"""What a model finds becomes labels."""

import numpy as np
import pytest

from cellrec_jax.adapt import labels
from cellrec_jax.cells import Cells
from cellrec_jax.data.annotations import qupath

DECODE = {"thresholds": [0.4, 0.6], "min_distance": 4.0}


def _cells(rows: list[tuple[float, float, float, int]]) -> Cells:
    y, x, score, label = np.array(rows, np.float32).T
    return Cells(
        np.stack([y, x], 1),
        score,
        label.astype(np.int32),
        np.eye(2, dtype=np.float32)[label.astype(int)],
        class_names=("negative", "positive"),
    )


def test_cells_are_labels_or_left_out_by_their_own_class():
    found = _cells(
        [
            (10, 10, 0.9, 1),
            (12, 10, 0.8, 0),  # nearer than 4 px to a better one
            (30, 30, 0.5, 1),  # below 0.6
            (40, 30, 0.5, 0),  # above 0.4
        ]
    )
    read = labels.of(found, DECODE)
    assert read.points_yx.tolist() == [[10, 10], [40, 30]]
    assert read.names == ("positive", "negative")
    np.testing.assert_allclose(read.trust, [0.9, 0.5], atol=1e-6)


def test_a_score_of_1_is_no_given_cell():
    read = labels.of(_cells([(1, 1, 1.0, 0), (9, 9, 0.39, 0)]), DECODE)
    assert read.trust.tolist() == [0.99]


def test_agreement_counts_cells_of_any_class():
    one = labels.of(_cells([(10, 10, 0.9, 1), (30, 30, 0.9, 0)]), DECODE)
    other = labels.of(
        _cells([(10, 13, 0.9, 0), (80, 80, 0.9, 0), (30, 30, 0.3, 0)]), DECODE
    )
    # One pair of two and two cells; the third of `other` is below its threshold.
    assert labels.agreement([one], [other], 5.0) == pytest.approx(2 * 1 / 4)
    assert labels.agreement([one], [other], 2.0) == 0.0
    assert labels.agreement([], [], 2.0) == 1.0


def test_what_is_written_is_read_with_its_trust(tmp_path):
    read = labels.of(_cells([(10, 10, 0.9, 1), (30, 30, 0.7, 1)]), DECODE)
    labels.write(tmp_path, "a", read)
    back = qupath.parse(tmp_path / "a.geojson")
    order = np.argsort(back.points_yx[:, 0])
    np.testing.assert_allclose(back.points_yx[order], read.points_yx)
    np.testing.assert_allclose(back.trust[order], [0.9, 0.7], atol=1e-6)
    assert back.names == ("positive", "positive")
