"""Annotated folders, each format read by the module that `FORMATS` names.

It has `NAME`, `matches(root) -> bool` and `open_source(root) -> Source`.
"""

import difflib
import importlib
from types import ModuleType

from etils.epath import Path

from cellrec_jax.data.readers import foreign
from cellrec_jax.data.readers.layout import check_ids
from cellrec_jax.data.record import Source
from cellrec_jax.errors import ConfigError, DataError

__all__ = ["FLAG", "FORMATS", "LAYOUTS", "SLIDES", "find_format", "open_source"]

FLAG = "--config.data.format="
"""How a command line chooses a format, for messages."""

SLIDES = "slides"
"""The format whose images are tiles, cut of slides as `open_source` is asked for."""

FORMATS: dict[str, str] = {
    "bcdata": "cellrec_jax.data.readers.bcdata",
    "json_points": "cellrec_jax.data.readers.json_points",
    "csv_points": "cellrec_jax.data.readers.csv_points",
    "table": "cellrec_jax.data.readers.table",
    "qupath": "cellrec_jax.data.readers.qupath",
    "dot_maps": "cellrec_jax.data.readers.dot_maps",
    "cvat": "cellrec_jax.data.readers.cvat",
    "label_studio": "cellrec_jax.data.readers.label_studio",
    "yolo": "cellrec_jax.data.readers.yolo",
    "ocelot": "cellrec_jax.data.readers.ocelot",
    "grand_challenge": "cellrec_jax.data.readers.grand_challenge",
    "asap": "cellrec_jax.data.readers.asap",
    "aperio": "cellrec_jax.data.readers.aperio",
    "imagej": "cellrec_jax.data.readers.imagej",
    "coco": "cellrec_jax.data.readers.coco",
    "voc": "cellrec_jax.data.readers.voc",
    "instance_masks": "cellrec_jax.data.readers.instance_masks",
    "label_images": "cellrec_jax.data.readers.label_images",
    "mitos": "cellrec_jax.data.readers.mitos",
    "cell_tracking": "cellrec_jax.data.readers.cell_tracking",
    SLIDES: "cellrec_jax.data.readers.slides",
}
"""Name for `data.format` -> module; imported when needed."""

LAYOUTS: dict[str, str] = {
    "bcdata": "images/ + annotations/{positive,negative}/*.h5",
    "json_points": "images/ + json/*.json",
    "csv_points": "images/ + labels/*.csv",
    "table": "images/ + one *.csv or *.tsv with a column image",
    "qupath": "images/ + annotations/*.geojson",
    "dot_maps": "images/ or source/ + dots/ or annotations/*.png",
    "cvat": "images/ + annotations.xml",
    "label_studio": "images/ + project.json of Label Studio",
    "yolo": "images/ + labels/*.txt",
    "ocelot": "images/SPLIT/cell/*.jpg + annotations/SPLIT/cell/*.csv",
    "grand_challenge": "images/ + json/*.json of grand-challenge.org",
    "asap": "images/ + annotations/*.xml of ASAP",
    "aperio": "images/ + annotations/*.xml of ImageScope",
    "imagej": "images/ + *.roi, *.zip or CellCounter_*.xml",
    "coco": "images/ + annotations/*.json",
    "voc": "JPEGImages/ + Annotations/*.xml",
    "instance_masks": "ID/images/*.png + ID/masks/*.png",
    "label_images": "images/ + labels/ or masks/*.png",
    "mitos": "A03/frames/x40/*.tiff + A03/mitosis/*.csv",
    "cell_tracking": "01/t*.tif + 01_GT/TRA/*.tif or 01_ST/SEG/*.tif",
    SLIDES: "*.svs or other slides + *.geojson, *.xml or *.ndpa",
}
"""Name -> its usual layout in few words, for messages."""

_NUM_SHOWN = 5  # classes named in a message


def find_format(root: str | Path, *, flag: str = FLAG) -> str:
    """The one format of a folder, by names of files; none or several: `DataError`."""
    root = Path(root)
    found = [name for name in FORMATS if _reader(name).matches(root)]
    if len(found) == 1:
        return found[0]
    if found:
        ways = (f"{_describe(root, n)} with {flag}{n}" for n in found)
        raise DataError(
            f"{root} can be read as {' and as '.join(found)}, choose one: "
            + "; ".join(ways)
        )
    if (other := foreign.find(root)) is not None:
        raise DataError(foreign.describe(*other) + _reason(root, other[0]))
    check_ids(root)
    known = "; ".join(f"{name} ({layout})" for name, layout in LAYOUTS.items())
    raise DataError(
        f"{root} is laid out in no known way: arrange it as one of {known}; or force a "
        f"format with {flag}NAME"
    )


def open_source(
    root: str | Path,
    format: str = "auto",
    *,
    flag: str = FLAG,
    mpp: float = 0.0,
    tile_hw: tuple[int, int] = (800, 800),
) -> Source:
    """Opens an annotated folder, of a format of `FORMATS`, or "auto" to find it.

    Slides are cut into tiles of `tile_hw` px of `mpp` um; 0: of the coarsest slide.

    A `ConfigError` for an unknown format, a `DataError` for a folder it cannot read;
    `flag` is how messages say that a format is chosen.
    """
    if format != "auto" and format not in FORMATS:
        raise ConfigError(_unknown_format(format))
    root = Path(root)
    if not root.is_dir():
        kind = "is a file, not a folder" if root.exists() else "does not exist"
        raise DataError(f"data.root {root} {kind}: give the folder of the images")
    if not any(root.iterdir()):
        raise DataError(f"data.root {root} is empty: put images and annotations there")
    name = find_format(root, flag=flag) if format == "auto" else format
    source: Source = (
        _reader(name).open_source(root, mpp, tile_hw)
        if name == SLIDES
        else _reader(name).open_source(root)
    )
    return source


def _describe(root: Path, name: str) -> str:
    """What a reader makes of a folder."""
    try:
        source = _reader(name).open_source(root)
    except DataError as error:
        return f"nothing ({error})"
    number = len(source.image_ids)
    classes = ", ".join(source.class_names[:_NUM_SHOWN])
    more = ", ..." if len(source.class_names) > _NUM_SHOWN else ""
    return f"{LAYOUTS[name]}: {number} images, classes {classes}{more}"


def _reason(root: Path, kind: str) -> str:
    """What its reader says of files of a kind that does not fit there."""
    try:
        if kind in foreign.READ_AS:
            _reader(foreign.READ_AS[kind]).open_source(root)
    except DataError as error:
        return f"; here {error}"
    return ""


def _unknown_format(format: str) -> str:
    if known := foreign.named(format):
        return f"data.format={format}: {known}"
    near = difflib.get_close_matches(format, ["auto", *FORMATS], n=1, cutoff=0.6)
    hint = f" did you mean '{near[0]}'?" if near else ""
    return f"unknown data.format '{format}':{hint} known: auto, {', '.join(FORMATS)}"


def _reader(name: str) -> ModuleType:
    return importlib.import_module(FORMATS[name])
