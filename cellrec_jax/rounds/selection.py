"""Selects pseudo labels among the detector's peaks by P-classification, or score.

Peaks at a label are positives, the others unlabelled (see `pseudo_candidates`). Two
rankings of the latter tell which are surely cells, which surely background. On the
host, but for the rankings. Source: Fujii et al., MICCAI 2021 (see `rounds`), and code;
scores and thresholds are an extension.
"""

from collections.abc import Callable, Sequence
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax.losses.ranking import solvers as ranking_solvers
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds.candidates import POSITIVE, UNLABELED, Candidates

_SOLVERS: dict[str, Callable[..., ranking_solvers.Solution]] = {
    "lbfgs": ranking_solvers.solve_lbfgs,
    "sgd": ranking_solvers.solve_sgd,
}


class Ranking(NamedTuple):
    """Scores of the peaks; NaN where nothing could be ranked."""

    positive_scores: np.ndarray
    """f32 [N]; high is surely a cell."""
    negative_scores: np.ndarray
    """f32 [N]; low is surely background. Of a scale of its own."""
    notes: tuple[str, ...]
    """What did not go as planned, for the log."""


class Selection(NamedTuple):
    """Peaks that become labels, the surest first."""

    positive_index: np.ndarray  # i64 [n]
    negative_index: np.ndarray  # i64 [m]
    notes: tuple[str, ...]


def why_not(kinds: np.ndarray) -> str:
    """Why nothing can be learned from peaks of these kinds, i8 [N]; "" if it can."""
    if not len(kinds):
        return "the detector found no peak"
    if not (kinds == UNLABELED).any():
        return "every peak is at a label, none is unlabelled"
    if not (kinds == POSITIVE).any():
        return "no peak is at a label that marks a cell"
    return ""


def rank(
    features: jax.Array,
    kinds: np.ndarray,
    *,
    p: float = 4.0,
    ridge: float = 0.1,
    solver: str = "lbfgs",
    moved_share: float = 0.2,
) -> Ranking:
    """Ranks peaks from both ends, by two runs of P-classification.

    The P-run takes labelled peaks for positive and unlabelled ones for negative. The
    N-run has opposed labels, after the best `moved_share` in [0, 1) of unlabelled peaks
    by the P-run joined the labelled ones; its scores are stored with opposed sign.

    Features [N, F], finite (else ValueError) but where REMOVED, are divided by the
    highest one, if above 0; kinds i8 [N] as `divide`; p >= 1 is how much the top of the
    list counts, `ridge` >= 0 of squared weights. Only scores of unlabelled peaks serve
    to select; all are NaN, and the notes say why, where nothing can be learned.

    References:
      Fujii et al. 2021, Eq. 2 and their code. Differs from the paper: the moved share
      is in the code only, and so is p in the exponent. Without it, as printed, p only
      scales the ridge: the ranking is that of p=1 with sqrt(p) times the ridge.
    """
    positive, unlabeled = kinds == POSITIVE, kinds == UNLABELED
    if problem := why_not(kinds):
        return _unranked(len(kinds), problem)
    if not np.isfinite(np.asarray(features)[positive | unlabeled]).all():
        raise ValueError("features of used peaks are NaN or infinite")
    design = _design(jnp.asarray(features), jnp.asarray(positive | unlabeled))
    solve = functools.partial(_SOLVERS[solver], p=p, ridge=ridge)
    notes: list[str] = []

    def run(name: str, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
        found = solve(design, jnp.asarray(upper), jnp.asarray(lower))
        if solver == "lbfgs" and not found.converged:
            notes.append(
                f"the {name}-run stopped unconverged after {found.steps} steps"
            )
        return np.asarray(_score(design, found.weights))

    up = run("P", positive, unlabeled)
    if _is_flat(up[unlabeled]):
        return _unranked(len(kinds), "the features tell no two unlabelled peaks apart")
    moved = _lowest(-up, np.flatnonzero(unlabeled), moved_share)
    upper = positive.copy()
    upper[moved] = True
    down = -run("N", unlabeled & ~upper, upper)
    return Ranking(up, down, tuple(notes))


def rank_by_score(scores: np.ndarray, kinds: np.ndarray) -> Ranking:
    """Ranks peaks from both ends by the detector's scores f32 [N]; kinds i8 [N]."""
    if not (kinds == UNLABELED).any():
        return _unranked(len(kinds), why_not(kinds))
    return Ranking(scores, scores, ())


def select(
    ranking: Ranking,
    kinds: np.ndarray,
    image: np.ndarray,
    *,
    top_share: float = 0.05,
    bottom_share: float = 0.05,
    pooled: bool = True,
) -> Selection:
    """Takes the ends of both rankings as labels.

    Of n unlabelled peaks (all images', if `pooled`, else image by image) the int(share
    n) surest: `top_share` alpha in [0, 1] become pseudo-positive, `bottom_share` beta
    pseudo-negative, peaks at both ends neither. Kinds i8 [N] and image i32 [N]. Pooling
    and peaks at both ends are in the code of Fujii et al. 2021 only.
    """
    ranked = np.isfinite(ranking.positive_scores) & np.isfinite(ranking.negative_scores)
    unlabeled = np.flatnonzero((kinds == UNLABELED) & ranked)
    images = np.zeros(1, np.int32) if pooled else np.unique(image[unlabeled])
    groups = [unlabeled if pooled else unlabeled[image[unlabeled] == i] for i in images]

    def surest(scores: np.ndarray, share: float) -> np.ndarray:
        ends = [_lowest(scores, group, share) for group in groups]
        index = np.concatenate([np.zeros(0, np.int64), *ends])
        return index[np.argsort(scores[index], kind="stable")]

    top = surest(-ranking.positive_scores, top_share)
    bottom = surest(ranking.negative_scores, bottom_share)
    both = np.intersect1d(top, bottom)
    notes = []
    for kind, option, share, index in (
        ("pseudo-positive", "top_share", top_share, top),
        ("pseudo-negative", "bottom_share", bottom_share, bottom),
    ):
        if share > 0 and len(unlabeled) and not len(index):
            where = "" if pooled else " in any image"
            notes.append(
                f"no {kind} label: {share:g} of {len(unlabeled)} unlabelled peaks is "
                f"less than one{where}; raise --config.refine.{option}"
            )
    if len(both):
        notes.append(f"peaks at both ends, left unlabelled: {len(both)}")
    return Selection(
        top[~np.isin(top, both)], bottom[~np.isin(bottom, both)], tuple(notes)
    )


def select_above(
    ranking: Ranking,
    kinds: np.ndarray,
    scores: np.ndarray,
    threshold: float,
    *,
    bottom_share: float = 0.05,
) -> Selection:
    """Takes as many peaks for cells as a threshold of the detector's scores says.

    Those are the surest unlabelled ones by the ranking, so many as score `threshold` or
    more: these themselves, if the ranking is that of scores. Of the n unlabelled peaks
    the int(bottom_share n) surest become pseudo-negative, of those that score less.
    Kinds i8 [N] and scores f32 [N] in [0, 1].

    Example:
      >>> scores = np.float32([0.9, 0.2, 0.6, 0.1])
      >>> ranking = rank_by_score(scores, kinds := np.zeros(4, np.int8))
      >>> select_above(ranking, kinds, scores, 0.6, bottom_share=0.3)[:2]
      (array([0, 2]), array([3]))
    """
    ranked = np.isfinite(ranking.positive_scores) & np.isfinite(ranking.negative_scores)
    unlabeled = np.flatnonzero((kinds == UNLABELED) & ranked)
    above = scores[unlabeled] >= np.float32(threshold)
    order = np.argsort(-ranking.positive_scores[unlabeled], kind="stable")
    top = unlabeled[order[: np.count_nonzero(above)]]
    rest = np.setdiff1d(unlabeled[~above], top)
    most = _lowest(ranking.negative_scores, unlabeled, bottom_share)
    bottom = _lowest(ranking.negative_scores, rest, 1.0)[: len(most)]
    return Selection(top, bottom, ())


def add_labels(
    labels: Sequence[round_labels.ImageLabels],
    candidates: Candidates,
    ranking: Ranking,
    selection: Selection,
    round_number: int,
) -> list[round_labels.ImageLabels]:
    """Appends the selected peaks to their images' labels, as `candidates.image` counts.

    `round_number` is that of the round that will train on them, >= 1.
    """
    sides = (
        (round_labels.POSITIVE, selection.positive_index, ranking.positive_scores),
        (round_labels.NEGATIVE, selection.negative_index, ranking.negative_scores),
    )
    extended = list(labels)
    for origin, index, scores in sides:
        for image in np.unique(candidates.image[index]):
            here, old = index[candidates.image[index] == image], extended[image]
            extended[image] = round_labels.ImageLabels(
                np.concatenate([old.points_yx, candidates.points_yx[here]]),
                old.origins + (origin,) * len(here),
                np.append(old.rounds, np.full(len(here), round_number, np.int32)),
                np.append(old.ranks, scores[here]),
            )
    return extended


@jax.jit
def _design(features: jax.Array, used: jax.Array) -> jax.Array:
    """Features f32 over the highest of the used rows, then a column of ones."""
    features = features.astype(jnp.float32)
    # A bad value must not spoil all rows: the solver says which ones are bad.
    counts = used[:, None] & jnp.isfinite(features)
    highest = jnp.max(jnp.where(counts, features, 0.0))
    scaled = features / jnp.where(highest > 0, highest, 1.0)
    return jnp.pad(scaled, ((0, 0), (0, 1)), constant_values=1.0)


@jax.jit
def _score(design: jax.Array, weights: jax.Array) -> jax.Array:
    return jnp.matmul(design, weights, precision=jax.lax.Precision.HIGHEST)


def _unranked(num: int, problem: str) -> Ranking:
    scores = np.full(num, np.nan, np.float32)
    return Ranking(scores, scores, (f"nothing was ranked: {problem}",))


def _is_flat(scores: np.ndarray) -> bool:
    """Whether scores differ by rounding only."""
    return len(scores) > 1 and np.ptp(scores) <= 1e-6 * np.abs(scores).max()


def _lowest(scores: np.ndarray, group: np.ndarray, share: float) -> np.ndarray:
    """The share of `group` with the lowest scores; ties in the order given."""
    num = int(share * len(group) + 1e-9)  # 0.29 of 100 is 28.999999999999996
    return group[np.argsort(scores[group], kind="stable")[:num]]
