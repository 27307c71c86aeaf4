"""Where nuclei of a synthetic image stand, and of what kind, size and stain they are.

Lengths are in micrometres until a `Nucleus` is made. Tumour nuclei fill nests and are
annotated; lymphocytes, spindle nuclei, debris and ghosts lie between and are not.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import ndimage, spatial

CELLS_PER_MM2 = 3150.0  # 115 to 120 on a Ki-67 patch of 640 x 640 px at 0.3 um/px
RADIUS_UM = 4.1
TRIES_PER_CELL = 40


class Nucleus(NamedTuple):
    """One nucleus before it is drawn; lengths in px, stains in optical density."""

    center_yx: tuple[float, float]
    radii: tuple[float, float]  # long and short half axis
    angle: float  # direction of the long axis in radians, from x towards y
    roughness: float  # share of the radius that the outline strays from an ellipse
    haematoxylin: float
    dab: float
    grain: float  # contrast of the chromatin, 0 (even) to about 1
    rim: float  # how much darker the membrane is than the inside, as a share
    edge_px: float  # width of the outline's fall-off; large when out of focus
    hollow: float = 0.0  # how much paler the middle is, as a share


class Kind(NamedTuple):
    """A kind of unannotated object; pairs of stains are ranges of optical density."""

    share: float  # tries to place one, per tumour nucleus
    radii_um: tuple[float, float]
    haematoxylin: tuple[float, float]
    dab: tuple[float, float]
    edge_um: float


DISTRACTORS = {
    "lymphocyte": Kind(0.40, (2.1, 1.8), (0.2, 0.6), (0.0, 0.05), 0.3),
    "spindle": Kind(0.40, (5.5, 1.3), (0.1, 0.45), (0.0, 0.1), 0.4),
    "brown spindle": Kind(0.06, (5.0, 1.2), (0.1, 0.2), (0.4, 1.2), 0.4),
    "debris": Kind(0.35, (1.1, 0.7), (0.0, 0.2), (0.2, 1.3), 0.3),
    "ghost": Kind(0.45, (5.5, 3.2), (0.04, 0.15), (0.0, 0.12), 3.5),
}


class Layout(NamedTuple):
    """All nuclei of an image."""

    cells: list[Nucleus]  # tumour nuclei: the annotated ones
    labels: np.ndarray  # i32 [N] 0 positive, 1 negative
    distractors: list[Nucleus]
    nests: np.ndarray  # f32 [H, W] in [0, 1]; 1 inside tumour nests
    fibre_angle: float  # main direction of the stroma in radians


def noise_field(
    rng: np.random.Generator, size_hw: tuple[int, int], sigma_px: float
) -> np.ndarray:
    """Smooth Gaussian noise of about unit variance, f32 [H, W], from a coarse grid."""
    step = max(1.0, sigma_px / 2)
    sigma = sigma_px / step
    margin = 2  # so that the interpolation below never leaves the grid
    grid_hw = [int(np.ceil(size / step)) + 2 * margin for size in size_hw]
    grid = rng.standard_normal(grid_hw, dtype=np.float32)
    grid = ndimage.gaussian_filter(grid, sigma, mode="wrap", truncate=3.0)
    grid *= 2 * np.sqrt(np.pi) * sigma
    if step == 1:
        return grid[: size_hw[0], : size_hw[1]]
    zoomed = ndimage.affine_transform(
        grid, (1 / step, 1 / step), offset=1, output_shape=size_hw, order=1
    )
    return zoomed.astype(np.float32, copy=False)


def image_rng(seed: int, index: int) -> np.random.Generator:
    """Source of all draws of image `index` of the set `seed`; both are >= 0."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, index], np.uint64)))


def plan(rng: np.random.Generator, size_hw: tuple[int, int], mpp: float) -> Layout:
    """Draws all nuclei of one image, with at least one annotated cell."""
    share = rng.uniform(0.35, 0.75)  # of the image that is tumour
    field = noise_field(rng, size_hw, rng.uniform(10, 22) / mpp)
    nests = 1 / (1 + np.exp(-8 * (field - np.quantile(field, 1 - share))))
    radius_px = RADIUS_UM * rng.lognormal(0, 0.13) / mpp
    centers_yx, radii = _place(rng, nests, radius_px, mpp)
    labels = _label(rng, centers_yx, size_hw, mpp)
    strengths = np.exp(rng.normal(0, (0.25, 0.25)))  # of the two stains in this image
    focus = rng.choice([0.04, 0.12, 0.25])
    cells = [
        tumour_nucleus(rng, center, radius, label, strengths, focus)
        for center, radius, label in zip(centers_yx, radii, labels, strict=True)
    ]
    angle = rng.uniform(0, np.pi)
    distractors = scatter_distractors(
        rng, 1 - nests, centers_yx, strengths, angle, mpp, DISTRACTORS
    )
    return Layout(cells, labels, distractors, nests.astype(np.float32), angle)


def _place(
    rng: np.random.Generator, nests: np.ndarray, radius_px: float, mpp: float
) -> tuple[np.ndarray, np.ndarray]:
    """Throws N >= 1 nuclei into the nests: centres f32 [N, 2], mean radii [N], px."""
    size = np.array(nests.shape)
    area_mm2 = size.prod() * (mpp / 1000) ** 2
    wanted = max(1, round(area_mm2 * CELLS_PER_MM2 * rng.lognormal(0, 0.25)))
    tries = TRIES_PER_CELL * wanted
    candidates = rng.uniform(1, size - 1, (tries, 2)).astype(np.float32)
    inside = nests[tuple(candidates.astype(int).T)]
    candidates = candidates[rng.uniform(size=tries) < 0.03 + inside]
    if not len(candidates):
        candidates = (size[None] / 2).astype(np.float32)
    radii = radius_px * rng.lognormal(0, 0.17, len(candidates))
    gaps = rng.uniform(0.7, 1.42, len(candidates))  # below 1 they may overlap
    kept: list[int] = []
    for index, (candidate, radius, gap) in enumerate(
        zip(candidates, radii, gaps, strict=True)
    ):
        distance = np.hypot(*(candidates[kept] - candidate).T)
        if np.all(distance > gap * (radius + radii[kept])):
            kept.append(index)
        if len(kept) == wanted:
            break
    return candidates[kept], radii[kept]


def _label(
    rng: np.random.Generator,
    centers_yx: np.ndarray,
    size_hw: tuple[int, int],
    mpp: float,
) -> np.ndarray:
    """Labels nuclei so that neighbours tend to agree; i32 [N], 0 is positive."""
    clones = noise_field(rng, size_hw, 14 / mpp)[tuple(centers_yx.astype(int).T)]
    mixed = 0.7 * clones + rng.standard_normal(len(centers_yx))
    return (mixed > rng.normal(0.0, 0.6)).astype(np.int32)


def tumour_nucleus(
    rng: np.random.Generator,
    center_yx: np.ndarray,
    radius: float,
    label: int,
    strengths: np.ndarray,
    blurred_share: float,
) -> Nucleus:
    """One annotated nucleus: 0 positive (brown), 1 negative (pale blue)."""
    ratio = np.sqrt(rng.uniform(0.52, 0.98))
    blurred = rng.uniform() < blurred_share
    if label == 0:
        weak = rng.uniform() < 0.35
        dab = rng.uniform(*((0.15, 0.5) if weak else (0.6, 2.4))) * strengths[1]
        haematoxylin = rng.uniform(0.02, 0.2) * strengths[0]
    else:
        dab = rng.uniform(0, 0.04) * strengths[1]
        haematoxylin = np.clip(0.16 * rng.lognormal(0, 0.5), 0.05, 0.6) * strengths[0]
    return Nucleus(
        (float(center_yx[0]), float(center_yx[1])),
        (radius / ratio, radius * ratio),
        rng.uniform(0, np.pi),
        rng.uniform(0.02, 0.1),
        haematoxylin,
        dab,
        rng.uniform(0.15, 0.65),
        rng.uniform(0, 0.5),
        radius * rng.uniform(*((0.3, 0.7) if blurred else (0.06, 0.2))),
    )


def scatter_distractors(
    rng: np.random.Generator,
    stroma: np.ndarray,
    cells_yx: np.ndarray,
    strengths: np.ndarray | tuple[float, float],
    fibre_angle: float,
    mpp: float,
    kinds: Mapping[str, Kind],
) -> list[Nucleus]:
    """Draws unannotated objects, mostly in `stroma` [H, W] in [0, 1], off `cells_yx`.

    `strengths` are factors of haematoxylin and DAB, the fibres' angle is in radians.
    """
    size = np.array(stroma.shape)
    num_scale = size.prod() * (mpp / 1000) ** 2 * CELLS_PER_MM2
    drawn = []
    for kind in kinds.values():
        for _ in range(rng.poisson(kind.share * num_scale * rng.lognormal(0, 0.5))):
            center = rng.uniform(0, size)
            if rng.uniform() > 0.1 + stroma[tuple(center.astype(int))]:
                continue
            clearance_um = RADIUS_UM + kind.radii_um[1]
            if np.min(np.hypot(*(cells_yx - center).T)) * mpp < clearance_um:
                continue
            radii = np.array(kind.radii_um) * rng.lognormal(0, 0.2, 2) / mpp
            drawn.append(
                Nucleus(
                    (float(center[0]), float(center[1])),
                    (radii[0], radii[1]),
                    fibre_angle + rng.normal(0, 0.3),
                    rng.uniform(0.03, 0.12),
                    rng.uniform(*kind.haematoxylin) * strengths[0],
                    rng.uniform(*kind.dab) * strengths[1],
                    rng.uniform(0.1, 0.6),
                    0.0,
                    kind.edge_um * rng.uniform(0.7, 1.5) / mpp,
                )
            )
    return drawn


def throw(
    rng: np.random.Generator,
    chance: np.ndarray,
    wanted: int,
    apart_px: float,
    *,
    taken_yx: np.ndarray | None = None,
    tries_per_point: int = 80,
) -> np.ndarray:
    """Places up to `wanted` points, each at least so far from all others.

    `chance` [H, W] in [0, 1] is where; none comes nearer than `apart_px` to `taken_yx`
    [., 2]. Gives f32 [., 2] px.
    """
    size = np.array(chance.shape)
    tries = rng.uniform(1, size - 1, (tries_per_point * wanted, 2))
    tries = tries[rng.uniform(size=len(tries)) < chance[tuple(tries.astype(int).T)]]
    tries = tries.astype(np.float32)
    if taken_yx is not None and len(taken_yx):
        tries = tries[spatial.cKDTree(taken_yx).query(tries)[0] > apart_px]
    gaps = apart_px * rng.uniform(1.0, 1.2, len(tries))
    kept: list[int] = []
    for index, (place, gap) in enumerate(zip(tries, gaps, strict=True)):
        if len(kept) == wanted:
            break
        if np.all(np.hypot(*(tries[kept] - place).T) > gap):
            kept.append(index)
    return tries[kept]


def patchy(
    rng: np.random.Generator,
    centers_yx: np.ndarray,
    size_hw: tuple[int, int],
    patch_px: float,
    share: float,
) -> np.ndarray:
    """Picks `share` of the cells, neighbours alike more often than not; bool [N]."""
    field = noise_field(rng, size_hw, patch_px)
    mixed = 1.2 * field[tuple(centers_yx.astype(int).T)]
    mixed = mixed + rng.standard_normal(len(centers_yx))
    return mixed > np.quantile(mixed, 1 - share) if len(mixed) else mixed > 0
