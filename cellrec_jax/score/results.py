"""What `cellrec predict` wrote, or tables of cells, read for scores."""

from collections.abc import Sequence
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from cellrec_jax import errors
from cellrec_jax.data.pixels.files import natural_key
from cellrec_jax.io import qupath_names, table
from cellrec_jax.score import tables
from cellrec_jax.score.sheets import Results, Sheet

_SUMMARY, _MODEL, _DETECTIONS = "summary.csv", "predict.json", "detections.csv"
_AREA = "analysed_mm2"  # a column of slides
_OF_SLIDES = (".csv", ".csv.gz", ".parquet")
_IGNORED = "ignore"  # classes of QuPath that begin so are no cells
_UNCLASSIFIED = "unclassified"
_NUM_PARENTS = 4  # folders above a table that may hold its summary
_GIVEN = "--mpp"


def read(words: Sequence[str], mpp: float = 0.0) -> Results:
    """Reads one folder of results, or tables.

    Args:
      words: a folder that `cellrec predict` wrote, of images or of slides, or files of
        `tables.ENDINGS`, whose areas are those of the summary beside them.
      mpp: um per px that the user gave, instead of what results say; 0 is not given.

    Raises:
      DataError: there is no such folder or file, or it cannot be read.
      ConfigError: folders and tables together.
    """
    paths = [Path(word).expanduser() for word in words]
    for path in paths:
        if not path.exists():
            raise errors.DataError(f"{path}: there is no such folder or file")
    if any(path.is_dir() for path in paths):
        if len(paths) > 1:
            raise errors.ConfigError(
                f"{' '.join(words)}: give one folder of results, or tables alone"
            )
        found = _folder(paths[0])
    else:
        found = _tables(paths)
    if not mpp:
        return found
    return found._replace(sheets=tuple(_at_mpp(one, mpp) for one in found.sheets))


def _at_mpp(sheet: Sheet, mpp: float) -> Sheet:
    """The same px of another size."""
    area = sheet.area_mm2
    if sheet.size_hw is not None:
        area = float(np.prod(sheet.size_hw)) * mpp**2 / 1e6
    elif area is not None and sheet.mpp:
        area *= (mpp / sheet.mpp) ** 2
    return sheet._replace(mpp=mpp, mpp_source=_GIVEN, area_mm2=area)


def _folder(folder: Path) -> Results:
    rows = table.read_rows(folder / _SUMMARY)
    if not rows:
        raise errors.DataError(
            f"{folder}: no {_SUMMARY} there; give the folder that `cellrec predict` "
            "wrote, or tables of cells"
        )
    model = _model(folder)
    is_slides = _AREA in rows[0]
    left_out = {row["image"]: row["note"] for row in rows if not row.get("height")}
    rows = [row for row in rows if row.get("height")]
    what = "slides" if is_slides else "images"
    if not rows:
        return Results((), (), what, left_out, model)
    parts: dict[str, tables.Table] = {}
    notes = []
    if is_slides:
        for row in rows:
            path = _table_of_slide(folder, row["image"])
            if path is None:
                left_out[row["image"]] = "its table is not there"
            else:
                parts[row["image"]] = tables.read(path)
    else:
        parts = _by_image(tables.read(folder / _DETECTIONS))
        if unknown := parts.keys() - {row["image"] for row in rows}:
            notes.append(
                f"warning: {len(unknown)} images of {_DETECTIONS} are not in "
                f"{_SUMMARY} and are left out: end the prediction first"
            )
    if model and not model.get("finished", True):
        notes.append(
            "warning: the prediction is not finished, or some images failed: scores "
            "are of what is there"
        )
    rows = [row for row in rows if row["image"] not in left_out]
    names = _class_names(model, parts.values(), rows)
    sheets = [_sheet(row, parts.get(row["image"]), names, model) for row in rows]
    return Results(tuple(sheets), names, what, left_out, model, tuple(notes))


def _tables(paths: Sequence[Path]) -> Results:
    """Tables by themselves, each with the row of a summary beside it, if it has one."""
    found: list[tuple[dict[str, str], tables.Table, dict[str, Any]]] = []
    for path in paths:
        if not tables.ending_of(path):
            raise errors.DataError(
                f"{path}: no table of cells; give one of {', '.join(tables.ENDINGS)}"
            )
        home = _home(path)
        rows = table.read_rows(home / _SUMMARY) if home else []
        known = {row["image"]: row for row in rows}
        model = _model(home) if home else {}
        own = (path.relative_to(home) if home else path).as_posix()
        own = own[: -len(tables.ending_of(path))]
        for image, part in _by_image(tables.read(path), own).items():
            found.append((known.get(image, {"image": image}), part, model))
    models = [model for _, _, model in found]
    model = models[0] if all(one == models[0] for one in models) else {}
    parts = [part for _, part, _ in found]
    names = _class_names(model, parts, [])
    sheets = [_sheet(row, part, names, own) for row, part, own in found]
    doubled = len({one.name for one in sheets}) < len(sheets)
    if doubled:
        raise errors.DataError("two tables are of one image; give each image once")
    return Results(tuple(sheets), names, "tables", {}, model)


def _home(path: Path) -> Path | None:
    """The folder of results that a table lies in, by its summary."""
    for folder in itertools.islice(path.parents, _NUM_PARENTS):
        if (folder / _SUMMARY).is_file():
            return folder
    return None


def _table_of_slide(folder: Path, name: str) -> Path | None:
    for ending in _OF_SLIDES:
        path = folder / f"{name}{ending}"
        if path.is_file():
            return path
    return None


def _model(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / _MODEL).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _by_image(found: tables.Table, own: str = "") -> dict[str, tables.Table]:
    """A table of each image; `own` is the name of one that names none."""
    if not len(found.images):
        return {own: found} if own else {}
    names, number = np.unique(found.images, return_inverse=True)
    order = np.argsort(number, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    return {
        str(name) or own: tables.Table(
            found.images[part], found.points_yx[part], found.classes[part], found.mpp
        )
        for name, part in zip(names, parts, strict=True)
    }


def _class_names(
    model: dict[str, Any], parts: Any, rows: Sequence[dict[str, str]]
) -> tuple[str, ...]:
    """Those of the model, in its order, then others that tables have.

    Upper and lower case are one class, and so are a class and its name in QuPath.
    """
    known = list(model.get("settings", {}).get("thresholds", {}))
    if not known and rows:
        begin = "threshold/"
        known = [name[len(begin) :] for name in rows[0] if name.startswith(begin)]
    own = {str(name) for part in parts for name in np.unique(part.classes)}
    own = {name or _UNCLASSIFIED for name in own if not _is_ignored(name)}
    there = _spelled(known)
    fresh = {name.casefold(): name for name in sorted(own, reverse=True)}
    others = [name for key, name in fresh.items() if key not in there]
    return (*known, *sorted(others, key=natural_key))


def _spelled(class_names: Sequence[str]) -> dict[str, str]:
    """Class by what it may be called, in QuPath too, in lower case."""
    in_qupath = qupath_names.own_names(class_names)
    return {
        **{name.casefold(): own for name, own in in_qupath.items()},
        **{name.casefold(): name for name in class_names},
    }


def _is_ignored(name: str) -> bool:
    return name.lower().startswith(_IGNORED)


def _label(kind: str, class_names: Sequence[str]) -> int:
    """The class of a cell, -1 of one that is ignored."""
    if _is_ignored(kind):
        return -1
    name = kind or _UNCLASSIFIED
    if name not in class_names:
        name = _spelled(class_names)[name.casefold()]
    return class_names.index(name)


def _sheet(
    row: dict[str, str],
    part: tables.Table | None,
    class_names: Sequence[str],
    model: dict[str, Any],
) -> Sheet:
    """Cells of an image, with what its row of a summary says."""
    points_yx, labels, own_mpp = np.zeros((0, 2)), np.zeros(0, np.int64), 0.0
    if part is not None:
        kinds, number = np.unique(part.classes, return_inverse=True)
        ids = [_label(kind, class_names) for kind in kinds.tolist()]
        labels = np.array(ids, np.int64)[number]
        points_yx, labels = part.points_yx[labels >= 0], labels[labels >= 0]
        own_mpp = part.mpp
    mpp = float(row.get("mpp") or own_mpp)
    source = row.get("mpp_source") or ("" if not mpp else "the table")
    size_hw, area = None, None
    if _AREA in row:
        area = float(row[_AREA])
    elif row.get("height"):
        size_hw = (int(row["height"]), int(row["width"]))
        area = float(np.prod(size_hw)) * mpp**2 / 1e6 if mpp else None
        given = model.get("settings", {}).get("mpp")
        source = "" if not mpp else (_GIVEN if given == mpp else "the image file")
    return Sheet(
        row["image"],
        points_yx,
        labels,
        size_hw,
        area,
        mpp,
        source,
        int(row.get("bad_tiles") or 0),
    )
