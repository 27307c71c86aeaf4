"""Slides of clustered cells, and a detector that is wrong as often as it is told to be.

Cells lie on the sites of a lattice, so that nobody argues what matches what. Their
density, and the share of positive ones, vary over some length.
"""

from typing import NamedTuple

import numpy as np

from cellrec_jax.metrics.results import ImageResult
from cellrec_jax.score import correct, estimate
from cellrec_jax.score.sheets import Results, Sheet

NAMES = ("positive", "negative")
SITE_PX = 20.0
MPP = 0.5
RADIUS_PX = 6.0
_SPREAD = 1.0  # of the log odds of a cell to be positive


class Detector(NamedTuple):
    """Class 0 is positive."""

    found_as: np.ndarray
    """f64 [2, 2], share of the cells of a class (row) that is found as each."""
    false: np.ndarray
    """f64 [2], false detections of each class per cell that is found as it."""


LABORATORY = Detector(np.array([[0.5, 0.35], [0.02, 0.88]]), np.array([0.15, 0.06]))
"""Misses a part of the positive cells and takes many for negative ones."""


def smooth(rng, side, length):
    """A Gaussian field [side, side], variance 1, that varies over `length` sites."""
    whole = side + 16 * (side // 64 + 1)  # it is a torus, of which a part is taken
    one = np.exp(-((np.pi * length * np.fft.fftfreq(whole)) ** 2))
    kernel = np.outer(one, one[: whole // 2 + 1])
    noise = np.fft.rfft2(rng.standard_normal((whole, whole)))
    field = np.fft.irfft2(noise * kernel)[:side, :side]
    return field / np.sqrt(np.square(np.outer(one, one)).mean())


def expected_index(index):
    """Mean share of positive cells, of log odds that vary about those of `index`."""
    spread = _SPREAD * np.random.default_rng(0).standard_normal(100_000)
    return float((1 / (1 + (1 / index - 1) * np.exp(-spread))).mean())


def cells(rng, side, length, index):
    """Points [N, 2] px of side x side sites, labels [N], and points without a cell."""
    occupied = 0.5 * np.exp(0.6 * smooth(rng, side, length) - 0.18)
    is_cell = rng.random((side, side)) < np.minimum(occupied, 0.9)
    share = 1 / (1 + (1 / index - 1) * np.exp(-_SPREAD * smooth(rng, side, length)))
    labels = (rng.random((side, side)) >= share).astype(np.int64)
    sites_yx = (np.indices((side, side)).transpose(1, 2, 0) + 0.5) * SITE_PX
    return sites_yx[is_cell], labels[is_cell], sites_yx[~is_cell]


def detect(rng, points_yx, labels, free_yx, by):
    """What the detector makes of them: points [M, 2] and labels [M]."""
    chance = np.cumsum(by.found_as, axis=1)[labels]
    found_as = (rng.random(len(labels))[:, None] >= chance).sum(axis=1)
    seen = found_as < 2
    numbers = rng.poisson(by.false * np.bincount(found_as[seen], minlength=2))
    chosen = rng.choice(len(free_yx), min(numbers.sum(), len(free_yx)), replace=False)
    found_yx = np.concatenate([points_yx[seen] + 1.0, free_yx[chosen]])
    kinds = np.repeat([0, 1], numbers)[: len(chosen)]
    return found_yx, np.concatenate([found_as[seen], kinds])


def slide(rng, by, index, side=96, length=2.5):
    """A slide's detections."""
    points_yx, labels, free_yx = cells(rng, side, length, index)
    found_yx, found = detect(rng, points_yx, labels, free_yx, by)
    area_mm2 = (side * SITE_PX * MPP / 1000) ** 2
    return Sheet("slide", found_yx, found, None, area_mm2, MPP, "simulated")


def field(rng, by, index, side=16, length=2.5, name="field"):
    """An annotated field beside its detections; its size is side x side sites."""
    points_yx, labels, free_yx = cells(rng, side, length, index)
    found_yx, found = detect(rng, points_yx, labels, free_yx, by)
    scores, none = np.ones(len(found)), np.zeros(len(found), bool)
    return ImageResult(
        name, "", found_yx, scores, found, None, none, points_yx, labels, None
    )


def plain_index(by, index):
    """What a detector's own index is to be expected, of a share of positive cells."""
    cells_of = np.array([index, 1 - index])
    counts = cells_of @ by.found_as * (1 + by.false)
    return float(counts[0] / counts.sum())


def spotted(name, seed, share):
    """700 cells over 4 x 4 mm, 600 in 0.9 x 0.9 mm of it, all with a share positive."""
    rng = np.random.default_rng(seed)
    points_yx = np.concatenate(
        [rng.uniform(0, 4, (700, 2)), rng.uniform(2.05, 2.95, (600, 2))]
    )
    labels = (rng.random(1300) >= share).astype(int)
    return Sheet(name, points_yx * 2000, labels, None, 16.0, 0.5, "--mpp", 3)


def results_of(*sheets, **left_out):
    return Results(tuple(sheets), NAMES, "slides", left_out, {"step": 7})


def correction():
    """A fifth of the positive cells is missed in each of eight fields."""
    counts = np.array([[[80.0, 0, 20], [0, 100, 0], [0, 0, 0]]] * 8)
    return estimate.correction(correct.Mistakes(counts, 8, "8 fields"))
