"""Where tumour nuclei of a Ki-67 slide stand: sheets, nests, trabeculae and glands.

More kinds of tissue than `layout.plan` has, from a few cells to nuclei that touch all
around, with lumens and empty glass, and from no positive nucleus to most.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from cellrec_jax.data.synthetic import layout as layout_lib
from cellrec_jax.data.synthetic import stain

PATTERNS = ("nests", "sheet", "trabeculae", "glands", "nests")
"""One is drawn; nests twice as often as others."""
_LARGEST_SHARE = 0.8  # of an area that nuclei can cover by chance


class Tissue(NamedTuple):
    """Where there is what; f32 [H, W] in [0, 1]."""

    nests: np.ndarray  # of tumour
    glass: np.ndarray  # empty: lumens and the slide beside the tissue


def draw(rng: np.random.Generator, size_hw: tuple[int, int], mpp: float) -> Tissue:
    """Draws what kind of tissue an image shows."""
    pattern = PATTERNS[rng.integers(len(PATTERNS))]
    share = rng.uniform(0.3, 0.75)
    field = layout_lib.noise_field(rng, size_hw, rng.uniform(10, 30) / mpp)
    if pattern == "trabeculae":
        angle = rng.uniform(0, np.pi)
        strands = stain.fibre_field(rng, 2 + field, angle, mpp / rng.uniform(6, 12))
        field = ndimage.gaussian_filter(strands, 3 / mpp)
    if pattern == "sheet":
        share = rng.uniform(0.85, 1.0)
    nests = _above(field, share, 8 / max(float(field.std()), 1e-3))
    glass = np.zeros(size_hw, np.float32)
    if pattern == "glands":
        lumens = layout_lib.noise_field(rng, size_hw, rng.uniform(6, 14) / mpp)
        glass = np.maximum(glass, _above(lumens, rng.uniform(0.03, 0.15), 20))
    if rng.uniform() < 0.25:  # the edge of the tissue
        beside = layout_lib.noise_field(rng, size_hw, rng.uniform(25, 60) / mpp)
        glass = np.maximum(glass, _above(beside, rng.uniform(0.05, 0.4), 30))
    return Tissue((nests * (1 - glass)).astype(np.float32), glass)


def _above(field: np.ndarray, share: float, slope: float) -> np.ndarray:
    """Soft mask, f32, of the highest `share` of a field."""
    steps = np.clip(slope * (field - np.quantile(field, 1 - share)), -30, 30)
    return (1 / (1 + np.exp(-steps))).astype(np.float32)


def place(
    rng: np.random.Generator, nests: np.ndarray, mpp: float
) -> tuple[np.ndarray, np.ndarray]:
    """Throws N >= 1 nuclei into the nests: centres f32 [N, 2], mean radii [N], px."""
    size = np.array(nests.shape)
    radius_px = layout_lib.RADIUS_UM * rng.lognormal(0, 0.15) / mpp
    fill = rng.uniform(0.12, _LARGEST_SHARE)  # of the nests that nuclei cover
    wanted = max(1, round(fill * float(nests.sum()) / (np.pi * radius_px**2)))
    tries = 25 * wanted
    spots = rng.uniform(1, size - 1, (tries, 2)).astype(np.float32)
    inside = nests[tuple(spots.astype(int).T)]
    spots = spots[rng.uniform(size=tries) < 0.01 + inside]
    if not len(spots):
        spots = (size[None] / 2).astype(np.float32)
    radii = radius_px * rng.lognormal(0, rng.uniform(0.08, 0.25), len(spots))
    gaps = rng.uniform(rng.uniform(0.68, 0.95), 1.2, len(spots))
    kept = _apart(spots, radii, gaps, wanted)
    return spots[kept], radii[kept]


def _apart(
    spots: np.ndarray, radii: np.ndarray, gaps: np.ndarray, wanted: int
) -> list[int]:
    """First spots no nearer than `gaps` times the sum of radii to those before.

    Looked up in a grid of squares as wide as the farthest that two may conflict.
    """
    side = 2 * float(radii.max() * gaps.max())
    grid: dict[tuple[int, int], list[int]] = {}
    kept: list[int] = []
    for index, (y, x) in enumerate(spots):
        row, column = int(y // side), int(x // side)
        near = [
            other
            for r in (row - 1, row, row + 1)
            for c in (column - 1, column, column + 1)
            for other in grid.get((r, c), ())
        ]
        distance = np.hypot(*(spots[near] - spots[index]).T)
        if np.all(distance > gaps[index] * (radii[index] + radii[near])):
            kept.append(index)
            grid.setdefault((row, column), []).append(index)
            if len(kept) == wanted:
                break
    return kept


def label(
    rng: np.random.Generator,
    centers_yx: np.ndarray,
    size_hw: tuple[int, int],
    mpp: float,
) -> np.ndarray:
    """0 positive, 1 negative, i32 [N]; one image in eight has no positive nucleus."""
    share = rng.beta(1.0, 1.8) * (rng.uniform() < 0.875)
    positive = layout_lib.patchy(rng, centers_yx, size_hw, 14 / mpp, share)
    return np.where(positive, 0, 1).astype(np.int32)


def plan(
    rng: np.random.Generator, size_hw: tuple[int, int], mpp: float
) -> tuple[layout_lib.Layout, np.ndarray]:
    """Draws the nuclei of one image, without distractors; and its glass, f32 [H, W]."""
    nests, glass = draw(rng, size_hw, mpp)
    centers_yx, radii = place(rng, nests, mpp)
    labels = label(rng, centers_yx, size_hw, mpp)
    strengths = np.exp(rng.normal(0, (0.25, 0.25)))
    cells = [
        layout_lib.tumour_nucleus(rng, center, radius, kind, strengths, 0.1)
        for center, radius, kind in zip(centers_yx, radii, labels, strict=True)
    ]
    return layout_lib.Layout(cells, labels, [], nests, rng.uniform(0, np.pi)), glass
