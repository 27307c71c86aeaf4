"""What looks like a nucleus or hides one and is neither: never annotated.

DAB precipitate, debris, pigment, red blood cells, brown cytoplasm, folds and refractile
crystals. All but the first two and brown cytoplasm have colours of their own, optical
densities [H, W, 3] that are added to those of the stains.
"""

import numpy as np
from scipy import ndimage

from cellrec_jax.data.synthetic import layout as layout_lib

RED_CELL_RGB = np.array([0.25, 0.65, 0.72], np.float32)
PIGMENT_RGB = np.array([0.30, 0.52, 0.80], np.float32)
FOLD_RGB = np.array([0.55, 0.58, 0.60], np.float32)


def debris(
    rng: np.random.Generator, size_hw: tuple[int, int], mpp: float
) -> list[layout_lib.Nucleus]:
    """Brown or blue grains, alone and in clumps, of 0.2 to 1.6 um."""
    area_mm2 = np.prod(size_hw) * (mpp / 1000) ** 2
    made = []
    for _ in range(rng.poisson(area_mm2 * rng.uniform(0, 1500))):
        center = rng.uniform(0, size_hw)
        brown = rng.uniform() < 0.75
        grains = 1 if rng.uniform() < 0.7 else int(rng.integers(3, 12))
        for _ in range(grains):
            y, x = center + (grains > 1) * rng.normal(0, 1.2 / mpp, 2)
            radius = rng.uniform(0.2, 1.1 if grains > 1 else 1.6) / mpp
            made.append(
                layout_lib.Nucleus(
                    (float(y), float(x)),
                    (radius, radius * rng.uniform(0.5, 1)),
                    rng.uniform(0, np.pi),
                    rng.uniform(0.05, 0.2),
                    rng.uniform(0, 0.5) * (not brown or rng.uniform() < 0.2),
                    rng.uniform(0.2, 1.8) * brown,
                    0.0,
                    0.0,
                    rng.uniform(0.2, 0.8) / mpp,
                )
            )
    return made


def brown_haze(
    rng: np.random.Generator,
    cells: list[layout_lib.Nucleus],
    size_hw: tuple[int, int],
    mpp: float,
) -> np.ndarray:
    """DAB of cytoplasm around positive nuclei and of clouds elsewhere, f32 [H, W]."""
    haze = np.zeros(size_hw, np.float32)
    share, strength = rng.uniform(0, 0.5), rng.uniform(0, 0.4)
    for cell in cells:
        y, x = (int(value) for value in cell.center_yx)
        if cell.dab > 0.1 and rng.uniform() < share:
            haze[y, x] += rng.uniform(0.3, 1) * cell.radii[0] ** 2
    haze = ndimage.gaussian_filter(haze, 5 / mpp, truncate=3.0) * strength
    clouds = layout_lib.noise_field(rng, size_hw, rng.uniform(2.5, 8) / mpp)
    grains = layout_lib.noise_field(rng, size_hw, 0.8 / mpp)
    clouds = np.clip(clouds - rng.uniform(1.2, 2.5), 0, None)
    haze += 0.35 * rng.uniform() ** 2 * clouds * np.clip(0.8 + 0.5 * grains, 0, None)
    return haze


def coloured(
    rng: np.random.Generator, size_hw: tuple[int, int], glass: np.ndarray, mpp: float
) -> np.ndarray:
    """Red cells, pigment, folds and crystals: optical density f32 [H, W, 3].

    Below 0 where crystals are brighter than the glass. Red cells lie in lumens, `glass`
    [H, W] in [0, 1], more often than in tissue.
    """
    density = np.zeros((*size_hw, 3), np.float32)
    if rng.uniform() < 0.3:
        density += _red_cells(rng, size_hw, glass, mpp)[..., None] * RED_CELL_RGB
    if rng.uniform() < 0.25:
        patches = layout_lib.noise_field(rng, size_hw, 4 / mpp)
        grains = layout_lib.noise_field(rng, size_hw, 0.5 / mpp)
        where = np.clip(patches - rng.uniform(1.5, 2.5), 0, 1)
        grains = where * np.clip(grains, 0, None) * rng.uniform(0.3, 1.2)
        density += grains[..., None] * PIGMENT_RGB
    if rng.uniform() < 0.12:
        density += _fold(rng, size_hw, mpp)[..., None] * FOLD_RGB
    if rng.uniform() < 0.2:
        density += _crystals(rng, size_hw, mpp)[..., None]
    return density


def _red_cells(
    rng: np.random.Generator, size_hw: tuple[int, int], glass: np.ndarray, mpp: float
) -> np.ndarray:
    """Discs of 2.5 to 3.6 um, paler in the middle, in a few groups; f32 [H, W]."""
    crowds = layout_lib.noise_field(rng, size_hw, 12 / mpp)
    chance = np.clip(crowds - rng.uniform(0.8, 2), 0, 1) + 0.3 * glass
    wanted = int(rng.uniform(10, 60) * np.prod(size_hw) * mpp**2 / 100**2)
    places = layout_lib.throw(
        rng, np.clip(chance, 0, 1), wanted, 5 / mpp, tries_per_point=10
    )
    drawn = np.zeros(size_hw, np.float32)
    strength, soft_px = rng.uniform(0.08, 0.3), 0.5 / mpp
    for center in places:
        radius = rng.uniform(2.5, 3.6) / mpp
        window, distance = _around(center, 1.5 * radius, size_hw)
        disc = np.clip((radius - distance) / soft_px, 0, 1)
        dent = 1 - 0.4 * np.exp(-((distance / (0.5 * radius)) ** 2))
        drawn[window] = np.maximum(drawn[window], strength * disc * dent)
    return drawn


def _crystals(
    rng: np.random.Generator, size_hw: tuple[int, int], mpp: float
) -> np.ndarray:
    """Refractile grains: bright inside, dark around; f32 [H, W], below 0 if bright."""
    drawn = np.zeros(size_hw, np.float32)
    for _ in range(rng.poisson(rng.uniform(2, 12) * np.prod(size_hw) * mpp**2 / 1e4)):
        radius = rng.uniform(0.6, 2.5) / mpp
        window, distance = _around(rng.uniform(0, size_hw), 3 * radius, size_hw)
        inside = np.exp(-((distance / radius) ** 4))
        ring = np.exp(-(((distance - 1.5 * radius) / (0.35 * radius)) ** 2))
        drawn[window] += rng.uniform(0.3, 1) * (0.12 * ring - 0.15 * inside)
    return drawn


def _fold(rng: np.random.Generator, size_hw: tuple[int, int], mpp: float) -> np.ndarray:
    """A dark wavy band across the image; f32 [H, W]."""
    y, x = np.ogrid[: size_hw[0], : size_hw[1]]
    angle, middle = rng.uniform(0, np.pi), rng.uniform(0.1, 0.9, 2) * size_hw
    away = (y - middle[0]) * np.cos(angle) - (x - middle[1]) * np.sin(angle)
    away = away * mpp + 6 * layout_lib.noise_field(rng, size_hw, 40 / mpp)
    band = np.exp(-((away / rng.uniform(2, 9)) ** 2))
    streaks = 1 + 0.3 * layout_lib.noise_field(rng, size_hw, 3 / mpp)
    return (rng.uniform(0.1, 0.4) * band * np.clip(streaks, 0, None)).astype(np.float32)


def _around(
    center: np.ndarray, reach: float, size_hw: tuple[int, int]
) -> tuple[tuple[slice, slice], np.ndarray]:
    """A window of the image around a centre and its pixels' distance from it, px."""
    low = np.clip(np.floor(center - reach), 0, size_hw).astype(int)
    high = np.clip(np.ceil(center + reach), 0, size_hw).astype(int)
    y = np.arange(low[0], high[0])[:, None] + 0.5 - center[0]
    x = np.arange(low[1], high[1])[None] + 0.5 - center[1]
    return (slice(low[0], high[0]), slice(low[1], high[1])), np.hypot(y, x)
