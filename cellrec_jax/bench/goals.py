"""What was aimed at on a GPU, beside what was measured."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cellrec_jax.bench.kernel import BOTH, FORWARD
from cellrec_jax.bench.report import Row


class Goal(NamedTuple):
    """A figure of a row that should be no larger."""

    what: str
    unit: str
    most: float
    benchmark: str
    where: Mapping[str, Any]
    """Columns of the row; of several rows the least figure counts."""
    column: str


def _copies(what: str, benchmark: str, **where: Any) -> Iterator[Goal]:
    for direction in (FORWARD, BOTH):
        columns = {**where, "direction": direction}
        yield Goal(f"{what}, {direction}", "copies", 1.5, benchmark, columns, "ratio")


_SLIDE = {"way": "slide to files", "image_px": "20000x20000"}
GOALS = (
    Goal("density of 8,000 boxes", "ms", 0.05, "density", {"boxes": 8000}, "median_ms"),
    *_copies("GCE of 10^7 rows", "points", loss="gce", rows=10**7, contestant="fused"),
    *_copies("nnPU of 10^7 scores", "pu", scores=10**7, contestant="pu_risk"),
    Goal(
        *("pdl1_point, 1920 x 1080 px", "ms", 10.0, "predict"),
        *({"row": "ours", "image_px": "1080x1920"}, "median_ms"),
    ),
    Goal(
        *("training on an image of ki67_bde, 150 a second", "ms", 1e3 / 150, "steps"),
        *({"dtype": "bfloat16", "image_px": "800x800"}, "image_ms"),
    ),
    Goal(
        *("10,000 steps of two images of ki67_bde", "h", 2.5 / 60, "steps"),
        *({"dtype": "bfloat16", "image_px": "800x800", "batch": 2}, "paper_hours"),
    ),
    Goal("a slide to files", "s/mm2", 0.3, "slide", _SLIDE, "s_per_mm2"),
    Goal("a slide: the device idles", "of 1", 0.1, "slide", _SLIDE, "idle_share"),
)
MATCHING_MS = 1.0
"""What matching may add to a step."""


def table(results: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Goal, unit, most, measured, reached; None where it was not measured.

    `results` are those of `report.write_json`. A quick trial measures other sizes.
    """
    found = [
        (goal.what, goal.unit, goal.most, _least(_rows(results, goal.benchmark), goal))
        for goal in GOALS
    ]
    for what, added_ms in _added(_rows(results, "matching_step")):
        found.append((what, "ms", MATCHING_MS, added_ms))
    return [
        {
            "goal": what,
            "unit": unit,
            "most": most,
            "measured": measured,
            "reached": None if measured is None else measured <= most,
        }
        for what, unit, most, measured in found
    ]


def _rows(results: Mapping[str, Mapping[str, Any]], name: str) -> Sequence[Row]:
    return results.get(name, {}).get("rows", ())


def _least(rows: Sequence[Row], goal: Goal) -> float | None:
    figures = [
        row.get(goal.column)
        for row in rows
        if all(row.get(key) == value for key, value in goal.where.items())
        if not str(row.get("contestant")).startswith("torch")
    ]
    return min((figure for figure in figures if figure is not None), default=None)


def _added(rows: Sequence[Row]) -> Iterator[tuple[str, float | None]]:
    """What the better way of matching adds to a step of each size."""
    sizes = dict.fromkeys((row["proposals"], row["cells"]) for row in rows)
    for size in sizes or [None]:
        times = {
            row["contestant"]: row["median_ms"]
            for row in rows
            if size == (row["proposals"], row["cells"])
        }
        alone = times.pop("none", None)
        known = alone is not None and times
        what = f"matching of {size[0]} x {size[1]}" if size else "matching"
        yield f"{what} adds to a step", min(times.values()) - alone if known else None
