"""How many cells are left to choose, as labels tell that training does not see.

W labels are withheld, a random part of the cells that round 0 does not learn from. To
the detector, the classifier of peaks and the ranking each is a cell like any other of
these, at an unlabelled peak until it is chosen. So where withheld labels lie among the
unlabelled peaks, w of them in the first n of the ranking, there are about s w cells, a
share s w / n, and a fixed share of peaks need not become cells where few are left. What
is learnt from a peak that is chosen at a withheld label is nothing: its place is
ignored in every loss of the detector.

s, the cells that each label stands for, is (N - L) / W, where the number of cells N is
known and L labels are trained on. Else it is that of the purest first part of the
rankings of all rounds so far: no part holds more cells than peaks, so s <= n / w, with
equality where some part holds cells alone. That part has the highest lower bound of w /
n, two standard errors of a count below it, so that no chance of few labels makes one.

Assumptions: labels are a random sample of the cells (`metrics.partial`), and, where N
is not known, of some first part of one ranking nearly all are cells; else s, and with
it the cells that are left, is too high. Of 16 labels s is within a fourth, mostly.

References:
  Elkan and Noto, Learning classifiers from only positive and unlabeled data, KDD 2008.
  Garg et al., Mixture Proportion Estimation and PU Learning: A Modern Approach, NeurIPS
  2021: the best bin of a ranking with held-out positives. Differs: its bound is of
  counts, as w is small.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cellrec_jax.config import limits
from cellrec_jax.metrics import matching, samples
from cellrec_jax.rounds.candidates import UNLABELED, Candidates
from cellrec_jax.rounds.selection import Selection

FEWEST = 10
"""Withheld labels that tell anything: of fewer, s is uncertain by more than a half."""

_ERRORS = 2.0  # standard errors


class Part(NamedTuple):
    """The first peaks of a ranking."""

    peaks: int
    labels: int
    """Withheld ones among them."""


class Held(NamedTuple):
    """What withheld labels tell before a round."""

    points_yx: Sequence[np.ndarray]
    """f32 [N, 2] of each image, px of the network's images."""
    cells_each: float = 0.0
    """Cells that each label stands for, s; 0 is not known."""
    earlier: tuple[Part, ...] = ()
    """The purest parts of earlier rounds."""


class Remaining(NamedTuple):
    """What they tell of a round."""

    withheld: int
    """Labels, W."""
    found: int
    """Of them, those at a peak."""
    left: int
    """Of these, those at an unlabelled peak."""
    purest: Part
    cells_each: float
    """s; NaN where nothing tells."""
    chosen: Part
    """The peaks that the fixed share takes."""
    added: int
    """Of these the first, which become labels."""

    @property
    def cells(self) -> float:
        """Estimated number of cells at unlabelled peaks."""
        return self.cells_each * self.left if self.left else 0.0

    @property
    def share(self) -> float:
        """Estimated share of cells among the peaks that the fixed share takes."""
        if not self.chosen.peaks:
            return float("nan")
        return min(1.0, self.cells_each * self.chosen.labels / self.chosen.peaks)


def check(stop_below: float, held: Held | None) -> None:
    """Refuses what too few withheld labels cannot tell (ConfigError)."""
    if not stop_below:
        return
    key = f"refine.stop_below={stop_below}"
    limits.require(
        held is not None,
        f"{key}: no label is withheld that tells how many cells are left: set "
        "--config.data.threshold_share=0.5",
    )
    assert held is not None  # for mypy
    number = sum(map(len, held.points_yx))
    limits.require(
        number >= FEWEST,
        f"{key}: of {FEWEST} withheld labels or more one can tell how many cells are "
        f"left, here are {number}: raise --config.data.threshold_share, or label more",
    )


def estimate(
    peaks: np.ndarray,
    kinds: np.ndarray,
    scores: np.ndarray,
    chosen_index: np.ndarray,
    held: Held,
    stop_below: float,
) -> Remaining:
    """Estimates what is left, and how many of the chosen peaks become cells.

    Of N candidates, kinds i8 [N] as `divide`, scores [N] of the ranking of cells, the
    surest highest; `chosen_index` in that order. `peaks` are those at withheld labels,
    of `peaks_at`. See `number_to_add`.
    """
    marked = np.zeros(len(kinds), bool)
    marked[peaks] = True
    ranked = np.flatnonzero((kinds == UNLABELED) & np.isfinite(scores))
    order = ranked[np.argsort(-scores[ranked], kind="stable")]
    part = purest(marked[order])
    each = held.cells_each or cells_each((*held.earlier, part))
    chosen = marked[chosen_index]
    left = int((kinds[peaks] == UNLABELED).sum())
    return Remaining(
        sum(map(len, held.points_yx)),
        len(peaks),
        left,
        part,
        each,
        Part(len(chosen), int(chosen.sum())),
        number_to_add(chosen, left, each, stop_below),
    )


def peaks_at(
    candidates: Candidates, points_yx: Sequence[np.ndarray], match_px: float
) -> np.ndarray:
    """Indices i64 of the peaks at points [N, 2] of each image: the nearest, if any."""
    found = [np.zeros(0, np.int64)]
    for image, image_yx in enumerate(points_yx):
        here = np.flatnonzero(candidates.image == image)
        pairs = matching.match_points(
            candidates.points_yx[here], image_yx, match_px, method="nearest"
        )
        found.append(here[pairs[:, 0]])
    return np.concatenate(found)


def purest(marked: np.ndarray) -> Part:
    """The purest first part of a ranking, bool [N]: which peaks are at labels.

    Example:
      >>> purest(np.array([1] * 8 + [0, 0, 0, 1] * 4, bool))
      Part(peaks=8, labels=8)
    """
    peaks = np.flatnonzero(marked) + 1
    if not len(peaks):
        return Part(0, 0)
    best = int(np.argmax(_at_least(np.arange(1, len(peaks) + 1), peaks)))
    return Part(int(peaks[best]), best + 1)


def cells_each(parts: Sequence[Part]) -> float:
    """Cells that each label stands for, by the purest part, >= 1; NaN of none."""
    some = [part for part in parts if part.labels]
    if not some:
        return float("nan")
    best = max(some, key=lambda part: float(_at_least(part.labels, part.peaks)))
    return max(1.0, best.peaks / best.labels)


def _at_least(labels: Any, peaks: Any) -> Any:
    """A lower bound of labels for each peak."""
    return (labels - _ERRORS * np.sqrt(labels)) / peaks


def number_to_add(marked: np.ndarray, left: int, each: float, stop_below: float) -> int:
    """How many of the chosen peaks, the surest first, become cells.

    No more than `each` times `left`, the cells that are left; of these the longest
    first part whose estimated share of cells is `stop_below` or more, or would be with
    one label more: few may miss by chance, and what is not added ends a good run.
    `marked` bool [N]: which are at a withheld label. All where `stop_below` is 0.

    Example:
      A label stands for 10 cells; of 80 peaks those from 30 on are background:
      >>> marked = np.zeros(80, bool)
      >>> marked[[2, 14, 25]] = True
      >>> [number_to_add(marked, n, 10.0, 0.75) for n in (0, 3, 9)]
      [0, 30, 53]
      >>> number_to_add(marked, 9, 10.0, 0.5)
      80
    """
    if not stop_below or not len(marked):
        return len(marked)
    number = min(len(marked), round(each * left)) if left else 0
    labels = np.cumsum(marked[:number])
    enough = each * (labels + 1) >= stop_below * np.arange(1, number + 1)
    return int(np.flatnonzero(enough)[-1]) + 1 if enough.any() else 0


def background_left(kinds: np.ndarray, remaining: Remaining) -> int:
    """Unlabelled peaks, of kinds i8 [N], that are estimated to be no cells."""
    unlabeled = int((kinds == UNLABELED).sum())
    cells = remaining.cells
    return unlabeled if np.isnan(cells) else max(0, unlabeled - round(cells))


def shortened(selection: Selection, number: int, background: int) -> Selection:
    """The first of the chosen cells, and of the chosen background, surest first.

    No background without cells, if any were chosen, which ends rounds.
    """
    none_of_some = len(selection.positive_index) and not number
    return selection._replace(
        positive_index=selection.positive_index[:number],
        negative_index=selection.negative_index[: 0 if none_of_some else background],
    )


def to_json(found: Remaining) -> dict[str, Any]:
    """As a round's summary has it; None where undefined."""
    return {
        "withheld": found.withheld,
        "found": found.found,
        "left": found.left,
        "purest": list(found.purest),
        "cells_each": samples.number(found.cells_each),
        "cells": samples.number(found.cells),
        "chosen": list(found.chosen),
        "share": samples.number(found.share),
        "added": found.added,
    }


def earlier(summaries: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    """The purest parts of rounds that have their summaries."""
    told = (summary.get("remaining") for summary in summaries)
    return tuple(Part(*one["purest"]) for one in told if one)


def line(number: int, summary: Mapping[str, Any], unlabeled: int) -> str:
    """One line on what is left after a round, of `unlabeled` peaks."""
    peaks, _ = summary["chosen"]
    start = (
        f"round {number}: {summary['found']} of {summary['withheld']} withheld labels "
        f"are found, {summary['left']} of them at unlabelled peaks"
    )
    if summary["cells_each"] is None:
        return f"{start}; {summary['added']} of {peaks} are added"
    share = (
        "" if summary["share"] is None else f" ({100 * summary['share']:.0f} % cells)"
    )
    return (
        f"{start}: about {summary['cells']:.0f} of these {unlabeled} are cells, "
        f"{summary['cells_each']:.1f} for each label; {summary['added']} of the "
        f"{peaks} that were chosen{share} are added"
    )
