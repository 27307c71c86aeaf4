"""What is written of scores: scores.json, scores.csv, hot spots for QuPath."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
import uuid

import numpy as np
import orjson

from cellrec_jax.io import atomic, table
from cellrec_jax.predict import inputs
from cellrec_jax.score import measure, text
from cellrec_jax.score.definitions import Score
from cellrec_jax.score.estimate import Measured
from cellrec_jax.score.measure import Row
from cellrec_jax.score.sheets import Results

JSON, CSV = "scores.json", "scores.csv"
_COLORS = {measure.HOT_SPOT: [255, 0, 255], measure.MOST: [0, 255, 255]}
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "cellrec-jax")


def columns(row: Row) -> dict[str, Any]:
    """A row of scores.csv and of scores.json; None is unknown or undefined."""
    plain, corrected = row.plain, row.corrected
    found: dict[str, Any] = {
        "image": row.image,
        "score": row.score.name,
        "field": row.where,
        **_numbers(plain),
        "per": "mm2" if row.score.is_density else "cells",
    }
    empty = dict.fromkeys(Measured._fields)
    mended = empty if corrected is None else _numbers(corrected)
    found |= {
        "corrected" if name == "value" else f"corrected_{name}": value
        for name, value in mended.items()
    }
    corner, side = None, None
    if row.field is not None:
        corner, side = np.multiply(row.field.corner_yx, 1000), row.field.side_mm * 1000
    return found | {
        "analysed_mm2": _rounded(row.area_mm2),
        "mpp": row.mpp or None,
        "mpp_source": row.mpp_source,
        "tiles_left_out": row.tiles_left_out,
        "interval_of": row.units,
        "y_um": None if corner is None else round(float(corner[0]), 1),
        "x_um": None if corner is None else round(float(corner[1]), 1),
        "side_um": None if side is None else round(side, 1),
        "warning": "; ".join(row.warnings),
        "use": text.USE,
    }


def _numbers(one: Measured) -> dict[str, float | None]:
    return {name: _rounded(value) for name, value in one._asdict().items()}


def _rounded(value: float | None) -> float | None:
    """To six digits."""
    return None if value is None else float(f"{value:.6g}")


def write(
    output: Path,
    results: Results,
    scores: Sequence[Score],
    rows: Sequence[Row],
    about: Mapping[str, Any],
    mistakes: Mapping[str, Any] | None,
) -> None:
    """Writes both tables, and a GeoJSON file of fields of each image that has some.

    `about` is where the results are, `mistakes` what was measured in annotated fields.
    RunError if a file cannot be written.
    """
    listed = [columns(row) for row in rows]
    content = {
        "use": text.USE,
        **about,
        "model": results.model,
        "class_names": list(results.class_names),
        "definitions": {score.name: score.reads for score in scores},
        "calibration": mistakes,
        "left_out": results.left_out,
        "scores": listed,
    }
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY
    atomic.write_bytes(
        output / JSON, orjson.dumps(_text(content), option=options) + b"\n"
    )
    table.write_rows(output / CSV, [_guarded(row) for row in listed], list(listed[0]))
    for sheet in results.sheets:
        own = [row for row in rows if row.field and row.image == sheet.name]
        path = output / f"{sheet.name}{inputs.FIELDS_ENDING}"
        if own:
            atomic.write_bytes(path, orjson.dumps(features(own)) + b"\n")
        else:
            path.unlink(missing_ok=True)


def _text(value: Any) -> Any:
    """JSON whose texts are UTF-8: names of files that are not lose bytes."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, Mapping):
        return {_text(key): _text(one) for key, one in value.items()}
    return [_text(one) for one in value] if isinstance(value, list | tuple) else value


def _guarded(row: Mapping[str, Any]) -> dict[str, Any]:
    """With an apostrophe where a spreadsheet would take a name for a formula."""
    is_formula = row["image"].startswith(("=", "+", "-", "@", "\t", "\r"))
    return {**row, "image": f"'{row['image']}"} if is_formula else dict(row)


def features(rows: Sequence[Row]) -> dict[str, Any]:
    """Fields of one image as annotations of QuPath, px of the image."""
    found = []
    for row in rows:
        assert row.field is not None
        low = np.multiply(row.field.corner_yx, 1000 / row.mpp)
        high = low + row.field.side_mm * 1000 / row.mpp
        (y0, x0), (y1, x1) = low.round(2).tolist(), high.round(2).tolist()
        ring_xy = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
        name = text.title(row)
        measured = {
            f"{row.score.name} {key}": value
            for key, value in _numbers(row.plain).items()
            if value is not None
        }
        found.append(
            {
                "type": "Feature",
                "id": str(uuid.uuid5(_NAMESPACE, f"{name} {ring_xy}")),
                "geometry": {"type": "Polygon", "coordinates": [ring_xy]},
                "properties": {
                    "objectType": "annotation",
                    "name": name,
                    "classification": {
                        "name": "Hot spot",
                        "color": _COLORS[row.where],
                    },
                    "measurements": measured,
                },
            }
        )
    return {"type": "FeatureCollection", "features": found}
