"""The score thresholds of a model, and where they come from."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cellrec_jax.report import charts
from cellrec_jax.report.blocks import (
    Block,
    Cell,
    Notes,
    Pictures,
    Section,
    Table,
    Text,
    row,
)
from cellrec_jax.report.found import Found
from cellrec_jax.workdir import thresholds

_NONE = "no checkpoint can be read, and so no thresholds"
_RULES = {
    "f1": "the F1 of all cells",
    "lee_liu": "recall² / detections (labels are a part of unknown share)",
    "known_share": "the F1 that the labels' known share of the cells makes likely",
}


class Cut(NamedTuple):
    """The threshold of a class."""

    class_name: str
    threshold: float
    low: float | None
    high: float | None
    source: str


def of(found: Found) -> list[Cut]:
    """Those of each class; none where no checkpoint says."""
    decode = found.meta.get("decode", {})
    cuts = decode.get("thresholds", [])
    intervals = decode.get("intervals") or [(None, None)] * len(cuts)
    told = found.run.get("thresholds_from") or _sources(found)
    return [
        Cut(name, cut, low, high, told.get(name, ""))
        for name, cut, (low, high) in zip(
            found.class_names, cuts, intervals, strict=False
        )
    ]


def _sources(found: Found) -> dict[str, str]:
    """Class -> where its threshold comes from, of a run without results."""
    decode = found.meta.get("decode", {})
    if not decode:
        return {}
    wanted = found.meta.get("config", {}).get("eval", {})
    default = "the default: no labels to fit it on"
    if wanted.get("threshold"):
        default = "fixed by --config.eval.threshold"
    elif found.meta.get("fit_pending"):
        default = "the default: not fitted yet, training has not ended"
    shared = bool(wanted.get("shared_threshold"))
    texts = thresholds.sources(
        decode, found.class_names, shared=shared, without_labels=default
    )
    return dict(zip(found.class_names, texts, strict=True))


def section(found: Found) -> Section:
    """Thresholds, how they were chosen, and F1 at others."""
    cuts = of(found)
    blocks: list[Block] = []
    if cuts:
        blocks += [Text(_rule(found.meta["decode"])), _table(cuts)]
    else:
        blocks.append(Notes((_NONE,)))
    if curve := charts.thresholds(
        found.tables, {c.class_name: c.threshold for c in cuts}
    ):
        blocks.append(Pictures((curve,)))
    return Section("thresholds", "Thresholds", tuple(blocks))


def _rule(decode: Mapping[str, Any]) -> str:
    rule = _RULES.get(decode.get("rule", "f1"), "")
    kind = "withheld training labels" if decode.get("withheld") else "validation images"
    text = "A detection counts as a cell from its class's threshold on."
    if any(decode.get("num_labels", ())) and decode.get("scope") not in (
        "flag",
        "default",
    ):
        text += f" It is chosen on {kind}, where it maximises {rule}."
    if distance := decode.get("min_distance"):
        text += (
            f" Of two detections nearer than {distance:g} px the likelier one counts."
        )
    if once := decode.get("once"):
        cuts = ", ".join(f"{cut:.3f}" for cut in once["thresholds"])
        text += (
            f" These are of several views of an image; seen once, as slides are and by "
            f"--quick, in the same order: {cuts}."
        )
    return text


def _table(cuts: list[Cut]) -> Table:
    rows = []
    for one in cuts:
        between = "" if one.low is None else f"{one.low:.3f} to {one.high:.3f}"
        rows.append(
            row(one.class_name, one.source, Cell(f"{one.threshold:.3f}", between))
        )
    return Table(("class", "comes from", "threshold"), tuple(rows), num_text=2)
