"""MITOS-ATYPIA-14: mitoses in x40 frames of slides seen by two scanners.

`<slide>/frames/x40/<stem>.tiff` (or .tif, .png ...) with `<slide>/mitosis/`:
`<stem>_mitosis.csv` and `<stem>_not_mitosis.csv`, rows `x,y,confidence` in px. Slides
A03 ... (Aperio) and H03 ... (Hamamatsu) may lie in further folders.
"""

from collections import Counter
from collections.abc import Iterator
import math
import re

from etils.epath import Path
import numpy as np

from cellrec_jax.data.pixels.files import list_images
from cellrec_jax.data.readers.clean import POINTS_DUPLICATE, points_from_xy
from cellrec_jax.data.readers.folder import folder_source
from cellrec_jax.data.readers.layout import check_pairs
from cellrec_jax.data.record import Record, Source
from cellrec_jax.data.text import read_text
from cellrec_jax.errors import DataError

NAME = "mitos"
CLASS_NAMES = ("mitosis",)
NOT_MITOSIS = False
"""Whether look-alikes (and rows below `MIN_CONFIDENCE`) are read as a second class."""
MIN_CONFIDENCE = 0.5
"""Least confidence of the annotators at which a row counts as a mitosis."""
MPP = {"A": 0.2455, "H": 0.2274}
"""Micrometres per px of x40 frames by the first letter of the slide."""

_SLIDE = re.compile(r"[AH]\d+", re.IGNORECASE)
_OUTER_FOLDER = re.compile(
    r".*(mitos|atypia|train|test|aperio|hamamatsu)", re.IGNORECASE
)
_MAX_DEPTH = 5


def matches(root: Path) -> bool:
    """Whether there are slide folders (A03, H03 ...) with frames/x40 inside."""
    try:
        return next(_slide_folders(root), None) is not None
    except OSError:
        return False


def open_source(root: Path, *, not_mitosis: bool = NOT_MITOSIS) -> Source:
    """Opens the frames below `root`: both scanners, or one by its sub-folder.

    Rows of one point are one cell, with its highest confidence. A missing
    `_not_mitosis.csv` is empty. The group is the slide number alone: A03 and H03 are
    one glass slide, and must not be in different folds.
    """
    images: dict[str, Path] = {}
    tables: dict[str, Path] = {}
    for slide in _slide_folders(root):
        _add(images, list_images(slide / "frames" / "x40"), slide.name, "")
        _add(tables, _mitosis_tables(slide), slide.name, "_mitosis")
    if not images:
        raise DataError(f"{root}: no frames in folders such as A03/frames/x40")
    check_pairs(root, images, tables, "mitosis/*_mitosis.csv")
    names = (*CLASS_NAMES, "not_mitosis") if not_mitosis else CLASS_NAMES
    groups = {image_id: _slide_number(image_id) for image_id in images}

    def read(image_id: str, image: np.ndarray, repairs: Counter[str]) -> Record:
        points_yx, labels = _read_cells(tables[image_id], repairs)
        kept = labels < len(names)
        return Record(
            image_id,
            image,
            points_yx[kept],
            labels[kept],
            group=groups[image_id],
            mpp=MPP[image_id[0].upper()],
        )

    return folder_source(
        NAME,
        names,
        images,
        lambda image_id: _tables_of(tables[image_id]),
        read,
        root,
        groups=groups,
    )


def _slide_folders(folder: Path, depth: int = 0) -> Iterator[Path]:
    """All slide folders (parents of frames/x40) at or below `folder`."""
    if _SLIDE.fullmatch(folder.name) and (folder / "frames" / "x40").is_dir():
        yield folder
    elif depth < _MAX_DEPTH:
        for child in sorted(folder.iterdir()):
            known = _SLIDE.fullmatch(child.name) or _OUTER_FOLDER.match(child.name)
            if known and child.is_dir():
                yield from _slide_folders(child, depth + 1)


def _mitosis_tables(slide: Path) -> list[Path]:
    """The `_mitosis.csv` files of a slide; doubled folders may hold them outside."""
    outer = [slide.parent] if slide.parent.name == slide.name else []
    return [
        file
        for folder in (slide, *outer)
        for file in sorted((folder / "mitosis").glob("*_mitosis.csv"))
        if not file.stem.endswith("_not_mitosis")
    ]


def _add(index: dict[str, Path], files: list[Path], slide: str, suffix: str) -> None:
    """Adds files to `index` under their ids; an id in two places is an error."""
    for file in files:
        image_id = f"{slide}/{file.stem.removesuffix(suffix)}"
        if image_id in index:
            raise DataError(
                f"two files for '{image_id}': {index[image_id]} and {file}; keep one"
            )
        index[image_id] = file


def _slide_number(image_id: str) -> str:
    return image_id.partition("/")[0][1:]


def _read_cells(table: Path, repairs: Counter[str]) -> tuple[np.ndarray, np.ndarray]:
    """Both tables of a frame: points_yx f32 [N, 2], labels i32 [N], 1 no mitosis."""
    rows = _read_rows(table)
    for other in _tables_of(table)[1:]:
        # Whatever the confidence written there, this table holds no mitoses.
        rows += [(x, y, 0.0) for x, y, _ in _read_rows(other)]
    best: dict[tuple[float, float], float] = {}
    for x, y, confidence in rows:
        best[x, y] = max(confidence, best.get((x, y), 0.0))
    if len(best) < len(rows):
        repairs[POINTS_DUPLICATE] += len(rows) - len(best)
    confidences = np.array(list(best.values()))
    points_yx = points_from_xy(np.array(list(best)))
    return points_yx, (confidences < MIN_CONFIDENCE).astype(np.int32)


def _tables_of(table: Path) -> list[Path]:
    """A frame's table of mitoses and, if there is one, that of look-alikes."""
    other = table.with_name(table.name.replace("_mitosis.csv", "_not_mitosis.csv"))
    return [table, other] if other.is_file() else [table]


def _read_rows(file: Path) -> list[tuple[float, float, float]]:
    """Reads rows (x, y, confidence); without a third column the confidence is 1."""
    rows = []
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if not line.strip(" \t,"):
            continue
        try:
            x, y, confidence = (*map(float, line.split(",")), 1.0)[:3]
        except ValueError:
            x = y = confidence = math.nan
        if not all(map(math.isfinite, (x, y, confidence))):
            raise DataError(
                f"{file}, line {number}: {line[:40]!r} is not x,y,confidence; mend it"
            )
        rows.append((x, y, confidence))
    return rows
