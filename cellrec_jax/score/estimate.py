"""One score of some units: value and interval, plain and corrected."""

from typing import NamedTuple

import numpy as np

from cellrec_jax.score import correct, intervals, units
from cellrec_jax.score.correct import Mistakes, Solver
from cellrec_jax.score.definitions import Score
from cellrec_jax.score.intervals import Interval


class Measured(NamedTuple):
    """A score, plain or corrected."""

    value: float | None
    low: float | None
    """95 % interval, see `intervals`."""
    high: float | None
    numerator: float
    denominator: float | None
    """Cells, or mm2."""


class Correction(NamedTuple):
    """Annotated fields, and draws of them."""

    mistakes: Mistakes
    drawn: Solver


def correction(mistakes: Mistakes) -> Correction:
    """Draws annotated fields again."""
    return Correction(mistakes, correct.draw(mistakes))


def _measured(
    score: Score, counts: np.ndarray, area_mm2: np.ndarray, interval: Interval
) -> Measured:
    """A score of the first row of counts [S, K] and areas [S]."""
    value = float(score.value(counts[:1], area_mm2[:1])[0])
    above, below = (float(line[0]) for line in score.lines(counts[:1], area_mm2[:1]))
    if not np.isfinite(value):
        interval = (None, None)
    return Measured(
        value if np.isfinite(value) else None,
        *interval,
        above,
        below if np.isfinite(below) else None,
    )


def _num_units(score: Score, own: units.Units) -> float:
    """How many parts count, by what stands below the line."""
    return intervals.num_effective(score.lines(own.counts, own.areas_mm2)[1])


def plain(
    score: Score, own: units.Units, counts: np.ndarray, areas: np.ndarray
) -> Measured:
    """A score of units, of their draws: counts [S, K] and areas [S], the first all."""
    above, below = score.lines(counts[:1], areas[:1])
    drawn = score.value(counts, areas)
    interval = intervals.interval(drawn[1:], _num_units(score, own))
    cells = intervals.of_cells(score, float(above[0]), float(below[0]))
    return _measured(score, counts, areas, intervals.wider(interval, cells))


def corrected_draws(counts: np.ndarray, by: Correction) -> tuple[np.ndarray, ...]:
    """Corrected counts [S, K]: draws of both, of images alone, of fields alone."""
    num = min(len(counts), len(by.drawn.shares))
    first = slice(0, 1)
    return (
        correct.corrected(counts[:num], correct.only(by.drawn, slice(0, num))),
        correct.corrected(counts, correct.only(by.drawn, first)),
        correct.corrected(counts[first], by.drawn),
    )


def mended(
    score: Score,
    own: units.Units,
    found: Measured,
    counts: np.ndarray,
    shifted: tuple[np.ndarray, ...],
    areas: np.ndarray,
    by: Correction,
) -> Measured:
    """The score corrected; `found` is the plain one, `shifted` of `corrected_draws`."""
    both, images, fields = shifted
    parts = by.mistakes.counts
    cells = parts[:, :-1].sum(axis=(1, 2))
    numbers = (_num_units(score, own), intervals.num_effective(cells))
    alone = np.full(len(fields), areas[0])
    spread = (score.value(images, areas), score.value(fields, alone))
    num = correct.num_units([one[1:] for one in spread], numbers)
    drawn = score.value(both, areas[: len(both)])
    interval = intervals.interval(drawn[1:], num)
    ends = _of_cells(score, found, counts, areas, by)
    return _measured(score, both, areas, intervals.wider(interval, ends))


def _of_cells(
    score: Score,
    found: Measured,
    counts: np.ndarray,
    areas: np.ndarray,
    by: Correction,
) -> Interval:
    """Ends of `intervals.of_cells`, corrected: of few cells other draws say little."""
    below = found.denominator
    if not below or not (score.is_share or score.is_density):
        return None, None
    is_above = np.array(score.above) > 0
    rest = (np.array(score.below) > 0) & ~is_above
    values = []
    for end in intervals.of_cells(score, found.numerator, below):
        if end is None:
            return None, None
        moved = counts.copy()
        _set_sum(moved, is_above, end * below)
        if score.is_share:
            _set_sum(moved, rest, (1 - end) * below)
        first = correct.only(by.drawn, slice(0, 1))
        mended = correct.corrected(moved[None], first)
        values.append(float(score.value(mended, areas[:1])[0]))
    if not np.isfinite(values).all():
        return None, None
    return min(values), max(values)


def _set_sum(counts: np.ndarray, chosen: np.ndarray, total: float) -> None:
    """Scales some counts [K], in place, to a sum; equal ones if they are all 0."""
    before = counts[chosen].sum()
    if before > 0:
        counts[chosen] *= total / before
    else:
        counts[chosen] = total / chosen.sum()
