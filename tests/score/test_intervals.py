"""Intervals: by hand, by slow references, and how often they hold."""

import numpy as np
import pytest
from scipy import stats

from cellrec_jax.metrics import samples
from cellrec_jax.score import definitions, intervals

INDEX, CPS = (
    next(one for one in definitions.find(names) if one.name == name)
    for name, names in (
        ("positive_index", ("positive", "negative")),
        ("CPS", ("tumor pos", "tumor neg", "immune pos")),
    )
)
DENSITY = definitions.find(("cell",))[0]


def test_totals_are_sums_of_drawn_units(monkeypatch):
    parts = np.arange(12.0).reshape(4, 3)
    drawn = intervals.totals(parts, seed=3, num_draws=50)
    weights = samples.draw(4, 50, 3)
    np.testing.assert_array_equal(drawn, weights @ parts)
    assert drawn.shape == (51, 3)
    assert intervals.totals(parts[:1], num_draws=50).shape == (1, 3)
    monkeypatch.setattr(intervals, "_BLOCK", 40)
    pieces = intervals.totals(parts, seed=3, num_draws=50)
    assert pieces.shape == (51, 3)
    np.testing.assert_array_equal(pieces[0], parts.sum(0))
    assert len(np.unique(pieces[1:, 0])) > 10


def test_expanded_percentiles_by_hand():
    drawn = np.linspace(0.0, 1.0, 1001)
    # Of 9 units: t of 8 degrees is 2.306, times sqrt(9 / 8) 2.4459: a tail of 0.00722.
    low, high = intervals.interval(drawn, 9)
    assert (low, high) == pytest.approx((0.00722, 1 - 0.00722), abs=2e-5)
    low, high = intervals.interval(drawn, 1e7)
    assert (low, high) == pytest.approx((0.025, 0.975), abs=1e-5)
    assert intervals.interval(drawn, 1.5) == (None, None)
    assert intervals.interval(drawn[:0], 9) == (None, None)
    few = np.where(np.arange(1001) % 10, drawn, np.nan)
    assert intervals.interval(few, 9) == (None, None)


def test_units_that_count():
    assert intervals.num_effective(np.array([5.0, 5, 5, 5])) == 4
    assert intervals.num_effective(np.array([4.0, 0, 0])) == 1
    assert intervals.num_effective(np.zeros(3)) == 0


def test_intervals_of_independent_cells():
    assert intervals.of_cells(INDEX, 8, 10) == samples.wilson(8, 10)
    low, high = intervals.of_cells(DENSITY, 10, 2.0)
    assert low == pytest.approx(stats.chi2.ppf(0.025, 20) / 2 / 2)
    assert high == pytest.approx(stats.chi2.ppf(0.975, 22) / 2 / 2)
    assert intervals.of_cells(DENSITY, 0, 2.0) == pytest.approx(
        (0, 3.6889 / 2), rel=1e-4
    )
    assert intervals.of_cells(CPS, 99, 100)[1] == 100
    assert intervals.of_cells(INDEX, 0, 0) == (None, None)
    h_score = definitions.find(("0", "1+", "2+", "3+"))[1]
    assert h_score.name == "H_score"
    assert intervals.of_cells(h_score, 10, 20) == (None, None)


def test_the_wider_of_two():
    assert intervals.wider((1.0, 2.0), (0.5, 1.5)) == (0.5, 2.0)
    assert intervals.wider((1.0, 2.0), (None, None)) == (1.0, 2.0)
    assert intervals.wider((None, None), (None, None)) == (None, None)
