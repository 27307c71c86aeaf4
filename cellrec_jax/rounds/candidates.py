"""Peaks of the detector as candidates for pseudo labels, those of all images pooled.

Source: the public code of Fujii et al., Cell Detection from Imperfect Annotation by
Pseudo Label Selection Using P-classification, MICCAI 2021.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from scipy import spatial

from cellrec_jax import hosts
from cellrec_jax.losses import class_prior
from cellrec_jax.methods.refine_options import RefineOptions
from cellrec_jax.metrics import matching
from cellrec_jax.rounds import labels as round_labels

UNLABELED, POSITIVE, REMOVED = 0, 1, 2
"""Kinds of peaks: at no label, at a given or pseudo-positive one, at a negative one."""


class Candidates(NamedTuple):
    """Peaks of all images, N together."""

    image: np.ndarray  # i32 [N], the position of its image in the training set
    points_yx: np.ndarray  # f32 [N, 2] px
    heights: np.ndarray  # f32 [N]


def gather(parts: Sequence[Candidates]) -> Candidates:
    """Peaks of single images as one, of all processes, in the images' order."""
    none = Candidates(
        np.zeros(0, np.int32), np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
    )
    own = Candidates(*(np.concatenate(part) for part in zip(none, *parts, strict=True)))
    found = [Candidates(**part) for part in hosts.gather_arrays(own._asdict())]
    both = Candidates(*(np.concatenate(part) for part in zip(*found, strict=True)))
    order = np.argsort(both.image, kind="stable")
    return Candidates(*(part[order] for part in both))


def carry_over(new: Candidates, previous: Candidates, distance_px: float) -> Candidates:
    """Appends the previous round's peaks with no new one within the distance, px.

    Differs from the code of Fujii et al.: there a previous peak stays also where
    another one is nearer to the only new peak within the distance.
    """
    stays = np.ones(len(previous.image), bool)
    for image in np.intersect1d(new.image, previous.image):
        here = np.flatnonzero(previous.image == image)
        tree = spatial.KDTree(new.points_yx[new.image == image])
        stays[here] = tree.query(previous.points_yx[here])[0] > distance_px
    pairs = zip(new, previous, strict=True)
    return Candidates(*(np.concatenate([ours, old[stays]]) for ours, old in pairs))


def divide(
    candidates: Candidates, labels: Sequence[round_labels.ImageLabels], match_px: float
) -> np.ndarray:
    """Tells which peaks are at labels: i8 [N] of POSITIVE, REMOVED and UNLABELED.

    In each image, as `candidates.image` counts, peaks are matched within `match_px`
    with the positive labels, and again with the pseudo-negative ones ("nearest" of
    `matching.match_points`). So a second peak at one cell stays unlabelled.

    Differs from the code of Fujii et al.: it removes a peak matched on both sides, here
    the nearer label decides; so background selected at the rim of a labelled cell does
    not take the cell's own peak away.
    """
    distances = np.full((2, len(candidates.image)), np.inf)
    for image in np.unique(candidates.image):
        peaks = np.flatnonzero(candidates.image == image)
        peaks_yx = candidates.points_yx[peaks]
        points_yx = labels[image].points_yx
        negative = np.array(labels[image].origins, np.str_) == round_labels.NEGATIVE
        for side, chosen in enumerate((~negative, negative)):
            side_yx = points_yx[chosen]
            pairs = matching.match_points(peaks_yx, side_yx, match_px, method="nearest")
            offsets_yx = peaks_yx[pairs[:, 0]] - side_yx[pairs[:, 1]]
            distances[side, peaks[pairs[:, 0]]] = np.hypot(*offsets_yx.T)
    kinds = np.where(distances[0] <= distances[1], POSITIVE, REMOVED)
    kinds[np.isinf(distances).all(axis=0)] = UNLABELED
    return kinds.astype(np.int8)


def prior_of(
    patches: jax.Array, kinds: np.ndarray, config: RefineOptions, seed: int
) -> tuple[float, tuple[str, ...]]:
    """The prior of the classifier's risk, in (0, 1), and what did not go as planned.

    From patches [N, S, S, C] at the peaks and their kinds i8 [N] (`divide`), some
    positive, some unlabelled. The negative part of the risk (`pu.pu_risk`) is the mean
    over unlabelled peaks less what their cells have in it: unbiased with the share of
    cells among these, which penL1 estimates. The fixed rule is the higher share among
    labelled and unlabelled ones, as in the code of Fujii et al.
    """
    positive, unlabeled = kinds == POSITIVE, kinds == UNLABELED
    if config.prior:
        return config.prior, ()
    fixed = class_prior.fixed_prior(
        int(positive.sum()), int(unlabeled.sum()), config.unlabeled_share
    )
    if config.prior_rule == "fixed":
        return fixed, ()
    flat = np.asarray(patches).reshape(len(patches), -1)
    try:
        estimate = class_prior.penl1_prior(flat[positive], flat[unlabeled], seed=seed)
    except ValueError as error:
        note = (
            f"refine.prior_rule=penl1 cannot estimate a prior ({error}): {fixed:.2f} "
            "by the fixed rule was taken; set --config.refine.prior for another one, "
            "or --config.refine.prior_rule=fixed"
        )
        return fixed, (note,)
    return estimate.prior, ()
