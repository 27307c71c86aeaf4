"""The images that a model was measured on, the worst first, and what it mistakes."""

from collections.abc import Mapping, Sequence
from typing import Any

from cellrec_jax.report import charts, pictures, scores
from cellrec_jax.report.blocks import (
    Block,
    Cell,
    Notes,
    Pictures,
    Section,
    Table,
    Text,
    row,
    shown,
)
from cellrec_jax.report.found import Found
from cellrec_jax.report.names import Names

_OVERLAY = "overlay_"
_MOST_PICTURES = 24
_MOST_ROWS = 10
_MOST_FOLDED = 1000
_RANKED_BY = ("F1", "recall_estimated")
_COLUMNS = {
    "group": "group",
    "F1": "F1",
    "recall_estimated": "recall",
    "num_truth": "cells",
    "num_labels": "labels",
    "num_predicted": "found",
    "num_matched": "matched",
    "precision": "precision",
    "recall": "recall",
    "count_error": "count error",
}
"""Of per_image.csv, in this order, where they are there."""


def worst_first(rows: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Rows of per_image.csv by rising F1, those without one last.

    Where labels are a part of the cells, by recall. Of equal ones that with the largest
    error of the count is worse.
    """

    def key(one: Mapping[str, str]) -> tuple[bool, float, float, str]:
        text = _rank(one)
        error = abs(float(one.get("count_error") or 0))
        return not text, float(text or 0), -error, one.get("image", "")

    return sorted(rows, key=key)


def section(found: Found, names: Names) -> Section:
    """Overlays and the table of images, the worst first."""
    rows = worst_first(found.per_image)
    blocks: list[Block] = []
    if rows:
        blocks.append(Text(_legend(found)))
        blocks += _overlays(found, rows, names)
        drawn = (charts.counts(rows), charts.shares(rows, *_shares(rows[0])))
        if kept := tuple(one for one in drawn if one is not None):
            blocks.append(Pictures(kept))
        table = _table(rows, names)
        blocks += shown(table, _MOST_ROWS, _MOST_FOLDED, "images")
    else:
        blocks.append(Notes((_nothing(found),)))
    return Section("images", "Test images, worst first", tuple(blocks))


def failures(found: Found, names: Names) -> Section:
    """Who is mistaken for whom, what was left out, what could not be read."""
    blocks: list[Block] = []
    if confusion := found.tables.get("confusion"):
        blocks += [Text(_mistakes(confusion)), _confusion(confusion)]
    lines = []
    if found.predicted is not None:
        failed = found.predicted.facts.get("failed", {})
        lines = [
            f"{names.of(name)} could not be predicted: {names.said(str(why))}"
            for name, why in failed.items()
        ]
    if lines:
        blocks.append(Notes(tuple(lines)))
    if not blocks:
        blocks.append(Notes(("nothing is known of failures",)))
    return Section("failures", "What goes wrong", tuple(blocks))


def _rank(one: Mapping[str, str]) -> str:
    """The value that images are sorted by; "" of none."""
    return next((one[name] for name in _RANKED_BY if name in one), "")


def _legend(found: Found) -> str:
    by = "F1" if "F1" in found.per_image[0] else "the share of labels that is found"
    return (
        f"Sorted by {by}. In the pictures boxes are annotated cells, diamonds are "
        "detections, in the colours of their classes."
    )


def _nothing(found: Found) -> str:
    if not found.results:
        return "no results yet: cellrec evaluate --workdir WORKDIR makes them"
    return "no image was measured on, or predictions/per_image.csv is missing"


def _overlays(
    found: Found, rows: Sequence[Mapping[str, str]], names: Names
) -> list[Block]:
    """Pictures of the images that have one, and what to do for others."""
    files = {_overlay_of(one["image"]): one for one in rows}
    with_picture = [(name, one) for name, one in files.items() if name in found.figures]
    blocks: list[Block] = []
    drawn, lines = [], []
    for name, one in with_picture[:_MOST_PICTURES]:
        title = names.of(one["image"])
        picture = pictures.embed(found.figures[name], _caption(one), title)
        if picture is None:
            lines.append(f"the picture of {title} cannot be read")
        else:
            drawn.append(picture)
    if drawn:
        blocks.append(Pictures(tuple(drawn)))
    without = [one for name, one in files.items() if name not in found.figures]
    if without and _rank(without[0]):
        worst = without[0]
        lines.append(
            f"{len(without)} of {len(rows)} images have no picture, such as "
            f"{names.of(worst['image'])} ({_number(_rank(worst))}): cellrec evaluate "
            f"--workdir WORKDIR --config.eval.overlays={len(rows)} draws all"
        )
    if len(with_picture) > _MOST_PICTURES:
        lines.append(f"{len(with_picture) - _MOST_PICTURES} more are in figures/")
    return [*blocks, Notes(tuple(lines))] if lines else blocks


def _overlay_of(image_id: str) -> str:
    """As `evaluate.outputs` names it."""
    return f"{_OVERLAY}{image_id.replace('/', '_')}.png"


def _caption(one: Mapping[str, str]) -> str:
    parts = [f"{name} {_number(one[name])}" for name in _RANKED_BY if one.get(name)]
    if one.get("num_truth"):
        parts.append(
            f"{one['num_truth']} cells, {one.get('num_predicted')} found, "
            f"{one.get('num_matched')} of them right"
        )
    return "; ".join(parts).replace("recall_estimated", "recall")


def _number(text: str) -> str:
    """A value of the table as it is shown."""
    try:
        return f"{int(text)}"
    except ValueError:
        return f"{float(text):.3f}" if text else ""


def _table(rows: Sequence[Mapping[str, str]], names: Names) -> Table:
    first = rows[0]
    shares = _shares(first)
    known = [name for name in _COLUMNS if name in first]
    if not any(one.get("group") for one in rows):
        known = [name for name in known if name != "group"]
    cells = []
    for one in rows:
        line = [Cell(names.of(one["image"]))]
        if "group" in known:
            line.append(Cell(names.of(one["group"], "group")))
        for name in (*known, *shares):
            if name != "group":
                share = float(one[name]) if name in _RANKED_BY and one[name] else None
                line.append(Cell(_number(one[name]), share=share))
        cells.append(tuple(line))
    heads = [_COLUMNS[name] for name in known] + [scores.spoken(one) for one in shares]
    return Table(("image", *heads), tuple(cells), num_text=1 + ("group" in known))


def _shares(first: Mapping[str, str]) -> list[str]:
    """Columns of the share that class names stand for; see `metrics.proportion`."""
    wholes = (name.removesuffix("_error") for name in first if name.endswith("_error"))
    sides = (f"{name}_{side}" for name in wholes for side in ("predicted", "annotated"))
    return [name for name in sides if name in first]


def _confusion(confusion: Mapping[str, Any]) -> Table:
    rows = []
    for name, counts in zip(confusion["annotated"], confusion["counts"], strict=True):
        total = max(sum(counts), 1)
        cells = [Cell(f"{number:,}", share=number / total) for number in counts]
        rows.append(row(name, *cells))
    if rows:  # no cell can be both missed and invented
        rows[-1] = (*rows[-1][:-1], Cell(""))
    columns = ("annotated as", *(f"found as {one}" for one in confusion["predicted"]))
    columns = (*columns[:-1], "missed")
    caption = "Cells by class; the darker, the larger the share of its row."
    return Table(columns, tuple(rows), caption, heat=True)


def _mistakes(confusion: Mapping[str, Any]) -> str:
    """How many cells were missed, invented and taken for another class."""
    counts = confusion["counts"]
    *cells, invented = counts
    total = sum(map(sum, cells))
    missed = sum(one[-1] for one in cells)
    other = sum(
        number
        for place, one in enumerate(cells)
        for column, number in enumerate(one[:-1])
        if column != place
    )
    text = f"Of {total:,} annotated cells {missed:,} were missed"
    if len(cells) > 1:
        text += f" and {other:,} found as another class"
    return f"{text}; {sum(invented):,} detections are at no cell."
