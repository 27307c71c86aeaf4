"""What is looked at first: task, scores, thresholds, data, warnings."""

import inspect

from cellrec_jax import errors, methods
from cellrec_jax.report import checks, cuts, scores
from cellrec_jax.report.blocks import (
    Block,
    Cell,
    Notes,
    Section,
    Table,
    Text,
    Tile,
    Tiles,
    row,
)
from cellrec_jax.report.data import SPLITS
from cellrec_jax.report.found import Found
from cellrec_jax.report.names import Names

_FIRST = ("F1", "F1_estimated", "recall_estimated")
_BESIDE = (("precision", "precision_estimated"), ("recall", "recall_estimated"))


def section(found: Found, names: Names) -> Section:
    """The box that a report begins with."""
    blocks: list[Block] = [Text(_task(found)), Tiles(tuple(_tiles(found)))]
    if table := _classes(found):
        blocks.append(table)
    if lines := checks.warnings(found, names):
        blocks.append(Notes(lines, warn=True))
    return Section("summary", "Summary", tuple(blocks))


def title(found: Found) -> str:
    """Method and classes, a line."""
    method = str(found.config.get("method", "a model"))
    return f"{method}: {', '.join(found.class_names)}" if found.class_names else method


def _task(found: Found) -> str:
    """What the method is, as its module says."""
    try:
        module = methods.module(str(found.config.get("method")))
    except errors.ConfigError:
        return "A method that this version does not know."
    text = (inspect.getdoc(module) or "").partition("\n")[0]
    classes = ", ".join(found.class_names)
    return f"{text} Classes: {classes}." if classes else text


def _tiles(found: Found) -> list[Tile]:
    metrics = found.metrics
    tiles = []
    if first := scores.named(metrics, *_FIRST):
        tiles.append(_tile(found, first, main=True))
    beside = [scores.named(metrics, *kinds) for kinds in _BESIDE]
    tiles += [_tile(found, one) for one in beside if one and one != first]
    tiles += _index(found)
    if entry := metrics.get("count_mae"):
        value = scores.number(entry.get("value"), "count_mae")
        tiles.append(Tile("count error an image", value, _between(entry, "count_mae")))
    if found.splits:
        numbers = " / ".join(str(len(found.splits.get(one, ()))) for one in SPLITS)
        tiles.append(Tile("images", numbers, " / ".join(SPLITS)))
    labels = found.run.get("cells_kept", found.meta.get("cells_kept"))
    if labels is not None:
        total = found.run.get("cells_total", found.meta.get("cells_total"))
        sub = (
            f"of {total:,} annotated"
            if total not in (None, labels)
            else "all there are"
        )
        tiles.append(Tile("training labels", f"{labels:,}", sub))
    if found.steps:
        total = found.config.get("total_steps", 0)
        tiles.append(Tile("training step", f"{found.steps[-1]:,}", f"of {total:,}"))
    return tiles


def _tile(found: Found, measure: str, *, main: bool = False) -> Tile:
    entry = found.metrics[measure]
    value = scores.number(entry.get("value"), measure)
    return Tile(scores.spoken(measure), value, _between(entry, measure), main)


def _between(entry: scores.Entry, measure: str) -> str:
    interval = scores.interval(entry, measure)
    return f"95 %: {interval}" if interval else ""


def _index(found: Found) -> list[Tile]:
    """The share that class names stand for, of predictions and annotations."""
    definition = found.tables.get("score")
    if not definition:
        return []
    name = definition["name"]
    predicted, annotated = (
        found.metrics.get(f"{name}_{side}", {}) for side in ("predicted", "annotated")
    )
    value = scores.number(predicted.get("value"))
    sub = f"annotated {scores.number(annotated.get('value'))}"
    if between := _between(predicted, name):
        sub = f"{between}; {sub}"
    return [Tile(scores.spoken(name), value, sub)]


def _classes(found: Found) -> Table | None:
    """A row a class: its scores, its threshold and where that comes from."""
    chosen = cuts.of(found)
    if not chosen:
        return None
    measures = [scores.named(found.metrics, *kinds) for kinds in (_FIRST, *_BESIDE)]
    measures = list(dict.fromkeys(one for one in measures if one))
    rows = [
        row(
            Cell(one.class_name, one.source),
            Cell(f"{one.threshold:.3f}"),
            *scores.class_cells(found.metrics, one.class_name, measures),
        )
        for one in chosen
    ]
    heads = (scores.spoken(one) for one in measures)
    columns = ("class", "threshold", *heads)
    return Table(columns, tuple(rows))
