"""What is no label image though it looks like one: masks, classes, smeared ids."""

from collections.abc import Iterable

from etils.epath import Path
import numpy as np

from cellrec_jax.errors import DataError

MAX_PARTS = 4
"""Ids in more parts than this, on average, are of classes or tissue, not of cells."""
_MIN_BETWEEN = 16  # px; fewer are thin ends of cells that touch
_BETWEEN_SHARE = 0.25  # of the pixels at borders


def check_parts(parts: np.ndarray, place: str) -> None:
    """`DataError` if ids, with `parts` [N] connected parts, are not of single cells."""
    if len(parts) == 0 or parts.mean() <= MAX_PARTS:
        return
    if len(parts) == 1:
        raise DataError(
            f"{place} has a single id in {parts[0]} parts: it marks cells, not each "
            "cell; number its parts first"
        )
    raise DataError(
        f"{place} has {len(parts)} ids in {parts.sum()} parts: ids are classes, not "
        "cells; give each cell an id of its own"
    )


def check_mask(ids: np.ndarray, parts: np.ndarray, file: Path) -> None:
    """`DataError` for a mask of 0 and 1 bit, 255 or 65535, with several parts."""
    if len(parts) != 1 or parts[0] == 1:
        return
    highest = int(ids.max())
    if ids.dtype == np.bool_ or highest in (255, 65535):
        raise DataError(
            f"{file} has a single id in {parts[0]} parts: it is a mask of 0 and "
            f"{highest}; number its parts first"
        )


def check_values(ids: np.ndarray, file: Path) -> None:
    """`DataError` where many ids lie between those beside them: a resampled image."""
    border, between = np.zeros(ids.shape, bool), np.zeros(ids.shape, bool)
    for axis in (0, 1):
        if ids.shape[axis] < 3:
            continue
        before, at, after = (
            np.take(ids, np.arange(first, ids.shape[axis] - 2 + first), axis)
            for first in (0, 1, 2)
        )
        inner = (
            (slice(1, -1), slice(None)) if axis == 0 else (slice(None), slice(1, -1))
        )
        border[inner] |= (at > 0) & ((before != at) | (after != at))
        low, high = np.minimum(before, after), np.maximum(before, after)
        between[inner] |= (low < at) & (at < high)
    num_between = int(between.sum())
    if num_between >= max(_MIN_BETWEEN, _BETWEEN_SHARE * border.sum()):
        raise DataError(
            f"{file} has {num_between} border pixels with values between those of "
            "their neighbours: it was resampled or smoothed; resample the original by "
            "nearest neighbour"
        )


def refuse_lossy(files: Iterable[Path], endings: tuple[str, ...], what: str) -> None:
    """`DataError` for annotations saved as JPEG."""
    for file in files:
        if file.suffix.lower() in endings:
            raise DataError(
                f"{file}: JPEG changes {what}; export them anew as PNG or TIFF"
            )
