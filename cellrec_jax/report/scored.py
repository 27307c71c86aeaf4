"""Scores of what was predicted, as `cellrec score` left them beside it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cellrec_jax.report import scores
from cellrec_jax.report.blocks import (
    Block,
    Cell,
    Notes,
    Section,
    Table,
    Text,
    shown,
)
from cellrec_jax.report.found import Found, Predicted
from cellrec_jax.report.names import Names

_MOST_ROWS = 20
_MOST_FOLDED = 1000
_ALL = "all"  # the field of a row that is of all that was looked at
_DENSITY = "per_mm2/"

Row = Mapping[str, Any]
"""Of scores.json, see `score.outputs.columns`."""


def section(found: Found, names: Names) -> Section | None:
    """Scores of all images, then of each; None where nothing was predicted."""
    if found.predicted is None:
        return None
    told = found.predicted.scores
    if told.get("scores"):
        blocks = _blocks(told, found.predicted, names)
    else:
        blocks = [Notes(("cellrec score WORKDIR/predict makes them, with intervals",))]
    return Section("scores", "Scores of predicted images", tuple(blocks))


def _blocks(told: Mapping[str, Any], predicted: Predicted, names: Names) -> list[Block]:
    rows: list[Row] = [
        one
        for one in told["scores"]
        if one["value"] is not None or not one["score"].startswith(_DENSITY)
    ]
    whole = [one for one in rows if not one["image"]]
    parts = [one for one in rows if one["image"]]
    first = (whole or parts)[0]
    blocks: list[Block] = [Text(_about(told, first, names))]
    if whole:
        blocks.append(_table(whole, told, names))
    blocks += shown(_table(parts, told, names), _MOST_ROWS, _MOST_FOLDED, "scores")
    warned = dict.fromkeys(one["warning"] for one in whole or parts if one["warning"])
    lines = [*_odd(told, predicted), *warned]
    few = {one["image"] for one in parts if one["warning"]}
    if whole and few:
        lines.append(
            f"{len(few)} images are below the usual least numbers by themselves: "
            "scores.csv says how far"
        )
    if lines:
        blocks.insert(0, Notes(tuple(lines), warn=True))
    return blocks


def _about(told: Mapping[str, Any], first: Row, names: Names) -> str:
    """What was looked at, what intervals are of, and what corrected the scores."""
    area, mpp = first["analysed_mm2"], first["mpp"]
    text = "An unknown area" if area is None else f"{area:.4g} mm²"
    text += " was looked at, "
    source = f" ({first['mpp_source']})" if first["mpp_source"] else ""
    text += f"{mpp:.4g} µm per px" if mpp else "pixel sizes unknown or several"
    text += f"{source}; {first['tiles_left_out']} tiles could not be read. "
    text += f"Intervals, 95 %, are of {first['interval_of']} drawn again"
    calibration = told.get("calibration")
    if not calibration:
        return f"{text}; they know nothing of what the model gets wrong."
    folder = names.of(calibration["folder"], "folder")
    number = calibration["num_fields"]
    return (
        f"{text}. Corrected by what the model gets wrong in {number} annotated fields "
        f"of {folder}."
    )


def _table(rows: Sequence[Row], told: Mapping[str, Any], names: Names) -> Table:
    """A row a score; corrected values where there are any."""
    is_corrected = bool(told.get("calibration"))
    reads = told.get("definitions", {})
    has_reads = len({one["image"] for one in rows}) == 1
    cells = []
    for one in rows:
        is_density = one["score"].startswith(_DENSITY)
        name = scores.spoken(one["score"]).replace("per mm2/", "per mm², ")
        sub = "" if is_density or not has_reads else reads.get(one["score"], "")
        if one["field"] != _ALL:
            sub = f"{one['field']}, {(one['side_um'] / 1000) ** 2:.3g} mm²"
        line = [Cell(name, sub), _value(one, "", "value")]
        if is_corrected:
            line.append(_value(one, "corrected_", "corrected"))
        first = [Cell(names.of(one["image"]))] if one["image"] else []
        cells.append((*first, *line, Cell(_counted(one))))
    heads = ("score", "value", *(("corrected",) if is_corrected else ()), "counted")
    if rows[0]["image"]:
        caption = "Each image, with intervals of parts of it"
        return Table(("image", *heads), tuple(cells), caption, num_text=2)
    return Table(heads, tuple(cells), "All images together")


def _value(one: Row, begin: str, name: str) -> Cell:
    """A value and its interval."""
    value, low, high = one[name], one[f"{begin}low"], one[f"{begin}high"]
    if value is None:
        return Cell("undefined")
    return Cell(
        _short(value), "" if low is None else f"{_short(low)} to {_short(high)}"
    )


def _short(value: float) -> str:
    """Shares to a thousandth, others to three digits or whole."""
    if value <= 1:
        return f"{value:.3f}"
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _counted(one: Row) -> str:
    """What stands above and below the line."""
    below = one["denominator"]
    what = "cells" if one["per"] == "cells" else "mm²"
    above = f"{one['numerator']:,.0f}"
    return above if below is None else f"{above} / {below:,.5g} {what}"


def _odd(told: Mapping[str, Any], predicted: Predicted) -> Iterator[str]:
    """What makes scores others than those of the predicted images."""
    settings = (told.get("model") or {}).get("settings")
    if settings != predicted.facts.get("settings"):
        yield "the prediction has changed since: cellrec score WORKDIR/predict again"
    if left_out := told.get("left_out"):
        yield f"{len(left_out)} images that could not be predicted are left out"
