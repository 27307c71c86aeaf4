"""Whole slides with a file of annotations each, as tiles at the training's pixel size.

a.svs has a.geojson or a.svs.geojson of QuPath or of predictions, a.xml of ASAP or
ImageScope, a.annotations of HALO, or a.ndpi.ndpa of NDP.view: beside it, or in a folder
as of images. All count px of level 0, GeoJSON from where QuPath crops the slide.
Tiles are read when they are asked for, one at a time. How they are chosen, and what is
unknown: see `slide_tiles`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
import dataclasses
from pathlib import Path as LocalPath
from typing import NamedTuple

from etils.epath import Path
import numpy as np

from cellrec_jax.data.annotations import aperio, asap, ndpa, qupath
from cellrec_jax.data.annotations.content import Annotations, mapped
from cellrec_jax.data.pixels import slide_pool, slide_scale, slides
from cellrec_jax.data.pixels.files import ENDINGS_OF
from cellrec_jax.data.pixels.images import Header, Picture, Sizes
from cellrec_jax.data.readers import foreign, pairs
from cellrec_jax.data.readers.annotated import annotated_source
from cellrec_jax.data.readers.folder import Pixels
from cellrec_jax.data.readers.slide_tiles import Tile, cut
from cellrec_jax.data.record import Part, Source
from cellrec_jax.errors import DataError

NAME = "slides"
NEAR_UM = 8.0
"""How far around a cell is known where no area says what was looked at: its border is
learnt, and seldom a neighbour that has no mark."""

UNANNOTATED = "slides without annotations left out"
SPARSE = (
    "cells of slides without Region* areas: what is {} from all of them is unknown. "
    "Draw areas in which all cells are marked, or give data.marked_share=0"
)

_NEAR_PX = 32.0  # of level 0, where its pixel size is not known
_FOLDERS = ("slides", *pairs.IMAGE_FOLDERS)
_KINDS = ("GeoJSON", "ASAP", "Aperio ImageScope", "NDP.view")
_ENDINGS = (
    (".geojson", ".geojson.gz", ".xml", ".annotations", ".ndpa"),
    (".json", ".json.gz"),
)
_SLIDES = (*slides.SLIDE_ENDINGS, *ENDINGS_OF["TIFF"])


class _Place(NamedTuple):
    """Where a tile is read."""

    slide_id: str
    scale: slide_scale.Scale
    tile: Tile


def matches(root: Path) -> bool:
    """Whether a slide has annotations of its name."""
    return pairs.matches(
        root, _ENDINGS, _KINDS, image_folders=_FOLDERS, image_endings=_SLIDES
    )


def open_source(
    root: Path, mpp: float = 0.0, tile_hw: tuple[int, int] = (800, 800)
) -> Source:
    """Opens the annotated slides of a folder; annotations are kept, pixels are not.

    Tiles are named SLIDE/AREA/ROW-COLUMN, and grouped by slide. `mpp` is um per px of
    the tiles, and of slides that do not say theirs; 0: of the coarsest slide. A
    `DataError`: no slide or cell, files that cannot be read, slides of which only some
    say their pixel size.
    """
    found = pairs.find(
        root,
        _ENDINGS,
        _KINDS,
        all_annotated=False,
        image_folders=_FOLDERS,
        image_endings=_SLIDES,
    )
    known = {
        slide_id: slides.describe(LocalPath(found.images[slide_id]))
        for slide_id in found.annotations
    }
    mpp = mpp or _coarsest(known)
    repairs = Counter({UNANNOTATED: len(found.images) - len(known)})
    places: dict[str, _Place] = {}
    for slide_id, slide in known.items():
        annotations = _parse(found.annotations[slide_id], slide)
        repairs += annotations.notes
        scale, tiles = _tiles(slide, annotations, mpp, tile_hw, repairs)
        for name, tile in tiles:
            places[f"{slide_id}/{name}"] = _Place(slide_id, scale, tile)
    if not places:
        raise DataError(
            f"{root}: no cells and no Region* areas on its {len(known)} slides"
        )
    source = annotated_source(
        NAME,
        root,
        {name: found.images[place.slide_id] for name, place in places.items()},
        lambda name: [found.annotations[places[name].slide_id]],
        lambda name: places[name].tile.own(),
        groups={name: place.slide_id for name, place in places.items()},
        mpp=mpp or None,
        repairs=+repairs,
        pixels=_pixels(known, places, tile_hw, mpp),
    )
    parts = {name: _part(one, known[one.slide_id]) for name, one in places.items()}
    return dataclasses.replace(source, parts=parts)


def _part(place: _Place, slide: slides.Description) -> Part:
    """Where a tile lies, as QuPath counts."""
    native_yx = place.scale.native_yx
    y, x = np.multiply(place.tile.origin_yx, native_yx) - slide.corner_yx
    return Part(place.slide_id, (float(y), float(x)), native_yx)


def _coarsest(known: Mapping[str, slides.Description]) -> float:
    """Um per px of the coarsest slide; 0 where none says it."""
    sizes = [slide.mpp for slide in known.values()]
    if max(sizes) and not all(sizes):
        silent = next(slide for slide in known.values() if not slide.mpp)
        raise DataError(
            f"{silent.path} does not say its pixel size, others do: give it by "
            "--config.data.mpp (check: --mpp), or keep such slides apart"
        )
    return max(sizes)


def _parse(file: Path, slide: slides.Description) -> Annotations:
    """A file's annotations in px of level 0."""
    kind = foreign.kind_of(file)
    if kind == "GeoJSON":
        return qupath.parse(file, slide.corner_yx)
    if kind == "ASAP":
        return asap.parse(file)
    if kind == "Aperio ImageScope":
        return aperio.parse(file)
    if kind != "NDP.view":
        raise DataError(f"{file}: is of none of {', '.join(_KINDS)}: remove it")
    if slide.glass is None:
        raise DataError(
            f"{file} counts from the middle of the glass; where {slide.path} lies "
            "there it does not say: import the file into QuPath, export GeoJSON"
        )
    return ndpa.parse(file, ndpa.Frame(slide.levels[0].size_hw, *slide.glass))


def _tiles(
    slide: slides.Description,
    annotations: Annotations,
    mpp: float,
    tile_hw: tuple[int, int],
    repairs: Counter[str],
) -> tuple[slide_scale.Scale, Iterable[tuple[str, Tile]]]:
    """A slide's tiles by name, and the scale that they are of."""
    own = slide.mpp or mpp
    ratio = mpp / own if own else 1.0
    scale = slide_scale.choose(
        slide.levels,
        (ratio, ratio),
        f"{slide.path} has {own:g} um per px: give that of the training by "
        "--config.data.mpp",
    )
    if slide.mpp:
        repairs[
            f"slides of {own:g} um per px ({slide.mpp_source}) read at {mpp:g}"
        ] += 1
    else:
        said = f"{mpp:g} um per px by data.mpp" if mpp else "an unknown pixel size"
        repairs[f"slides read as they are, of {said}"] += 1
    repairs.update(f"slides: {note}" for note in slide.notes)
    near_px = NEAR_UM / mpp if mpp else _NEAR_PX
    if not annotations.annotated and annotations.names:
        far = f"farther than {NEAR_UM:g} um" if mpp else f"farther than {_NEAR_PX:g} px"
        repairs[SPARSE.format(far)] += len(annotations.names)
    moved = mapped(annotations, scale_yx=np.divide(1, scale.native_yx))
    size_hw = np.ceil(np.divide(slide.levels[0].size_hw, scale.native_yx))
    height, width = size_hw.astype(int).tolist()
    return scale, cut(moved, (height, width), tile_hw, near_px, repairs)


def _pixels(
    known: Mapping[str, slides.Description],
    places: Mapping[str, _Place],
    tile_hw: tuple[int, int],
    mpp: float,
) -> Pixels:
    pool = slide_pool.SlidePool()
    said = Header(Sizes(tile_hw, tile_hw, 1), mpp)

    def load(name: str) -> Picture:
        place = places[name]
        with pool.lend(known[place.slide_id].path) as slide:
            level, step_yx, _ = place.scale
            pixels = slide_scale.read(
                slide, level, step_yx, place.tile.origin_yx, tile_hw
            )
        return Picture(pixels, said)

    return Pixels(load, lambda _: said)
