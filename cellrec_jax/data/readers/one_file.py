"""The set that one file belongs to: all that a list names, or the image it is of."""

import dataclasses
import importlib
import os
from types import ModuleType

from etils.epath import Path

from cellrec_jax.data import readers
from cellrec_jax.data.annotations import table
from cellrec_jax.data.readers import coco, foreign
from cellrec_jax.data.record import Source
from cellrec_jax.errors import DataError

_INNER = (
    *("annotations", "labels", "masks", "json", "xml", "geojson", "points", "csv"),
    *("images", "jpegimages", "dots", "cell"),
    *("train", "val", "valid", "validation", "test"),
)
"""Folders of a set, whose root lies above."""


def open_file(
    file: str | Path, format: str = "auto", *, flag: str = readers.FLAG
) -> Source:
    """Opens an annotation file, or an image, with what belongs to it.

    Of formats that list images in one file all of these; else the images that `file` is
    of. Its folder may be the root of the set, or one above. A `DataError` if none is.
    """
    file = Path(file)
    if not file.is_file():
        raise DataError(f"{file}: there is no such file")
    name = _format_of(file) if format == "auto" else format
    first: DataError | None = None
    for root in _roots(Path(os.path.abspath(file))):
        try:
            source = _open(file, root, name, flag)
        except DataError as error:
            first = first or error
            continue
        if source.image_ids:
            return source
    raise first or DataError(f"{file}: is of no set of images")


def _open(file: Path, root: Path, name: str, flag: str) -> Source:
    if name != "auto" and name in readers.FORMATS:
        reader: ModuleType = importlib.import_module(readers.FORMATS[name])
        if hasattr(reader, "open_file"):
            source: Source = reader.open_file(Path(os.path.abspath(file)), root)
            return source
    source = readers.open_source(root, name, flag=flag)
    real = os.path.realpath(file)
    files = source.files or (lambda _: ())
    ids = tuple(
        image_id
        for image_id in source.image_ids
        if any(os.path.realpath(one) == real for one in files(image_id))
    )
    return dataclasses.replace(source, image_ids=ids)


def _roots(file: Path) -> list[Path]:
    """The folder of a file, and those above it while their names are of sets."""
    roots = [file.parent]
    while roots[-1].name.lower() in _INNER:
        roots.append(roots[-1].parent)
    return roots


def _format_of(file: Path) -> str:
    """The format that reads it, where the file tells."""
    kind = foreign.kind_of(file)
    if kind in foreign.READ_AS:
        return foreign.READ_AS[kind]
    if file.suffix.lower() == ".json" and coco.is_coco(file):
        return coco.NAME
    if file.suffix.lower() in (".csv", ".tsv", ".txt") and table.is_table(file):
        return "table"
    return "auto"
