"""What is said of a round: hand-worked purity, lines, and figures that exist."""

import numpy as np

from cellrec_jax.data import arrays, sets
from cellrec_jax.data.example import ExampleSpec
from cellrec_jax.io import round_labels
from cellrec_jax.methods.pseudo_candidates import Candidates
from cellrec_jax.train import round_report
from cellrec_jax.train.round_files import RoundFiles

CELLS = [np.array([[10, 10], [10, 30]], np.float32), np.array([[20, 20]], np.float32)]
PEAKS = Candidates(
    np.array([0, 0, 0, 1, 1], np.int32),
    np.array([[11, 10], [12, 10], [30, 40], [20, 24], [5, 5]], np.float32),
    np.ones(5, np.float32),
)


def _eval_set() -> sets.EvalSet:
    images = [np.zeros((40, 60, 1), np.uint8)] * 2
    source = arrays.from_arrays(images, CELLS)
    spec = ExampleSpec(size_hw=(40, 60), max_cells=8, training=False)
    found = sets.load_eval(sets.Split(source, source.image_ids, spec))
    assert found is not None
    return found


def test_purity_counts_a_cell_once():
    """Two peaks at the first cell are one cell; the fourth lies 4 px off its own."""
    index = np.arange(5)
    eval_set = _eval_set()
    cells = round_report.purity(PEAKS, index, eval_set, 3.0, cells=True)
    assert cells == 1 / 5
    assert round_report.purity(PEAKS, index, eval_set, 5.0, cells=True) == 2 / 5
    assert round_report.purity(PEAKS, index, eval_set, 5.0, cells=False) == 3 / 5
    nothing = np.zeros(0, np.int64)
    assert round_report.purity(PEAKS, nothing, eval_set, 5.0, cells=True) is None


def test_lines_name_what_was_found():
    summary = {
        "round": 1,
        "peaks_unlabeled": 40,
        "train": {"precision": 0.5, "recall": 1.0, "F1": None},
        "selected": {
            "positive": 2,
            "negative": 0,
            "positive_purity": 0.5,
            "negative_purity": None,
        },
        "notes": ["too few"],
    }
    assert round_report.lines(summary) == [
        "round 1, train images: precision 0.500, recall 1.000, F1 undefined",
        "round 1: selected 2 as cells (50 % right) and 0 as background of 40 "
        "unlabelled peaks",
        "note: too few",
    ]


def test_label_line_counts_origins():
    labels = {
        "a": round_labels.given(CELLS[0]),
        "b": round_labels.given(CELLS[1])._replace(origins=("pseudo_negative",)),
    }
    assert round_report.label_line(1, 2, labels) == (
        "round 1 of 2: training on 2 given, 0 pseudo-positive, 1 pseudo-negative labels"
    )


def test_rounds_are_drawn_whatever_is_undefined(tmp_path):
    files = RoundFiles(tmp_path, {})
    undefined = {"precision": None, "recall": 0.0, "F1": None}
    summaries = [{"round": 0, "train": undefined}, {"round": 1, "train": undefined}]
    round_report.draw_rounds(files, summaries)
    assert (tmp_path / "figures" / "rounds.png").stat().st_size > 1000
