"""Fits the four values of `watershed_seeds.SeedOptions` (Vicar et al. 2019) by F1."""

from collections.abc import Callable, Iterable, Sequence
import functools
import itertools
from typing import Any, NamedTuple

import jax
import numpy as np

from cellrec_jax.methods.vicar import phase_optics, restoration, watershed_seeds
from cellrec_jax.metrics import matching

Track = Callable[[Iterable[Any], str], Iterable[Any]]
_FRAMES_AT_ONCE = 8
"""Bounds the memory: the links of a frame of 1024 x 1024 px alone take 32 MB."""


class SeedGrid(NamedTuple):
    """Values to try of each field of `SeedOptions`."""

    threshold: tuple[float, ...]
    min_area_px: tuple[float, ...]
    max_hole_px: tuple[float, ...]
    h_px: tuple[float, ...]


LABELS = ("given", "sampled")


class SearchResult(NamedTuple):
    """The best combination of a grid, and all of them."""

    options: watershed_seeds.SeedOptions
    """The first in the grid's order among equally good ones, by the labels' rule."""
    f1: float
    """On the frames searched, counts pooled; in [0, 1]."""
    tried: tuple[tuple[watershed_seeds.SeedOptions, float], ...]
    """Every combination and its F1, in the grid's order."""
    rule: str
    """The one of `LABELS` that was followed."""


@functools.partial(jax.jit, static_argnames="options")
def _restore(images: jax.Array, options: phase_optics.PhaseOptions) -> jax.Array:
    return jax.vmap(lambda image: restoration.restore(image, options).image)(images)


def restore_all(
    images: Sequence[np.ndarray],
    options: phase_optics.PhaseOptions = phase_optics.DEFAULTS,
    valid: Sequence[np.ndarray] | None = None,
) -> list[np.ndarray]:
    """Restores frames, those of one size together: f32 [H, W] >= 0 of each, in order.

    Of 8-, 16-bit or float [H, W]; what is not `valid` changes nothing and becomes 0. A
    ValueError, naming the frame, if not grey or not finite.
    """
    if valid is not None:
        images = [_fill(*pair) for pair in zip(images, valid, strict=True)]
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        if image.ndim != 2 or not np.isfinite(image).all():
            raise ValueError(
                f"frame {index} is {image.shape} {image.dtype}; it should be grey "
                "[H, W] with finite values"
            )
        by_size.setdefault(image.shape, []).append(index)
    restored: dict[int, np.ndarray] = {}
    groups = [
        indices[start : start + _FRAMES_AT_ONCE]
        for indices in by_size.values()
        for start in range(0, len(indices), _FRAMES_AT_ONCE)
    ]
    for indices in groups:
        stack = np.stack([images[index].astype(np.float32) for index in indices])
        found = np.asarray(_restore(stack, options))
        restored |= dict(zip(indices, found, strict=True))
    ordered = [restored[index] for index in range(len(images))]
    if valid is None:
        return ordered
    return [np.where(mask, one, 0) for one, mask in zip(ordered, valid, strict=True)]


def _fill(image: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The image with the median of its valid pixels everywhere else."""
    return np.where(valid, image, np.median(image[valid]) if valid.any() else 0)


def search(
    images: Sequence[np.ndarray],
    points_yx: Sequence[np.ndarray],
    radius_px: float,
    grid: SeedGrid,
    *,
    options: phase_optics.PhaseOptions = phase_optics.DEFAULTS,
    labels: str = "given",
    valid: Sequence[np.ndarray] | None = None,
    track: Track = lambda items, _: items,
) -> SearchResult:
    """Finds the four best values on annotated frames, as for `restore_all`.

    `labels` "given" are all cells: F1 of all frames' counts decides. Of "sampled" ones
    recall^2 / found does, proportional to precision times recall, where recall^2 is T
    (T - 1) / (L (L - 1)) of L points, T matched; F1 if it is always 0. A ValueError for
    no frames or cells, an empty grid, or unequal numbers.
    """
    if len(images) != len(points_yx) or not len(images):
        raise ValueError(
            f"{len(images)} frames and {len(points_yx)} sets of points: give one set "
            "to each of at least one frame"
        )
    if not sum(map(len, points_yx)):
        raise ValueError("no frame has a cell: annotate some to search by")
    if labels == "sampled" and sum(map(len, points_yx)) < 2:
        raise ValueError("one cell is annotated; sampled labels need two")
    if not all(grid):
        raise ValueError(f"a value has nothing to try in {grid}")
    combinations = list(
        itertools.starmap(watershed_seeds.SeedOptions, itertools.product(*grid))
    )
    num_matched = np.zeros(len(combinations), int)
    num_points = np.zeros(len(combinations), int)
    match = functools.partial(
        matching.match_points, radius=radius_px, method="nearest", strict=True
    )
    restored = restore_all(images, options, valid)
    of_masks = list(enumerate(itertools.product(*grid[:-1])))
    work = itertools.product(zip(restored, points_yx, strict=True), of_masks)
    for (image, true_yx), (row, of_mask) in track(list(work), "values on images"):
        found = _seeds_of_mask(image, of_mask, grid.h_px)
        those = slice(row * len(grid.h_px), (row + 1) * len(grid.h_px))
        num_matched[those] += [len(match(seeds, true_yx)) for seeds in found]
        num_points[those] += [len(seeds) + len(true_yx) for seeds in found]
    f1 = (2 * num_matched / num_points).tolist()
    num_found = num_points - sum(map(len, points_yx))
    pairs = num_matched * (num_matched - 1)
    rule = labels if pairs.any() else "given"
    best = int(np.argmax(f1 if rule == "given" else pairs / np.maximum(num_found, 1)))
    tried = tuple(zip(combinations, f1, strict=True))
    return SearchResult(combinations[best], f1[best], tried, rule)


def _seeds_of_mask(
    restored: np.ndarray, of_mask: tuple[float, ...], heights_px: Sequence[float]
) -> list[np.ndarray]:
    """Points for each value of `h_px`, all of one mask and so of one distance map."""
    mask = watershed_seeds.foreground(restored, *of_mask)
    distance = watershed_seeds.distance_map(mask)
    return [
        watershed_seeds.centroids(watershed_seeds.h_maxima(distance, h_px))
        for h_px in heights_px
    ]
