"""Refuses coordinates that are no px: shares of the picture, or per cent of it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from etils.epath import Path
import numpy as np

from cellrec_jax.data.pixels.images import read_size
from cellrec_jax.errors import DataError

_SLACK = 0.1  # of 1: annotators leave the picture a little
_BY_CHANCE = 1e-8  # of one image among many
_MIN_POINTS = 10  # of a set in per cent
_MIN_SIDE = 200  # px of all its images
_MIN_SIDE_OF_SHARES = 16
_FEW_IMAGES = 50  # whose sizes are looked at


def check_shares(points_yx: np.ndarray, size_hw: tuple[int, int], place: str) -> None:
    """`DataError` if all points [N, 2] of an image lie within one px, by fractions.

    Few points on few px may lie so by chance, and pass; so do clicks on one px.
    """
    found = extent(points_yx)
    height, width = size_hw
    by_chance = (1 / max(2, height * width)) ** found.num_points
    if by_chance < _BY_CHANCE and _are_shares(found):
        raise DataError(
            f"{place}: all {found.num_points} cells lie within 1 px of the corner: "
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


def check_set(
    extents: Iterable[Extent], images: Mapping[str, Path], place: str
) -> None:
    """`DataError` if all points of a set look like shares or per cent of its images."""
    numbers, lows, highs, fractions = zip(*extents, strict=True)
    low, high = np.min(lows, axis=0), np.max(highs, axis=0)
    found = Extent(sum(numbers), low, high, any(fractions))
    if found.num_points > 1 and _are_shares(found):
        unit, least, to_px = "shares of the images", _MIN_SIDE_OF_SHARES, ""
    elif found.num_points >= _MIN_POINTS and _are_percent(found):
        unit, least, to_px = "per cent of the images", _MIN_SIDE, " / 100"
    else:
        return
    sizes = [read_size(file) for file in [*images.values()][:_FEW_IMAGES]]
    if np.min(sizes) > least:
        raise DataError(
            f"{place}: all {found.num_points} cells lie at {high.max():.3g} px or less "
            f"of images of {np.min(sizes)} px and more: coordinates are {unit}; "
            f"multiply x by width{to_px} and y by height{to_px}"
        )


def _are_shares(found: Extent) -> bool:
    inside = found.low.min() >= -_SLACK and found.high.max() <= 1 + _SLACK
    return bool(found.num_points and found.has_fractions and inside)


def _are_percent(found: Extent) -> bool:
    inside = found.low.min() >= 0 and found.high.max() <= 100
    return bool(found.has_fractions and inside and found.high.min() > 50)


def _has_fractions(points: np.ndarray) -> bool:
    """Whether any value is neither whole nor the middle of a px."""
    with np.errstate(all="ignore"):
        return bool((points * 2 % 1 != 0).any())
