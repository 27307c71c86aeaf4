"""What cells stand out in: one number a pixel, high where there is a cell."""

import numpy as np
from scipy import ndimage

from cellrec_jax.data.pixels import colors

SIGNALS = ("density", "stains", "light", "contrast")


def filled(image: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """An image [H, W, C] with the median of its `valid` pixels [H, W] elsewhere."""
    if valid.all():
        return image
    middle = np.median(image[valid], axis=0) if valid.any() else 0
    return np.where(valid[..., None], image, middle).astype(np.float32)


def signal(image: np.ndarray, kind: str, sigma: float) -> np.ndarray:
    """The signal f32 [H, W] of an image f32 [H, W, 1 | 3] in [0, 1]; see `SIGNALS`.

    "stains" is haematoxylin and DAB, each at least 0; "density" the mean optical
    density; "light" the mean of the channels; "contrast" how far that is from its mean
    over a Gaussian of `sigma` px, which the others do not read.
    """
    if kind == "stains":
        amounts = np.maximum(colors.stains(_rgb(image)), 0)
        return amounts[..., 0] + amounts[..., 2]
    if kind == "density":
        return colors.optical_density(image).mean(axis=-1)
    light = image.mean(axis=-1, dtype=np.float32)
    if kind == "light":
        return light
    around = ndimage.gaussian_filter(light, sigma, mode="nearest")
    return np.abs(light - around)


def dab(image: np.ndarray, points_yx: np.ndarray, radius_px: float) -> np.ndarray:
    """Mean DAB, at least 0, of the pixels within `radius_px` of points [N, 2]: [N].

    Of an image f32 [H, W, 1 | 3] in [0, 1]; pixels outside of it do not count.
    """
    brown = np.maximum(colors.stains(_rgb(image))[..., 2], 0)
    reach = int(np.ceil(radius_px))
    steps = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    steps = steps[(steps**2).sum(axis=1) <= radius_px**2]
    places = np.floor(points_yx).astype(int)[:, None] + steps[None]
    last = np.array(brown.shape) - 1
    inside = ((places >= 0) & (places <= last)).all(axis=-1)
    y, x = np.moveaxis(np.clip(places, 0, last), -1, 0)
    return (brown[y, x] * inside).sum(axis=1) / np.maximum(inside.sum(axis=1), 1)


def _rgb(image: np.ndarray) -> np.ndarray:
    """Grey as three equal channels."""
    return np.broadcast_to(image, (*image.shape[:2], 3))
