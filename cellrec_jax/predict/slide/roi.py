"""Regions that a person drew: what of a slide is to be looked at, what is not.

GeoJSON of polygons, as QuPath exports annotations. Classes named Ignore exclude, all
others include; where none includes, everything else is.
"""

from collections import Counter
from collections.abc import Sequence
import hashlib
from pathlib import Path
from typing import NamedTuple

from etils import epath
import numpy as np

from cellrec_jax import errors, polygons
from cellrec_jax.data.annotations import qupath
from cellrec_jax.data.annotations.content import is_ignored
from cellrec_jax.polygons import Polygon
from cellrec_jax.predict.slide.tissue import Mask

_ENDINGS = (".geojson", ".geojson.gz")
_HOW = "draw regions as polygons, rectangles or brushed areas, and export these"


class Regions(NamedTuple):
    """Polygons, of a file in its px; see `moved`."""

    include: tuple[Polygon, ...]
    exclude: tuple[Polygon, ...]
    file: str = ""
    digest: str = ""
    """Short hash of all corners."""
    note: str = ""
    """What else it holds, in a line."""


def read(path: Path) -> Regions:
    """Reads polygons and multi-polygons, `.gz` or not; cells are passed over.

    ConfigError for what cannot be read, or has none.
    """
    notes: Counter[str] = Counter()
    include: list[Polygon] = []
    exclude: list[Polygon] = []
    try:
        for name, parts in qupath.areas(epath.Path(path), notes):
            target = exclude if is_ignored(name) else include
            target += [_checked(part) for part in parts]
    except errors.DataError as error:  # names the file
        raise errors.ConfigError(f"--roi {error}") from error
    except ValueError as error:
        raise errors.ConfigError(f"--roi {path}: {error}; {_HOW}") from error
    told = ", ".join(f"{count} {what}" for what, count in (+notes).items())
    if not include and not exclude:
        raise errors.ConfigError(
            f"--roi {path}: has no region{f' ({told})' if told else ''}; {_HOW}"
        )
    note = f"--roi {path}: {told}" if told else ""
    digest = _digest(include, exclude)
    return Regions(tuple(include), tuple(exclude), str(path), digest, note)


def of_each(folder: Path, slides: Sequence[Path]) -> dict[Path, Regions]:
    """Reads each slide's file of a folder: NAME.svs.geojson or NAME.geojson, or `.gz`.

    ConfigError where a slide has none, or two slides have one, and as `read`.
    """
    found: dict[Path, Path] = {}
    for slide in slides:
        names = dict.fromkeys((slide.name, slide.stem))
        files = [folder / f"{name}{end}" for name in names for end in _ENDINGS]
        there = [file for file in files if file.is_file()]
        if not there:
            raise errors.ConfigError(
                f"--roi {folder}: has no {' or '.join(f'{n}.geojson' for n in names)}: "
                f"draw regions of {slide.name}, or leave that slide out"
            )
        found[slide] = there[0]
    for file, count in Counter(found.values()).items():
        if count > 1:
            raise errors.ConfigError(
                f"--roi {file}: is of {count} slides of that name: name it as one of "
                "them with its ending, such as a.svs.geojson, or give slides of equal "
                "names one a call"
            )
    return {slide: read(file) for slide, file in found.items()}


def moved(regions: Regions, origin_yx: Sequence[float] | np.ndarray) -> Regions:
    """The same regions, px of level 0; (0, 0) of the file is at `origin_yx` there."""
    origin = np.asarray(origin_yx, np.float64)
    include, exclude = (
        tuple(tuple(ring + origin for ring in polygon) for polygon in areas)
        for areas in (regions.include, regions.exclude)
    )
    return regions._replace(include=include, exclude=exclude)


def within(regions: Regions, points_yx: np.ndarray) -> np.ndarray:
    """Whether points [M, 2], px of level 0, are to be looked at; bool [M]."""
    kept = np.full(len(points_yx), not regions.include)
    for polygon in regions.include:
        kept |= polygons.inside(polygon, points_yx)
    for polygon in regions.exclude:
        kept &= ~polygons.inside(polygon, points_yx)
    return kept


def cut(mask: Mask, regions: Regions) -> Mask:
    """The part of a mask that is to be looked at, by the middles of its px."""
    size_hw = (mask.inside.shape[0], mask.inside.shape[1])
    native_px = np.asarray(mask.native_px)
    include, exclude = (
        [tuple(ring / native_px for ring in polygon) for polygon in areas]
        for areas in (regions.include, regions.exclude)
    )
    inside = mask.inside & ~polygons.fill(exclude, size_hw)
    if include:
        inside &= polygons.fill(include, size_hw)
    return mask._replace(inside=inside)


def touched(mask: Mask, regions: Regions) -> Mask:
    """The px of a mask that regions to look at touch, if only at an edge."""
    inside = cut(mask, regions).inside
    for polygon in regions.include:
        for ring in polygon:
            corners = np.concatenate([ring, ring[:1]]) / np.asarray(mask.native_px)
            steps = np.diff(corners, axis=0)
            counts = np.ceil(2 * np.abs(steps).max(axis=1)).astype(np.int64) + 1
            edge = np.repeat(np.arange(len(steps)), counts)
            nth = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
            shares = (nth / counts[edge])[:, None]
            places = np.floor(corners[edge] + shares * steps[edge]).astype(np.int64)
            on = np.all((places >= 0) & (places < inside.shape), axis=1)
            y, x = places[on].T
            inside[y, x] = mask.inside[y, x]
    return mask._replace(inside=inside)


def _checked(polygon: Polygon) -> Polygon:
    if any(len(np.unique(ring, axis=0)) < 3 for ring in polygon):
        raise ValueError("an outline of fewer than three corners")
    return polygon


def _digest(*kinds: Sequence[Polygon]) -> str:
    found = hashlib.blake2b(digest_size=8)
    for areas in kinds:
        found.update(f"{[[len(ring) for ring in area] for area in areas]}".encode())
        for ring in (ring for area in areas for ring in area):
            found.update(np.ascontiguousarray(ring, np.float64).tobytes())
    return found.hexdigest()
