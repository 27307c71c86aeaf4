"""What is said of scores."""

import numpy as np
import pytest

from cellrec_jax.score import definitions, measure, text
from cellrec_jax.score.sheets import Results, Sheet
from tests.score import simulated

SCORES = definitions.find(simulated.NAMES)


def test_what_is_said_of_one_slide():
    found = simulated.results_of(simulated.spotted("a", 0, 0.2))
    rows = measure.rows(found, SCORES, 1.0, simulated.correction())
    said = text.lines(found, SCORES, rows)
    index = rows[0].plain
    share = f"positive index: {100 * index.value:.1f} % ["
    assert said[0].startswith(share)
    assert f"{index.numerator:.0f} of 1300 cells" in said[0]
    assert said[0].endswith(f", 95 % interval of {rows[0].units}")
    assert said[1].startswith(f"  corrected: {100 * rows[0].corrected.value:.1f} % [")
    assert any("hot spot of 1 mm2" in line for line in said)
    assert any("the highest of many" in line for line in said)
    assert "1 slide, 16 mm2 analysed, 0.5 um per px (--mpp), 3 tiles left out" in said
    assert said[-1] == "research use only: not for diagnosis"


def test_what_is_said_of_several():
    found = simulated.results_of(
        simulated.spotted("a", 0, 0.2), simulated.spotted("b", 1, 0.4), c="damaged"
    )
    said = text.lines(found, SCORES, measure.rows(found, SCORES))
    assert "2600 cells" in said[0]
    (spot,) = (line for line in said if "hot spot" in line)
    assert spot.endswith(", in b")
    assert "warning: 1 slides are left out, they failed: c" in said


def test_what_is_said_without_pixel_size_or_cells():
    nothing = Sheet("a", np.zeros((0, 2)), np.zeros(0, int), (20, 30))
    found = Results((nothing,), simulated.NAMES, "images", {}, {})
    said = text.lines(found, SCORES, measure.rows(found, SCORES))
    assert said[0] == "positive index: undefined, no such cells"
    assert said[1] == "per mm2, positive: 0 cells"
    assert any("pixel size unknown" in line for line in said)
    assert any(line.startswith("no hot spot") for line in said)
    assert not any("the highest of many" in line for line in said)
    assert any("0 cells, fewer than the 500" in line for line in said)
    assert any("not of what the model gets wrong" in line for line in said)


def test_corrected_counts_without_pixel_size():
    """A fifth of 100 positive cells is missed, so that 100 found stand for 125."""
    labels = np.repeat([0, 1], [100, 20])
    points_yx = np.random.default_rng(0).uniform(0, 99, (120, 2))
    found = Results(
        (Sheet("a", points_yx, labels, (99, 99)),), simulated.NAMES, "images", {}, {}
    )
    rows = measure.rows(found, SCORES, 1.0, simulated.correction())
    said = text.lines(found, SCORES, rows)
    assert said[2:4] == ["per mm2, positive: 100 cells", "  corrected: 125 cells"]
    assert not any("--calibrate" in line for line in said)


@pytest.mark.parametrize(
    ("class_names", "counts", "expected"),
    [
        (("0", "1+", "2+", "3+"), (40, 20, 30, 10), "grades sum up to 110, 100 cells"),
        (("tumor pos", "tumor neg", "immune pos"), (20, 60, 4), "24 over 80 cells"),
        (("mitosis",), (7,), "mitoses per mm2: 7 ["),
    ],
)
def test_how_scores_are_said(class_names, counts, expected):
    labels = np.repeat(np.arange(len(counts)), counts)
    points_yx = np.random.default_rng(0).uniform(0, 1000, (len(labels), 2))
    one = Sheet("a", points_yx, labels, (1000, 1000), 1.0, 1.0)
    found = Results((one,), class_names, "images", {}, {})
    scores = definitions.find(class_names)
    said = text.lines(found, scores, measure.rows(found, scores))
    assert any(expected in line for line in said), said
