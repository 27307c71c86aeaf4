"""The colour of training images, to tell an image that is unlike them."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from cellrec_jax.data import example

T = TypeVar("T")

NUM_IMAGES = 16
"""Training images that are looked at."""
_MAX_SIDE = 1024  # px; larger images are looked at in steps
_LEAST = 12.0  # of 255; a smaller difference of mean colour is none
_SPREADS = 3.0  # times the difference between training images


class Look(NamedTuple):
    """What images look like, in 0..255 after scaling of their intensity."""

    mean_rgb: tuple[float, float, float]
    """Mean over images of their mean colours."""
    spread_rgb: tuple[float, float, float]
    """Standard deviation of the images' mean colours."""


def sample(items: Sequence[T], most: int = NUM_IMAGES) -> tuple[T, ...]:
    """At most so many ids or files, evenly spaced."""
    number = min(most, len(items))
    places = np.linspace(0, len(items) - 1, number).round().astype(int)
    return tuple(items[place] for place in places)


def mean_rgb(image: np.ndarray, intensity: str = "auto") -> np.ndarray:
    """Mean colour, f64 [3] in 0..255, of an image [H, W, 1 | 3] as it is read."""
    step = max(1, -(-max(image.shape[:2]) // _MAX_SIDE))
    scaled = example.scale_intensity(image[::step, ::step], intensity)
    scale = 1.0 if scaled.dtype == np.uint8 else 255.0
    return np.broadcast_to(scale * scaled.mean(axis=(0, 1), dtype=np.float64), 3)


def look_of(colors: Sequence[np.ndarray]) -> Look | None:
    """Of mean colours [3] of some images; None of none."""
    if not colors:
        return None
    return Look(_rgb(np.mean(colors, axis=0)), _rgb(np.std(colors, axis=0)))


def differs(look: Look, color: np.ndarray) -> bool:
    """Whether a mean colour is outside of what training images have."""
    least = np.maximum(_LEAST, _SPREADS * np.asarray(look.spread_rgb))
    return bool(np.any(np.abs(color - np.asarray(look.mean_rgb)) > least))


def _rgb(values: np.ndarray) -> tuple[float, float, float]:
    red, green, blue = (round(float(value), 2) for value in values)
    return red, green, blue
