"""A phase-contrast microscope with a 12-bit camera.

A ring dims and delays unchanged light, so that delays become brightness. It also
catches light that was bent a little, which gives the halos.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from cellrec_jax.data.synthetic import layout as synthetic_layout

FULL_SCALE = 4095
"""Largest value of a 12-bit camera."""
_READ_NOISE = 4.0


class Microscope(NamedTuple):
    """What is fixed while one specimen is looked at."""

    ring: float
    """Amplitude that the ring lets pass, in (0, 1); a low one gives more contrast.
    Below 0 light is delayed the other way, by which cells are bright."""
    halos: tuple[tuple[float, float], ...]
    """Width in px, and share of bent light that the ring catches, of each halo."""
    light: np.ndarray
    """f32 [H, W] illumination, about 1."""
    exposure: float
    """Value of an empty place on the camera."""
    gain: float
    """Values per electron; shot noise grows with its root."""
    blur_px: float
    """Standard deviation of the point spread."""


def draw_microscope(
    rng: np.random.Generator,
    size_hw: tuple[int, int],
    brightness: float,
    *,
    negative: bool = False,
) -> Microscope:
    """Draws a microscope; `brightness` of an empty place is a share of `FULL_SCALE`."""
    y, x = (np.linspace(-1, 1, length, dtype=np.float32) for length in size_hw)
    lamp_y, lamp_x = rng.uniform(-0.5, 0.5, 2)
    falloff = rng.uniform(0.02, 0.08)
    light = 1.04 - falloff * ((y[:, None] - lamp_y) ** 2 + (x[None] - lamp_x) ** 2)
    clouds = synthetic_layout.noise_field(rng, size_hw, max(8.0, min(size_hw) / 6))
    return Microscope(
        ring=rng.uniform(0.65, 0.8) * (-1 if negative else 1),
        halos=(
            (rng.uniform(2.6, 3.4), rng.uniform(0.6, 0.7)),
            (rng.uniform(10, 14), rng.uniform(0.4, 0.5)),
        ),
        light=(light + rng.uniform(0.005, 0.02) * clouds).astype(np.float32),
        exposure=FULL_SCALE * brightness * rng.uniform(0.92, 1.08),
        gain=rng.uniform(0.06, 0.15),
        blur_px=rng.uniform(0.6, 0.85),
    )


def expose(
    rng: np.random.Generator,
    microscope: Microscope,
    phase: np.ndarray,
    absorption: np.ndarray,
) -> np.ndarray:
    """Takes one picture, uint16 [H, W] in 0..4095.

    With u the amplitude behind the specimen, 1 where it is empty, and c what the ring
    catches of it (1 plus the blurred rest of u), light is |u - c - i ring c|^2. The
    delay `phase` is in radians, `absorption` a density of amplitude, natural logarithm.
    """
    amplitude = np.exp(-absorption)
    bent_re = amplitude * np.cos(phase) - 1
    bent_im = amplitude * np.sin(phase)
    near_re, near_im = (_caught(bent, microscope.halos) for bent in (bent_re, bent_im))
    seen_re = bent_re - near_re + microscope.ring * near_im
    seen_im = bent_im - near_im - microscope.ring * (1 + near_re)
    light = (seen_re**2 + seen_im**2) / microscope.ring**2
    light = ndimage.gaussian_filter(light * microscope.light, microscope.blur_px)
    values = microscope.exposure * light
    spread = np.sqrt(microscope.gain * values + _READ_NOISE**2)
    values += spread * rng.standard_normal(values.shape, dtype=np.float32)
    return np.clip(np.round(values), 0, FULL_SCALE).astype(np.uint16)


def _caught(bent: np.ndarray, halos: tuple[tuple[float, float], ...]) -> np.ndarray:
    """The part of bent light [H, W] that the ring catches."""
    blurred = [
        share * ndimage.gaussian_filter(bent, width, truncate=3.0)
        for width, share in halos
    ]
    return np.sum(blurred, axis=0)
