"""What training images look like, tile by tile, to tell a picture that is unlike them.

Optical density (-log10 of light) and texture of tiles are one Gaussian a model. A tile
is unlike where its squared Mahalanobis distance is beyond that of 99 % of the training
tiles, a picture where that is so of its median tile. Images are looked at in several
sizes, so that the scale of a picture need not be known.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cellrec_jax.data import example, looks, transforms

NUM_IMAGES = 64
"""Training images that are looked at."""
_TILE_PX = 256
_MOST_TILES = 16  # of a picture
_SCALES = (0.5, 1.0, 2.0)
_DARKEST = 1 / 255  # of light
_LEVELS = (0.05, 0.5, 0.95)  # of the pixels of a tile
_SHARPNESS = 0.01  # density a px; differences below it are noise
_SAME = 0.02  # density by which scanners differ
_LIMIT = 0.99  # of the training tiles
_NEARLY_EMPTY = 0.25  # of the least contrast of training images


class Appearance(NamedTuple):
    """Of some images' tiles; see `features` for the F numbers of a tile."""

    mean: tuple[float, ...]
    """F means."""
    covariance: tuple[tuple[float, ...], ...]
    """[F, F]."""
    limit: float
    """Squared distance from the mean below which 99 % of the tiles are."""
    least_contrast: float
    """Least contrast of an image, in optical density; see `_contrast`."""


def features(image: np.ndarray, intensity: str = "auto") -> np.ndarray:
    """Ten numbers of each of T tiles of an image [H, W, 1 | 3] as it is read, [T, F].

    The 5th, 50th and 95th percentile of optical density, of red, green and blue each,
    and the logarithm of its change from one px to the next. Tiles are 256 px, or the
    shorter side of the image; of many 16 are taken, spread over it.
    """
    height, width = image.shape[:2]
    side = min(_TILE_PX, height, width)
    corners = [
        (top, left)
        for top in range(0, height - side + 1, side)
        for left in range(0, width - side + 1, side)
    ]
    scaled = example.scale_intensity(image, intensity)
    return np.stack(
        [
            _of_tile(scaled[top : top + side, left : left + side])
            for top, left in looks.sample(corners, _MOST_TILES)
        ]
    )


def in_sizes(image: np.ndarray, intensity: str = "auto") -> np.ndarray:
    """`features` of an image in half, whole and double size, together."""
    sizes = np.multiply.outer(_SCALES, image.shape[:2])
    rounded = np.maximum(np.round(sizes), 2).astype(int).tolist()
    scaled = example.scale_intensity(image, intensity)
    return np.concatenate(
        [
            features(transforms.resize_image(scaled, (height, width)), intensity)
            for height, width in rounded
        ]
    )


def appearance_of(images: Sequence[np.ndarray]) -> Appearance:
    """Of the `features` of one image or more."""
    tiles = np.concatenate(images)
    mean = tiles.mean(axis=0)
    covariance = (tiles - mean).T @ (tiles - mean) / len(tiles)
    covariance += _SAME**2 * np.eye(len(mean))
    distances = _distances(tiles, mean, covariance)
    return Appearance(
        tuple(mean.tolist()),
        tuple(tuple(row) for row in covariance.tolist()),
        float(np.quantile(distances, _LIMIT)),
        min(_contrast(image) for image in images),
    )


def log_likelihood(known: Appearance, tiles: np.ndarray) -> float:
    """How probable the `features` of a picture are, of its median tile.

    To compare what several models know; up to a constant.
    """
    _, volume = np.linalg.slogdet(np.asarray(known.covariance))
    return float(-0.5 * (np.median(_of_known(known, tiles)) + volume))


def unlike(known: Appearance, tiles: np.ndarray) -> float:
    """How unlike a picture of these `features` is: below 1 as training images are."""
    return float(np.median(_of_known(known, tiles)) / known.limit)


def difference(known: Appearance, tiles: np.ndarray) -> str:
    """That a picture of these `features` is unlike training images; "" if it is not."""
    if _contrast(tiles) < _NEARLY_EMPTY * known.least_contrast:
        return "looks unlike what the model knows: nearly empty"
    far = unlike(known, tiles)
    if far < 1:
        return ""
    return f"looks unlike what the model knows ({far:.1f}, where 1 is the limit)"


def _of_known(known: Appearance, tiles: np.ndarray) -> np.ndarray:
    return _distances(tiles, np.asarray(known.mean), np.asarray(known.covariance))


def _distances(
    tiles: np.ndarray, mean: np.ndarray, covariance: np.ndarray
) -> np.ndarray:
    """Squared Mahalanobis distances, f64 [T]."""
    apart = tiles - mean
    return np.einsum("tf,ft->t", apart, np.linalg.solve(covariance, apart.T))


def _contrast(tiles: np.ndarray) -> float:
    """From the 5th to the 95th percentile of density, of the tile with the most."""
    return float(np.max(tiles[:, 6:9].mean(axis=1) - tiles[:, :3].mean(axis=1)))


def _of_tile(tile: np.ndarray) -> np.ndarray:
    """The features of one tile, uint8 or f32 in [0, 1], f64 [F]."""
    light = tile / 255 if tile.dtype == np.uint8 else tile
    density = -np.log10(np.clip(light, _DARKEST, 1.0).astype(np.float64))
    density = np.broadcast_to(density, (*density.shape[:2], 3))
    levels = np.quantile(density, _LEVELS, axis=(0, 1))
    grey = density.mean(axis=2)
    steps = [np.diff(grey, axis=axis) for axis in (0, 1)]
    change = sum(np.abs(step).mean() for step in steps if step.size)  # 1 px has none
    return np.append(levels.ravel(), np.log(change + _SHARPNESS))
