"""What a model found in the images of WORKDIR/predict."""

from collections.abc import Mapping, Sequence

from cellrec_jax.metrics import proportion
from cellrec_jax.predict.inputs import OVERLAY_ENDING
from cellrec_jax.report import pictures, scores
from cellrec_jax.report.blocks import (
    Block,
    Cell,
    Notes,
    Picture,
    Pictures,
    Section,
    Table,
    Text,
    shown,
)
from cellrec_jax.report.found import Found, Predicted
from cellrec_jax.report.names import Names

_MOST_PICTURES = 6
_MOST_ROWS = 20
_MOST_FOLDED = 1000
_COLUMNS = {
    "height": "height, px",
    "width": "width, px",
    "mpp": "µm per px",
    "analysed_mm2": "looked at, mm²",
    "per_mm2": "cells per mm²",
    "bad_tiles": "tiles unread",
    "num_predicted": "cells",
}


def section(found: Found, names: Names) -> Section:
    """Counts of each image and a few pictures."""
    if found.predicted is None:
        blocks: list[Block] = [Notes(("nothing was predicted in WORKDIR/predict",))]
    else:
        blocks = _blocks(found, found.predicted, names)
    return Section("predicted", "Predicted images", tuple(blocks))


def _blocks(found: Found, predicted: Predicted, names: Names) -> list[Block]:
    facts, rows = predicted.facts, predicted.rows
    classes = tuple(facts.get("model", {}).get("classes", ())) or found.class_names
    blocks: list[Block] = [Text(_all_together(rows, classes))]
    lines = []
    if not facts:
        lines.append("predict.json is missing or cannot be read")
    elif not facts.get("finished"):
        lines.append("prediction was stopped: the same command goes on")
    step = facts.get("model", {}).get("step")
    if step and found.steps and step != found.steps[-1]:
        lines.append(
            f"these are of step {step}, the checkpoint is of {found.steps[-1]}"
        )
    if cuts := facts.get("settings", {}).get("thresholds"):
        listed = ", ".join(f"{name} {cut:.3f}" for name, cut in cuts.items())
        blocks.append(Text(f"Thresholds: {listed}."))
    if lines:
        blocks.append(Notes(tuple(lines)))
    drawn = _pictures(predicted, classes, names)
    if drawn:
        blocks.append(Pictures(tuple(drawn)))
    if rows:
        blocks += shown(
            _table(rows, classes, names), _MOST_ROWS, _MOST_FOLDED, "images"
        )
    return blocks


def _all_together(rows: Sequence[Mapping[str, str]], classes: Sequence[str]) -> str:
    """Images, cells and the share that the classes stand for."""
    total = sum(int(one.get("num_predicted") or 0) for one in rows)
    text = f"{total:,} cells in {len(rows)} images"
    definition = proportion.score_definition(classes)
    if definition is None or not rows:
        return f"{text}."
    counts = [
        sum(int(one.get(f"num_predicted/{name}") or 0) for one in rows)
        for name in classes
    ]
    share, *_ = proportion.with_interval(definition, counts).values()
    if share is None:
        return f"{text}."
    name = scores.spoken(definition.name)
    return f"{text}; {name} of all of them {share:.3f}."


def _pictures(
    predicted: Predicted, classes: Sequence[str], names: Names
) -> list[Picture]:
    """Overlays of the first images that have one."""
    definition = proportion.score_definition(classes)
    score = definition.name if definition else ""
    found: list[Picture] = []
    inside = (one for one in predicted.rows if _is_inside(one["image"]))
    for one in inside:
        if len(found) == _MOST_PICTURES:
            break
        place = predicted.folder / f"{one['image']}{OVERLAY_ENDING}"
        caption = f"{one.get('num_predicted') or 0} cells"
        if share := one.get(score):
            caption += f"; {scores.spoken(score)} {float(share):.3f}"
        picture = pictures.embed(place, caption, names.of(one["image"]))
        if picture is not None:
            found.append(picture)
    return found


def _is_inside(name: str) -> bool:
    """Whether a name stays in its folder, as all do that prediction writes."""
    return not name.startswith("/") and ".." not in name.split("/")


def _table(
    rows: Sequence[Mapping[str, str]], classes: Sequence[str], names: Names
) -> Table:
    present = [name for name in _COLUMNS if any(one.get(name) for one in rows)]
    by_class = [f"num_predicted/{name}" for name in classes]
    by_class = [name for name in by_class if name in rows[0]]
    definition = proportion.score_definition(classes)
    shares = [definition.name] if definition and definition.name in rows[0] else []
    cells = []
    for one in rows:
        line = [Cell(names.of(one["image"]), names.said(one.get("note", "")))]
        line += [Cell(one[name]) for name in (*present, *by_class)]
        for name in shares:
            line.append(_share(one, name))
        cells.append(tuple(line))
    heads = [_COLUMNS[name] for name in present]
    heads += [name.partition("/")[2] for name in by_class]
    return Table(("image", *heads, *map(scores.spoken, shares)), tuple(cells))


def _share(one: Mapping[str, str], name: str) -> Cell:
    if not one[name]:
        return Cell("")
    share = float(one[name])
    return Cell(f"{share:.3f}", share=share)
