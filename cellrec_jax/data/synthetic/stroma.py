"""Stroma of a Ki-67 slide: fibres, fibroblasts and lymphocytes.

Whom annotators mark, by the sets that were looked at: small round nuclei as negative
cells; spindles as thin as fibres not; plump ones in some sets and not in others, so
they count neither as cells nor as background (`Record.ignore`).
"""

from typing import NamedTuple

import numpy as np

from cellrec_jax.data.synthetic import layout as layout_lib
from cellrec_jax.data.synthetic import stain


class Stroma(NamedTuple):
    """Nuclei of the stroma by what their annotation says."""

    negative: list[layout_lib.Nucleus]
    doubtful: list[layout_lib.Nucleus]
    unmarked: list[layout_lib.Nucleus]


class _Kind(NamedTuple):
    per_mm2: float
    long_um: tuple[float, float]
    short_um: tuple[float, float]
    haematoxylin: tuple[float, float]
    brown: float  # share that is brown
    turned: float  # deviation from the fibres' direction, radians


_KINDS = (
    _Kind(2500, (1.9, 2.7), (1.7, 2.5), (0.2, 0.65), 0.0, 3.0),  # lymphocytes
    _Kind(900, (4.0, 6.5), (1.5, 2.4), (0.1, 0.4), 0.08, 0.4),  # plump spindles
    _Kind(2000, (3.5, 8.0), (0.55, 1.05), (0.08, 0.5), 0.04, 0.25),  # thin ones
)


def plan(
    rng: np.random.Generator,
    room: np.ndarray,
    cells_yx: np.ndarray,
    fibre_angle: float,
    mpp: float,
) -> Stroma:
    """Draws nuclei where `room` [H, W] in [0, 1] lets them, off `cells_yx` [N, 2]."""
    size_hw = (room.shape[0], room.shape[1])
    bend = 0.5 * layout_lib.noise_field(rng, size_hw, 30 / mpp)
    taken, made = cells_yx, []
    for kind in _KINDS:
        crowds = layout_lib.noise_field(rng, size_hw, 20 / mpp)
        chance = room * np.clip(0.5 + 0.7 * crowds, 0.02, 1)
        area_mm2 = chance.sum() * (mpp / 1000) ** 2
        wanted = rng.poisson(area_mm2 * kind.per_mm2 * rng.lognormal(0, 1.0))
        apart_px = (layout_lib.RADIUS_UM + kind.short_um[1]) / mpp
        places = layout_lib.throw(
            rng, chance, wanted, apart_px, taken_yx=taken, tries_per_point=6
        )
        taken = np.concatenate([taken, places])
        angles = fibre_angle + bend[tuple(places.astype(int).T)]
        made.append(
            [
                _nucleus(rng, kind, place, float(angle), mpp)
                for place, angle in zip(places, angles, strict=True)
            ]
        )
    return Stroma(*made)


def _nucleus(
    rng: np.random.Generator, kind: _Kind, place: np.ndarray, angle: float, mpp: float
) -> layout_lib.Nucleus:
    """One nucleus of a kind."""
    low, high = np.array([kind.long_um, kind.short_um]).T
    radii = rng.uniform(low, high) / mpp
    brown = rng.uniform() < kind.brown
    return layout_lib.Nucleus(
        (float(place[0]), float(place[1])),
        (float(radii.max()), float(radii.min())),
        angle + rng.normal(0, kind.turned),
        rng.uniform(0.03, 0.12),
        rng.uniform(*kind.haematoxylin),
        rng.uniform(0.2, 1.2) if brown else 0.0,
        rng.uniform(0.05, 0.5),
        0.0,
        rng.uniform(0.3, 0.8) / mpp,
    )


def fibres(
    rng: np.random.Generator, room: np.ndarray, fibre_angle: float, mpp: float
) -> np.ndarray:
    """Density of strands of several widths, f32 [H, W] >= 0, in units of a dark one."""
    size_hw = (room.shape[0], room.shape[1])
    made = np.zeros(size_hw, np.float32)
    for width in (0.6, 1.5, 4.0):
        strength = rng.uniform(0, 1) * (rng.uniform() < 0.7)
        warp = layout_lib.noise_field(rng, size_hw, rng.uniform(8, 25) / mpp)
        angle = fibre_angle + rng.normal(0, 0.2)
        made += strength * stain.fibre_field(rng, warp * 1.5, angle, mpp / width)
    return room * made
