"""Turns stain maps of a synthetic image into the picture a scanner would take.

Beer-Lambert: light of each colour falls by 10^-(density), and densities of stains add.
Stain colours: Ruifrok and Johnston, Quantification of histochemical staining by colour
deconvolution, 2001, Table 1.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from cellrec_jax.data.synthetic import layout as synthetic_layout
from cellrec_jax.data.synthetic import nuclei as synthetic_nuclei

HAEMATOXYLIN_RGB = np.array([0.650, 0.704, 0.286])
"""Optical density of haematoxylin in red, green, blue; unit length."""
DAB_RGB = np.array([0.268, 0.570, 0.776])
"""Optical density of DAB in red, green, blue; unit length."""
TINTS = np.array([[0.17, -0.15, -0.13], [-0.02, -0.13, 0.09]])
"""Ki-67 slides are bluer and of a yellower brown than the table; its share varies."""


class Scanner(NamedTuple):
    """What differs between images although the tissue is the same."""

    stains_rgb: np.ndarray
    """[2, 3] optical density of haematoxylin and DAB, rows of unit length."""
    white_rgb: np.ndarray
    """[3] colour of empty glass in [0, 1]."""
    blur_px: float
    sharpening: float
    """Strength of the scanner's own sharpening, which leaves pale halos."""
    noise: float
    """Standard deviation of the sensor noise, in [0, 1]."""


def draw_scanner(rng: np.random.Generator, mpp: float) -> Scanner:
    """Draws how one image was stained and scanned; `mpp` in um per px."""
    stains = np.stack([HAEMATOXYLIN_RGB, DAB_RGB])
    stains += rng.uniform(0.2, 1.1, (2, 1)) * TINTS + rng.normal(0, 0.025, (2, 3))
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    white = np.array([0.89, 0.875, 0.82]) + rng.normal(0, 0.025)
    return Scanner(
        stains,
        np.clip(white + rng.normal(0, 0.006, 3), 0.7, 0.98),
        rng.uniform(0.15, 0.4) / mpp,
        rng.uniform(0.0, 1.0),
        rng.uniform(0.006, 0.018),
    )


def add_background(
    rng: np.random.Generator,
    canvas: synthetic_nuclei.Canvas,
    layout: synthetic_layout.Layout,
    mpp: float,
) -> None:
    """Adds cytoplasm, stroma fibres and brown haze to both stains."""
    haematoxylin, dab, *_ = canvas
    size_hw = (dab.shape[0], dab.shape[1])
    patchy = synthetic_layout.noise_field(rng, size_hw, 5 / mpp)
    coarse = synthetic_layout.noise_field(rng, size_hw, 1.6 / mpp)
    cloudy = np.clip(0.6 + 0.5 * patchy + 0.4 * coarse, 0, None)
    cytoplasm = cloudy * layout.nests
    stroma = np.clip(1 - layout.nests + 0.2 * patchy, 0, 1)
    stroma *= np.clip(0.5 + synthetic_layout.noise_field(rng, size_hw, 12 / mpp), 0, 1)
    fibres = stroma * fibre_field(rng, patchy, layout.fibre_angle, mpp)
    haze = np.clip(synthetic_layout.noise_field(rng, size_hw, 6 / mpp) - 1.1, 0, None)
    haze *= np.clip(0.7 + 0.4 * coarse, 0, None)
    blue, brown, strands, blobs = rng.uniform((0, 0.01, 0.01, 0), (0.05, 0.07, 0.09, 1))
    haematoxylin += blue * cytoplasm + strands * fibres
    dab += brown * cytoplasm + 0.5 * brown * fibres + 0.35 * blobs**2 * haze


def fibre_field(
    rng: np.random.Generator, warp: np.ndarray, angle: float, mpp: float
) -> np.ndarray:
    """Wavy strands along `angle`: noise stretched that way. f32 [H, W], >= 0."""
    y, x = np.ogrid[: warp.shape[0], : warp.shape[1]]
    along = (x * np.cos(angle) + y * np.sin(angle)) * mpp / 12
    across = (y * np.cos(angle) - x * np.sin(angle)) * mpp / 1.5 + warp
    table = rng.standard_normal((128, 128), dtype=np.float32)
    noise = ndimage.map_coordinates(table, [across, along], order=1, mode="grid-wrap")
    noise *= np.abs(warp)
    return np.clip(noise, 0, None).astype(np.float32, copy=False)


def scan(
    rng: np.random.Generator,
    canvas: synthetic_nuclei.Canvas,
    scanner: Scanner,
    extra: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Takes the picture: mixes stains, blurs, sharpens, adds noise. uint8 [H, W, 3].

    `extra` is the optical density of what is of other colours, f32 [H, W, 3].
    """
    densities = np.stack([canvas.haematoxylin, canvas.dab], axis=-1)
    stains = scanner.stains_rgb.astype(np.float32)
    light = np.exp(-np.log(10) * (densities @ stains + extra), dtype=np.float32)
    light *= scanner.white_rgb.astype(np.float32)
    sigma = (scanner.blur_px, scanner.blur_px, 0)
    light = ndimage.gaussian_filter(light, sigma, mode="nearest", truncate=3.0)
    wide = (2.0, 2.0, 0)
    halo = light - ndimage.gaussian_filter(light, wide, mode="nearest", truncate=2.0)
    light += scanner.sharpening * halo
    noise = rng.standard_normal((*canvas.dab.shape, 3), dtype=np.float32)
    light += scanner.noise * ndimage.gaussian_filter(noise, (0.5, 0.5, 0)) * 1.5
    black = 0.04  # scanners cut the darkest tones, so strong DAB turns black
    light = (light - black) / (1 - black)
    return np.round(np.clip(light, 0, 1) * 255).astype(np.uint8)
