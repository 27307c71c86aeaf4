"""Refuses coordinates that are no px: shares of the picture, or per cent of it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from etils.epath import Path
import numpy as np

from cellrec_jax.data.pixels.images import read_size
from cellrec_jax.errors import DataError

_SLACK = 0.1  # of 1: annotators leave the picture a little
_BY_CHANCE = 1e-4
_MIN_POINTS = 10  # of a set in per cent
_MIN_SIDE = 200  # px of all its images
_FEW_IMAGES = 50  # whose sizes are looked at


def check_shares(points_yx: np.ndarray, size_hw: tuple[int, int], place: str) -> None:
    """`DataError` if all points [N, 2] of an image lie within one px, by fractions.

    Few points on few px may lie so by chance, and pass; so do clicks on one px.
    """
    points_yx = points_yx[np.isfinite(points_yx).all(-1)]
    height, width = size_hw
    by_chance = (1 / max(2, height * width)) ** len(points_yx)
    if not len(points_yx) or by_chance > _BY_CHANCE or not _has_fractions(points_yx):
        return
    if points_yx.min() >= -_SLACK and points_yx.max() <= 1 + _SLACK:
        raise DataError(
            f"{place}: all {len(points_yx)} cells lie within 1 px of the corner: "
            "coordinates are shares of the image; multiply x by "
            f"{width} (its width) and y by {height} (its height)"
        )


class Extent(NamedTuple):
    """What points of a set span, in any order of axes."""

    num_points: int
    low: np.ndarray
    """[2] least values."""
    high: np.ndarray
    """[2] greatest values."""
    has_fractions: bool


def extent(points: np.ndarray) -> Extent:
    """Extent of points [N, 2], those that are no numbers aside."""
    points = points[np.isfinite(points).all(-1)]
    low = points.min(0, initial=np.inf)
    return Extent(
        len(points), low, points.max(0, initial=-np.inf), _has_fractions(points)
    )


def check_percent(
    extents: Iterable[Extent], images: Mapping[str, Path], place: str
) -> None:
    """`DataError` if all points of a set look like per cent of larger images."""
    numbers, lows, highs, fractions = zip(*extents, strict=True)
    num_points, high = sum(numbers), np.max(highs, axis=0)
    if num_points < _MIN_POINTS or not any(fractions) or np.min(lows) < 0:
        return
    if high.max() > 100 or high.min() <= 50:
        return
    if all(
        min(read_size(file)) > _MIN_SIDE for file in [*images.values()][:_FEW_IMAGES]
    ):
        raise DataError(
            f"{place}: all {num_points} cells lie within the first 100 px of much "
            "larger images: coordinates are per cent; multiply x by width / 100 and y "
            "by height / 100"
        )


def _has_fractions(points: np.ndarray) -> bool:
    """Whether any value is neither whole nor the middle of a px."""
    with np.errstate(all="ignore"):
        return bool((points * 2 % 1 != 0).any())
