"""Metrics of results.json in words: by measure and class, with their intervals."""

from collections.abc import Mapping, Sequence
import re
from typing import Any

from cellrec_jax.report.blocks import Block, Cell, Notes, Section, Table, Text, row
from cellrec_jax.report.found import Found
from cellrec_jax.report.names import Names

Entry = Mapping[str, Any]
"""Of a metric: `value`, `low`, `high`, and what they rest on."""
TOGETHER = ""
"""In place of a class, of all of them."""
_COUNTS = ("count_",)
_WHAT = {
    "AP11": "average precision by box overlap, of 11 points",
    "AP": "average precision by box overlap, area under the curve",
    "recall": "share of boxes found at any score",
    "F1@": "2 x matches / (detections + cells); a match is of the cell's class",
    "precision@": "share of detections that are a cell of their class",
    "recall@": "share of cells that are found as their class",
    "mean_F1@": "mean of the images' own F1",
    "count_mae": "mean error of the number of cells of an image",
    "detection_F1@": "F1 whatever the class",
    "detection_precision@": "share of detections that are any cell",
    "detection_recall@": "share of cells that are found as any class",
    "class_F1@": "mean of the classes' F1",
    "class_precision@": "mean of the classes' precision",
    "class_recall@": "mean of the classes' recall",
    "F1_estimated@": "as precision and recall are estimated",
    "precision_estimated@": "of labels that are a known part of the cells",
    "recall_estimated@": "share of labels that are found",
    "count_estimated": "number of cells, from labels and their share",
}
_OF_SHARES = {
    "_predicted": "of all detections together",
    "_annotated": "of all annotations together",
    "_error": "difference of these two",
    "_mae": "mean difference of an image",
}


def by_measure(
    metrics: Mapping[str, Entry],
) -> dict[str, dict[str, Entry]]:
    """Measure -> class, or `TOGETHER` -> entry.

    Example:
      >>> by_measure({"AP/a/b": {"value": 1}})
      {'AP': {'a/b': {'value': 1}}}
    """
    found: dict[str, dict[str, Entry]] = {}
    for name, entry in metrics.items():
        measure, _, class_name = name.partition("/")
        found.setdefault(measure, {})[class_name] = entry
    return found


def named(metrics: Mapping[str, Any], *kinds: str) -> str:
    """The first measure of a kind, as "F1" of "F1@12px"; "" if there is none."""
    measures = by_measure(metrics)
    found = (name for kind in kinds for name in measures if name.split("@")[0] == kind)
    return next((one for one in found if "@" in one), "")


def number(value: float | None, measure: str = "", none: str = "undefined") -> str:
    """A value as it is shown: cells to a tenth, shares to a thousandth."""
    if value is None:
        return none
    return f"{value:.{1 if measure.startswith(_COUNTS) else 3}f}"


def interval(entry: Entry, measure: str = "") -> str:
    """The 95 % interval of an entry; "" where it has none."""
    low, high = entry.get("low"), entry.get("high")
    if low is None or high is None:
        return ""
    return f"{number(low, measure)} to {number(high, measure)}"


def cell(entry: Entry | None, measure: str) -> Cell:
    """Value and interval."""
    if not entry:
        return Cell("")
    return Cell(number(entry.get("value"), measure), interval(entry, measure))


def what(measure: str) -> str:
    """What a measure is; "" of one that is not known here."""
    kind, at, _ = measure.partition("@")
    for ending, text in _OF_SHARES.items():
        if kind.endswith(ending) and kind not in _WHAT:
            return text
    return _WHAT.get(kind + at, "")


def spoken(measure: str) -> str:
    """A measure's name for people.

    Example:
      >>> spoken("F1@12px"), spoken("positive_index_mae")
      ('F1 within 12 px', 'positive index mae')
    """
    return re.sub(r"@([\d.e+]+)px$", r" within \1 px", measure).replace("_", " ")


def section(found: Found, names: Names) -> Section:
    """All that was measured."""
    metrics = found.metrics
    defined = {k: v for k, v in metrics.items() if v.get("value") is not None}
    blocks: list[Block] = []
    if metrics:
        blocks += [_about(metrics), _table(defined)]
        undefined = by_measure(metrics).keys() - by_measure(defined).keys()
        if undefined:
            listed = ", ".join(m for m in by_measure(metrics) if m in undefined)
            blocks.append(Notes((f"undefined here: {listed}",)))
    else:
        blocks.append(Notes(("nothing was measured: results.json has no metrics",)))
    if found.elsewhere:
        blocks.append(_elsewhere(found.elsewhere, names))
    return Section("metrics", "All metrics", tuple(blocks))


def _about(metrics: Mapping[str, Any]) -> Text:
    """What the numbers rest on."""
    first = next(iter(metrics.values()))
    images = first.get("num_images")
    if "num_labels" in first:
        return Text(
            f"Estimates from {first['num_labels']} labels in {images} images, which "
            "are a part of the cells; intervals, 95 %, are of these labels."
        )
    return Text(
        f"Of {images} images with {first.get('num_truth')} annotated cells; below each "
        "value its 95 % interval, by bootstrap over images."
    )


def _table(metrics: Mapping[str, Any]) -> Table:
    measures = by_measure(metrics)
    classes = list(dict.fromkeys(c for found in measures.values() for c in found))
    heads = [
        "all classes" if c == TOGETHER and len(classes) > 1 else c or "value"
        for c in classes
    ]
    rows = [
        row(
            Cell(spoken(measure), what(measure)),
            *(cell(entries.get(one), measure) for one in classes),
        )
        for measure, entries in measures.items()
    ]
    return Table(("measure", *heads), tuple(rows))


def _elsewhere(others: Mapping[str, Mapping[str, Any]], names: Names) -> Table:
    """What `cellrec evaluate` measured on other images or at other thresholds."""
    rows = []
    for folder, results in others.items():
        metrics = results.get("metrics", {})
        measure = named(metrics, "F1", "F1_estimated", "recall_estimated")
        entry = by_measure(metrics).get(measure, {}).get(TOGETHER, {})
        root = results.get("run", {}).get("root", "")
        rows.append(
            row(
                Cell(names.of(folder, "folder"), names.of(root, "folder")),
                spoken(measure),
                cell(entry, measure),
                f"{entry.get('num_images', '')}",
            )
        )
    columns = ("results", "measure", "value", "images")
    return Table(columns, tuple(rows), "Measured elsewhere", num_text=2)


def class_cells(
    metrics: Mapping[str, Any], class_name: str, measures: Sequence[str]
) -> list[Cell]:
    """Values of a class; those of a single class are the ones together."""
    found = by_measure(metrics)
    cells = []
    for measure in measures:
        entries = found.get(measure, {})
        entry = entries.get(class_name, entries.get(TOGETHER))
        cells.append(cell(entry, measure))
    return cells
