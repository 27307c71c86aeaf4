"""How a model was trained: curves, time, and rounds of pseudo labels."""

from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from cellrec_jax.io.console import format_seconds
from cellrec_jax.report import charts, pictures, scores
from cellrec_jax.report.blocks import (
    Block,
    Cell,
    Notes,
    Picture,
    Pictures,
    Section,
    Table,
    row,
)
from cellrec_jax.report.found import Found
from cellrec_jax.report.names import Names

_REDRAWN = ("loss.png", "threshold_curve.png", "confusion.png", "rounds.png")
_CAPTIONS = {
    "precision_recall": "Precision over recall, by box overlap.",
    "reliability": "Precision of detections by their score.",
    "radii": "F1 over the radius within which a detection is right.",
    "scores": "Scores of unlabelled peaks after round {}.",
    "labels": "Labels chosen after round {}, on the image with most given ones.",
}
_OF_ROUNDS = ("labels_", "scores_")
_NAMED = ("labels_",)  # pictures that have an image's name in them
_MEASURES = ("F1", "precision", "recall")


def section(found: Found) -> Section:
    """Curves and time."""
    blocks: list[Block] = []
    drawn = charts.losses(found.logged)
    if chart := charts.validation(found.logged):
        drawn.append(chart)
    drawn += _others(found)
    if drawn:
        blocks.append(Pictures(tuple(drawn)))
    if not found.logged:
        blocks.append(Notes(("no losses: metrics.jsonl is missing or empty",)))
    if facts := _facts(found):
        blocks.append(Table((), facts, num_text=2))
    return Section("training", "Training", tuple(blocks))


def rounds(found: Found, names: Names) -> Section | None:
    """What each round of pseudo labels trained on and chose; None without rounds."""
    if not found.rounds:
        return None
    blocks: list[Block] = [_table(found.rounds)]
    if chart := charts.rounds(found.rounds):
        blocks.append(Pictures((chart,)))
    of_rounds = {
        name: path
        for name, path in found.figures.items()
        if name.startswith(_OF_ROUNDS)
    }
    hidden = [name for name in of_rounds if names.hidden and name.startswith(_NAMED)]
    shown = {name: path for name, path in of_rounds.items() if name not in hidden}
    if drawn := [one for one in map(_picture, shown.values()) if one]:
        blocks.append(Pictures(tuple(drawn)))
    lines = (
        [f"pictures with names in them are left out: {len(hidden)}"] if hidden else []
    )
    lines += [
        f"round {one.get('round')}: {names.said(str(note))}"
        for one in found.rounds
        for note in one.get("notes", ())
    ]
    if lines:
        blocks.append(Notes(tuple(lines)))
    return Section("rounds", "Rounds of pseudo labels", tuple(blocks))


def _others(found: Found) -> list[Picture]:
    """Pictures that nothing else of the page shows."""
    skipped = ("overlay_", *_OF_ROUNDS)
    wanted = [
        path
        for name, path in found.figures.items()
        if name not in _REDRAWN and not name.startswith(skipped)
    ]
    return [one for one in map(_picture, wanted) if one is not None]


def _picture(path: epath.Path) -> Picture | None:
    kind, _, number = path.stem.rpartition("_")
    caption = _CAPTIONS.get(path.stem) or _CAPTIONS.get(kind, f"{path.stem}.")
    return pictures.embed(path, caption.format(number))


def _facts(found: Found) -> tuple[tuple[Cell, ...], ...]:
    """What it took, a row each."""
    run, config = found.run, found.config
    timing = run.get("timing") or {}
    seconds = timing.get("seconds") or found.meta.get("seconds")
    facts: dict[str, Any] = {
        "steps": f"{_step(found):,} of {config.get('total_steps', 0):,}",
        "images a step": config.get("batch_size"),
        "seed": config.get("seed"),
        "time": format_seconds(seconds) if seconds else None,
        "steps a second": _rate(timing.get("steps_per_s")),
        "an image takes": _milliseconds(timing.get("predict_s")),
        "parameters": f"{run['parameters']:,}" if "parameters" in run else None,
        "devices": ", ".join(run.get("devices", ())),
        "optimiser": config.get("optim", {}).get("name"),
    }
    return tuple(
        row(name, str(text)) for name, text in facts.items() if text not in (None, "")
    )


def _step(found: Found) -> int:
    return found.run.get("step") or (found.steps or [0])[-1]


def _rate(steps: float | None) -> str | None:
    return f"{steps:.3g}" if steps else None


def _milliseconds(seconds: float | None) -> str | None:
    return f"{1000 * seconds:.0f} ms" if seconds else None


def _table(summaries: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for one in summaries:
        labels, chosen = one.get("labels", {}), one.get("selected") or {}
        test = one.get("test") or {}
        rows.append(
            row(
                f"{one.get('round')}",
                *(_count(labels.get(name)) for name in _LABELS),
                Cell(_count(chosen.get("positive")), _right(chosen, "positive")),
                Cell(_count(chosen.get("negative")), _right(chosen, "negative")),
                *(scores.number(test.get(name), none="") for name in _MEASURES),
            )
        )
    heads = ("round", *_LABELS.values(), "chosen as cells", "as background")
    caption = (
        "Labels that each round trained on, what it chose, its scores on test images."
    )
    return Table((*heads, *_MEASURES), tuple(rows), caption)


_LABELS = {
    "given": "given labels",
    "pseudo_positive": "pseudo cells",
    "pseudo_negative": "pseudo background",
}


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _right(chosen: Mapping[str, Any], kind: str) -> str:
    share = chosen.get(f"{kind}_purity")
    return "" if share is None else f"{share:.0%} right"
