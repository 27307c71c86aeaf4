"""What is written of a slide, while its cells go by: tables, GeoJSON, maps."""

from collections.abc import Iterable, Mapping
import contextlib
from pathlib import Path
from typing import Any, NamedTuple

from etils import epath
import numpy as np

from cellrec_jax.cells import Cells
from cellrec_jax.data.pixels import slides
from cellrec_jax.io import (
    atomic,
    cell_table,
    density_map,
    geojson,
    geojson_parts,
    overlay,
    palette,
    qupath_names,
)
from cellrec_jax.predict import inputs, outputs
from cellrec_jax.predict.slide import drawing, naming
from cellrec_jax.predict.slide.options import SlideOptions
from cellrec_jax.predict.slide.tissue import Mask, Thumbnail


class Sheet(NamedTuple):
    """What all outputs of a slide are told."""

    name: str
    """Of the slide in its output folder."""
    class_names: tuple[str, ...]
    description: slides.Description
    metadata: Mapping[str, Any]
    """Of model and settings, JSON."""
    options: SlideOptions
    has_boxes: bool


def files_of(output: epath.Path, sheet: Sheet) -> dict[str, epath.Path]:
    """What -> where; GeoJSON in parts has their numbers in its names."""
    place = output / sheet.name
    ending = ".geojson.gz" if sheet.options.zipped else ".geojson"
    endings = {
        "table": f".{sheet.options.table}",
        "geojson": ending,
        "overlay": inputs.OVERLAY_ENDING,
        "density": inputs.DENSITY_ENDING,
    }
    return {
        what: place.with_name(place.name + ending) for what, ending in endings.items()
    }


def written(output: epath.Path, sheet: Sheet, num_cells: int) -> set[Path]:
    """All files of a slide of so many cells; of GeoJSON in parts each part."""
    files = files_of(output, sheet)
    found = set(map(Path, files.values()))
    if split := sheet.options.split:
        found.remove(Path(files["geojson"]))
        parts = range(1, max(-(-num_cells // split), 1) + 1)
        found |= {Path(geojson_parts.part_path(files["geojson"], n)) for n in parts}
    return found


def origin_of(description: slides.Description, options: SlideOptions) -> np.ndarray:
    """Px of level 0 that are (0, 0) in what is written, f64 [2]."""
    is_whole = options.origin == "openslide"
    return np.zeros(2) if is_whole else np.array(description.corner_yx, np.float64)


def write(
    output: epath.Path,
    sheet: Sheet,
    small: Thumbnail,
    analysed: Mask,
    found: Iterable[Cells],
) -> list[int]:
    """Writes all that belongs to a slide; K numbers of cells.

    `found` are its cells, px of level 0, part by part; the overlay shows them on
    `small`, with an outline of what was `analysed`. Each file is there as a whole or
    not at all; other forms of the slide's files go when all are there. RunError where a
    file cannot be written.
    """
    options, names = sheet.options, sheet.class_names
    files = files_of(output, sheet)
    origin_yx = origin_of(sheet.description, options)
    mpp = sheet.description.mpp
    in_qupath = qupath_names.qupath_names(names)
    colors = palette.qupath_colors(in_qupath, outputs.colors_of(names))
    bin_px = options.density_um / mpp
    density = density_map.new_counts(sheet.description.levels[0].size_hw, bin_px)
    canvas = small.image.copy()
    inside_yx = drawing.add_outline(canvas, analysed, small.native_px)
    counts = np.zeros(len(names), np.int64)
    with contextlib.ExitStack() as opened:
        add_rows = opened.enter_context(
            cell_table.open_cells(
                files["table"],
                sheet.name,
                names,
                mpp=mpp,
                boxes=sheet.has_boxes,
                metadata=sheet.metadata,
            )
        )
        add_features = opened.enter_context(
            geojson.open_geojson(
                files["geojson"],
                in_qupath,
                colors,
                geometry=options.geometry,
                metadata={**sheet.metadata, **qupath_names.metadata(names)},
                split=options.split,
                origin_yx=origin_yx.tolist(),
                circle_px=options.circle_um / mpp,
                class_probs=len(names) > 1,
            )
        )
        for part in found:
            moved = part.points_yx - origin_yx.astype(np.float32)
            boxes = part.boxes_yxyx
            own = None if boxes is None else boxes - np.tile(origin_yx, 2)
            add_rows(moved, part.scores, part.labels, part.class_probs, own)
            drawn = boxes if options.geometry == "box" else None
            add_features(
                part.points_yx, part.scores, part.labels, drawn, part.class_probs
            )
            density_map.add_counts(density, part.points_yx, bin_px)
            drawing.add_cells(canvas, part, colors, small.native_px, mpp)
            counts += np.bincount(part.labels, minlength=len(names))
    whole = {**sheet.metadata, "origin": "openslide", "origin_yx": [0.0, 0.0]}
    density_map.write_density_map(
        files["density"],
        density,
        options.density_um,
        maximum=options.density_max * options.density_um**2 / 1e6,
        metadata=whole,
    )
    numbers = [int(count) for count in counts]
    picture = drawing.with_legend(canvas, names, numbers, colors, inside_yx)
    overlay.write_png(files["overlay"], picture)
    _remove_others(output, sheet, sum(numbers))
    return numbers


def _remove_others(output: epath.Path, sheet: Sheet, num_cells: int) -> None:
    """Deletes what was written of the slide in other forms, or in more parts."""
    own = written(output, sheet, num_cells)
    with atomic.naming(output):
        for path in naming.own_files(Path(output), sheet.name):
            if path not in own:
                path.unlink()
