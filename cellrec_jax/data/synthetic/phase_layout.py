"""Where cells and dirt of a synthetic phase-contrast dish lie."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from cellrec_jax.data.synthetic import layout as synthetic_layout
from cellrec_jax.data.synthetic import phase_cells as synthetic_phase_cells

_MEGAPIXEL = 1024**2
_WALL_GAP_PX = 14.0  # of a centre from the wall of its well


class Preset(NamedTuple):
    """A kind of culture; pairs are ranges, lengths in px."""

    per_megapixel: tuple[float, float]
    """Cells in 1024 x 1024 px."""
    gap_px: float
    """Least distance of two centres."""
    crowding: float
    """How much cells keep to some places, 0 (not at all) to 1."""
    shares: tuple[float, float, float]
    """Of spindles, stars and round cells; the rest is about to divide."""
    body_px: tuple[float, float]
    """Half the width of a spread cell."""
    arm_px: tuple[float, float]
    """From a spread cell's centre to the end of an arm."""
    round_px: tuple[float, float]
    """Radius of a round cell."""
    phase: tuple[float, float]
    """Of spread and round cells at the centre, radians."""
    absorption: tuple[float, float]
    specks_per_megapixel: Mapping[str, tuple[float, float]]
    """Dirt by its name in `synthetic_phase_cells.SPECKS`."""
    well_chance: float
    brightness: float
    """Of an empty place, as a share of the camera's range."""
    mpp: float
    negative: bool = False
    """Negative phase contrast: bodies are bright and halos dark."""


PRESETS = {
    "c2c12": Preset(
        per_megapixel=(90, 150),
        gap_px=16.0,
        crowding=1.0,
        shares=(0.68, 0.20, 0.04),
        body_px=(6.5, 10.0),
        arm_px=(18.0, 38.0),
        round_px=(8.5, 11.0),
        phase=(0.38, 0.75),
        absorption=(0.0, 0.05),
        specks_per_megapixel={
            "grain": (40, 150),
            "crumb": (10, 50),
            "bright": (2, 12),
            "clump": (0, 6),
            "ghost": (0, 6),
        },
        well_chance=0.15,
        brightness=0.40,
        mpp=1.3,
    ),
    "hsc": Preset(
        per_megapixel=(40, 150),
        gap_px=17.0,
        crowding=0.6,
        shares=(0.0, 0.03, 0.93),
        body_px=(7.5, 9.0),
        arm_px=(11.0, 17.0),
        round_px=(8.5, 11.5),
        phase=(0.4, 0.8),
        absorption=(0.1, 0.25),
        specks_per_megapixel={
            "grain": (100, 300),
            "crumb": (40, 150),
            "bright": (5, 30),
            "clump": (40, 120),
            "ghost": (60, 160),
        },
        well_chance=0.5,
        brightness=0.45,
        mpp=0.645,
    ),
}
PRESETS["hsc_bright"] = PRESETS["hsc"]._replace(
    absorption=(0.0, 0.05), brightness=0.25, negative=True
)


def plan(
    rng: np.random.Generator, preset: Preset, inside_px: np.ndarray
) -> list[synthetic_phase_cells.Cell]:
    """Draws one or more cells, `gap_px` or more apart; `inside_px` is `draw_well`'s."""
    size_hw = inside_px.shape
    density = rng.uniform(*preset.per_megapixel)
    wanted = max(1, round(density * float((inside_px > 0).sum()) / _MEGAPIXEL))
    crowds = 1.2 * synthetic_layout.noise_field(rng, size_hw, 70) - 0.2
    chance = (1 - preset.crowding) + preset.crowding * np.clip(crowds, 0.02, 1)
    chance = chance * (inside_px > _WALL_GAP_PX)
    tries = rng.uniform(1, np.array(size_hw) - 1, (150 * wanted, 2))
    tries = tries[rng.uniform(size=len(tries)) < chance[tuple(tries.astype(int).T)]]
    centers: list[np.ndarray] = []
    for place in tries:
        if len(centers) == wanted:
            break
        if _is_free(place, centers, preset.gap_px):
            centers.append(place)
    if not centers:  # a tiny image
        centers = [np.array(np.unravel_index(inside_px.argmax(), size_hw)) + 0.5]
    # Neighbours lie side by side.
    flow = rng.uniform(0, np.pi) + 0.8 * synthetic_layout.noise_field(rng, size_hw, 60)
    return [_cell(rng, center, flow, preset) for center in centers]


def draw_well(
    rng: np.random.Generator, dish: synthetic_phase_cells.Dish, chance: float
) -> np.ndarray:
    """Adds the wall of a large round well to a share of dishes, in place.

    f32 [H, W] distance from it in px, negative outside the well; infinite without one.
    """
    size = np.array(dish.masks.shape)
    seen, away, share = rng.uniform(), rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 0.95)
    if seen >= chance:
        return np.full(size, np.inf, np.float32)
    radius = 1.6 * size.max()
    direction = np.array([np.sin(away), np.cos(away)])
    middle_yx = size / 2 + direction * (share * size.min() / 2 - radius)
    y, x = np.arange(size[0])[:, None] + 0.5, np.arange(size[1])[None] + 0.5
    inside_px = radius - np.hypot(y - middle_yx[0], x - middle_yx[1])
    wall = 1 / (1 + np.exp(np.clip(inside_px / 2.5, -30, 30)))
    ripples = np.cos(inside_px / 3.5) * np.exp(np.minimum(inside_px, 0) / 14)
    dish.phase[:] += wall * (1.0 + 0.3 * ripples)
    dish.absorption[:] += 0.45 * wall
    return inside_px.astype(np.float32)


def litter(
    rng: np.random.Generator, dish: synthetic_phase_cells.Dish, preset: Preset
) -> None:
    """Adds dirt to a dish, in place; more of it in some places than in others."""
    size_hw = dish.masks.shape
    dirt = 0.5 + 0.5 * synthetic_layout.noise_field(rng, size_hw, 50)
    for name, per_megapixel in preset.specks_per_megapixel.items():
        # About every second place is clean enough to be left so.
        wanted = 2 * rng.uniform(*per_megapixel) * dish.masks.size / _MEGAPIXEL
        places = rng.uniform(0, size_hw, (rng.poisson(wanted), 2))
        dirty = dirt[tuple(places.astype(int).T)]
        places = places[rng.uniform(size=len(places)) < dirty]
        specks = [synthetic_phase_cells.speck(rng, place, name) for place in places]
        synthetic_phase_cells.draw(dish, specks, annotated=False)


def _is_free(place: np.ndarray, taken: list[np.ndarray], gap_px: float) -> bool:
    """Whether a place is at least `gap_px` from all that are taken."""
    if not taken:
        return True
    return bool((np.hypot(*(np.array(taken) - place).T) > gap_px).all())


def _cell(
    rng: np.random.Generator, center_yx: np.ndarray, flow: np.ndarray, preset: Preset
) -> synthetic_phase_cells.Cell:
    """One cell; `flow` [H, W] is the direction of spindles in radians."""
    angle = float(flow[tuple(center_yx.astype(int))]) + rng.normal(0, 0.25)
    spindle, star, round_ = np.cumsum(preset.shares)
    draw, phase = rng.uniform(), rng.uniform(*preset.phase)
    absorption = rng.uniform(*preset.absorption)
    if draw < star:
        arms = [0.0, np.pi]
        if draw >= spindle:
            arms = list(np.linspace(0, 2 * np.pi, rng.integers(4, 6))[:-1])
        arms = [arm + rng.normal(0, 0.2) for arm in arms]
        radius = rng.uniform(*preset.body_px)
        # Narrow cells are thick, wide ones lie flat.
        phase *= np.sqrt(np.mean(preset.body_px) / radius)
        discs = synthetic_phase_cells.shape(rng, radius, arms, preset.arm_px)
        return synthetic_phase_cells.Cell(
            center_yx, angle, discs, phase, absorption, grain=0.15, dome=0.45, rough=1.0
        )
    if draw >= round_:  # about to divide: half a wave thick, and a lens for the light
        phase, absorption = rng.uniform(2.9, 3.5), -rng.uniform(0.5, 0.8)
    discs = synthetic_phase_cells.shape(rng, rng.uniform(*preset.round_px))
    return synthetic_phase_cells.Cell(
        center_yx, angle, discs, phase, absorption, grain=0.08, dome=0.8, rough=0.4
    )
