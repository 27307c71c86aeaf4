"""How many cells there are where: counts in bins, as an image for slide viewers."""

from collections.abc import Iterator, Mapping, Sequence
import json
import math
import os
from typing import Any

import numpy as np

from cellrec_jax import errors
from cellrec_jax.io import atomic

_TILE = 256
_SMALLEST = 512  # px of the last level's longer side
_COLORS = "magma_r"


def new_counts(size_hw: Sequence[int], bin_px: float) -> np.ndarray:
    """Zeros u32 [h, w]: bins of `bin_px` that cover an image of H x W px."""
    height, width = (math.ceil(size / bin_px) for size in size_hw)
    return np.zeros((height, width), np.uint32)


def add_counts(counts: np.ndarray, points_yx: np.ndarray, bin_px: float) -> None:
    """Counts cells [N, 2] in px of the image, in place; outside, in the nearest bin.

    DataError where a point is not finite.
    """
    if not np.isfinite(points_yx).all():
        raise errors.DataError("a cell to be counted is not at finite (y, x)")
    bins = np.floor(np.asarray(points_yx, np.float64) / bin_px)
    y, x = np.clip(bins, 0, np.array(counts.shape) - 1).astype(np.int64).T
    np.add.at(counts, (y, x), 1)


def write_density_map(
    path: str | os.PathLike[str],
    counts: np.ndarray,
    bin_um: float | None = None,
    *,
    maximum: float | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Draws counts [h, w] as a tiled pyramid of RGB TIFF, a pixel a bin.

    White is no cell; from pale to dark up to `maximum` (the largest count if None), in
    steps of a 255th of it; what is above has its colour. Levels are halved, means of
    counts, until their longer side has 512 px or less, so that OpenSlide and QuPath
    open it. `bin_um`, the side of a bin in um, is the pixel size, unknown if None. The
    description is JSON: the scale and `metadata`. RunError if the file cannot be
    written.
    """
    import tifffile

    largest = int(counts.max(initial=0))
    maximum = largest if maximum is None else maximum
    scale = {
        "content": "cells a bin",
        "maximum": maximum,
        "largest": largest,
        "bin_um": bin_um,
        **_per_mm2(bin_um, maximum, largest),
        "colors": f"white, then {_COLORS} of matplotlib",
    }
    description = json.dumps({**scale, **(metadata or {})})
    colors = _colors()
    with (
        atomic.atomic_path(path) as temporary,
        tifffile.TiffWriter(temporary) as file,
    ):
        for level, density in enumerate(_levels(counts)):
            shades = np.minimum(np.ceil(density * 255 / (maximum or 1)), 255)
            file.write(
                colors[shades.astype(np.uint8)],
                photometric="rgb",
                tile=(_TILE, _TILE),
                compression="zlib",
                subfiletype=1 if level else 0,  # 1: reduced
                description=description if level == 0 else None,
                metadata=None,
                software="cellrec_jax",
                **_resolution(bin_um, 2**level),
            )


def _per_mm2(bin_um: float | None, maximum: float, largest: int) -> dict[str, float]:
    """The scale in cells per mm2; nothing where the size of a bin is unknown."""
    if bin_um is None:
        return {}
    per_mm2 = 1e6 / bin_um**2
    names = {"maximum_per_mm2": maximum, "largest_per_mm2": largest}
    return {name: float(f"{count * per_mm2:.6g}") for name, count in names.items()}


def write_counts(
    path: str | os.PathLike[str], counts: np.ndarray, bin_um: float | None = None
) -> None:
    """Writes counts [h, w] themselves: a grey TIFF of 16 bits, or of 32 if needed."""
    import tifffile

    kind = np.uint16 if counts.max(initial=0) < 2**16 else np.uint32
    with atomic.atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            counts.astype(kind),
            photometric="minisblack",
            tile=(_TILE, _TILE),
            compression="zlib",
            metadata=None,
            software="cellrec_jax",
            **_resolution(bin_um, 1),
        )


def _levels(counts: np.ndarray) -> Iterator[np.ndarray]:
    """Counts f32 [h, w], and means of them in levels of half the size each."""
    density = counts.astype(np.float32)
    yield density
    while max(density.shape) > _SMALLEST:
        # A row or column too few is repeated, which leaves its mean as it is.
        odd = [(0, size % 2) for size in density.shape]
        height, width = (math.ceil(size / 2) for size in density.shape)
        padded = np.pad(density, odd, mode="edge").reshape(height, 2, width, 2)
        density = padded.mean((1, 3))
        yield density


def _colors() -> np.ndarray:
    """U8 [256, 3]: of no cell, and of 255 steps that are even to the eye."""
    import matplotlib as mpl

    steps = mpl.colormaps[_COLORS](np.linspace(0, 1, 255), bytes=True)[:, :3]
    return np.concatenate([np.full((1, 3), 255, np.uint8), steps])


def _resolution(bin_um: float | None, downsample: int) -> dict[str, Any]:
    """Px a cm; nothing where the size of a px is unknown."""
    if bin_um is None:
        return {}
    per_cm = 1e4 / (bin_um * downsample)
    return {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
