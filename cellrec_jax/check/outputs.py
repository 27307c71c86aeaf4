"""What was found as files and JSON: a table, and places to look at in QuPath."""

from collections import Counter, defaultdict
from collections.abc import Sequence
import contextlib
import os
from pathlib import Path
from typing import Any

from cellrec_jax.check.estimate import Estimate
from cellrec_jax.check.folder import Report
from cellrec_jax.check.rules import ERROR, NOTE, RULES, WARNING, Finding
from cellrec_jax.data.readers import listed
from cellrec_jax.io import geojson_marks, table

TABLE = "check.csv"
FOLDER = "check"
"""Of GeoJSON files, below it named as the images."""
COLUMNS = ("rule", "weight", "image", "x", "y", "text")

_COLORS = {ERROR: (200, 0, 0), WARNING: (230, 159, 0), NOTE: (0, 114, 178)}


def write(output: str | os.PathLike[str], findings: Sequence[Finding]) -> None:
    """Writes `TABLE`, and a GeoJSON file an image that has findings with a place.

    Files of an earlier table's images that have none any more are removed. RunError
    where something cannot be written.
    """
    folder = Path(output)
    by_image: dict[str, list[Finding]] = defaultdict(list)
    for one in findings:
        if one.x is not None:
            by_image[one.image].append(one)
    for row in table.read_rows(folder / TABLE):
        image = row.get("image") or ""
        if image not in by_image and listed.contained(image):
            with contextlib.suppress(OSError):
                _path(folder, image).unlink(missing_ok=True)
    for image, chosen in by_image.items():
        geojson_marks.write_marks(_path(folder, image), [_mark(one) for one in chosen])
    table.write_rows(folder / TABLE, map(_row, findings), COLUMNS)


def to_json(
    report: Report, told: Estimate | None = None, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """All of it for programs; what is not known is None."""
    numbers = Counter(one.rule for one in report.findings)
    return {
        "folder": report.root,
        "format": report.format,
        "images": len(report.images),
        "cells": dict(report.class_counts),
        "splits": {name: len(ids) for name, ids in report.splits.items()},
        "cell_size_px": report.size_px,
        "radius_px": report.radius_px,
        "rules": {name: numbers[name] for name in RULES},
        "unannotated": None if told is None else {**told._asdict(), "notes": notes},
        "findings": [_row(one) for one in report.findings],
    }


def _path(folder: Path, image: str) -> Path:
    return folder / FOLDER / f"{image}.geojson"


def _row(one: Finding) -> dict[str, Any]:
    x, y = (None if value is None else round(value, 3) for value in (one.x, one.y))
    values = (one.rule, one.weight, one.image, x, y, one.text)
    return dict(zip(COLUMNS, values, strict=True))


def _mark(one: Finding) -> geojson_marks.Mark:
    assert one.y is not None  # for mypy: of those with a place
    assert one.x is not None
    return geojson_marks.Mark(
        (one.y, one.x),
        f"check: {one.rule}",
        _COLORS[RULES[one.rule].weight],
        one.text,
        one.box_yxyx,
    )
