"""Pictures of any size become tiles as large as a model's training images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from etils import epath
import numpy as np
from PIL import Image

from cellrec_jax.data import example, transforms
from cellrec_jax.data.pixels import images
from cellrec_jax.io import atomic
from cellrec_jax.predict.frame import Frame


class Place(NamedTuple):
    """Where a tile lies in a picture."""

    path: Path
    top: int
    left: int
    """px of the picture at the scale of the training images."""


def starts(length: int, side: int) -> list[int]:
    """Where tiles of a side begin so that they cover a length, evenly spaced.

    Example:
      >>> starts(100, 40)
      [0, 30, 60]
    """
    if length <= side:
        return [0]
    number = -(-length // side)
    return np.linspace(0, length - side, number).round().astype(int).tolist()


def places(mpps: Mapping[Path, float], frame: Frame) -> list[Place]:
    """All tiles of pictures, path -> um per px, 0 unknown."""
    found = []
    for path, mpp in mpps.items():
        height, width = _scaled_hw(images.sizes(path).shown_hw, mpp, frame)
        found += [
            Place(path, top, left)
            for top in starts(height, frame.native_hw[0])
            for left in starts(width, frame.native_hw[1])
        ]
    return found


def draw(there: Sequence[Place], most: int, seed: int) -> list[Place]:
    """So many of them at random, in order, or all."""
    if len(there) <= most:
        return list(there)
    rng = np.random.default_rng(seed)
    return [there[i] for i in np.sort(rng.choice(len(there), most, replace=False))]


def write(
    chosen: Sequence[Place],
    mpps: Mapping[Path, float],
    folder: epath.Path,
    frame: Frame,
) -> None:
    """Writes tiles as PNG of `frame.native_hw`, all or none; `mpps` as of `places`.

    Where a pixel size is known, at the training images' scale. What is smaller than a
    tile is mirrored at its edges.
    """
    height, width = frame.native_hw
    with atomic.atomic_folder(folder) as output:
        for number, path in enumerate(dict.fromkeys(place.path for place in chosen)):
            whole = _scaled(path, mpps[path], frame)
            for _, top, left in (place for place in chosen if place.path == path):
                tile = whole[top : top + height, left : left + width]
                pads = [(0, height - tile.shape[0]), (0, width - tile.shape[1]), (0, 0)]
                tile = np.pad(tile, pads, mode="symmetric")
                name = f"{number:04d}_{path.stem}_{top}_{left}.png"
                Image.fromarray(tile).save(output / name)


def _scaled(path: Path, mpp: float, frame: Frame) -> np.ndarray:
    """A picture, uint8 [H, W, 3], at the training images' scale."""
    pixels = example.scale_intensity(images.load(path).pixels, frame.intensity)
    scaled = transforms.resize_image(pixels, _scaled_hw(pixels.shape[:2], mpp, frame))
    if scaled.dtype == np.uint8:
        return scaled
    return np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8)


def _scaled_hw(native_hw: Sequence[int], mpp: float, frame: Frame) -> tuple[int, int]:
    scaled = np.round(np.asarray(native_hw) * frame.ratio(mpp))
    height, width = np.maximum(1, scaled).astype(int).tolist()
    return height, width
