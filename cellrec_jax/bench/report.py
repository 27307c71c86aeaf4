"""What a benchmark is told and returns, and how that is printed and written."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from cellrec_jax.io import atomic

Row = Mapping[str, Any]
"""Column -> text, number or None; units are in the names: `_s`, `_ms`, `_mib`."""
Say = Callable[[str], None]
"""Told what is being measured."""

_FILE_ONLY = ("low_ms", "high_ms", "repeats", "against", "held_mib")
"""Columns that would make a table too wide."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the command line may change; 0 and () are each benchmark's own choice."""

    sizes: tuple[int, ...] = ()
    """What varies: boxes (density, nms), RoIs (roi_align), px a side (data,
    convolution), scores (pu), rows (points, ranking, refine), cells (targets), images
    a batch (steps, torch_steps),
    proposals (matching, matching_step, for the cells of the paper's sizes or an eighth
    as many)."""
    sizes_hw: tuple[tuple[int, int], ...] = ()
    """The same as heights and widths of images, px (predict, decoders); 640 is 640 x
    640."""
    full: bool = False
    """predict, decoders, steps, torch_steps, trace: networks of published size."""
    repeats: int = 0
    """Samples behind each median: 20 of kernels, 7 of others."""
    steps: int = 0
    """train: steps of a sample; steps, torch_steps: of the first batch; trace: all;
    data: batches of a sample; rounds: of a detector."""
    batch_size: int = 0
    """Images a batch."""
    profile: int = 0
    """train: steps that are traced, for the time of each named scope."""
    results: tuple[Path, ...] = ()
    """coverage: files of `evaluate.saved`."""
    presets: tuple[str, ...] = ()
    """Which settings (train), types (steps, torch_steps), classifiers (refine) or rows
    (predict, decoders)."""
    limit_s: float = 2.0
    """Seconds a call; a kernel's contestant that takes longer is left out."""
    budget_s: float = math.inf
    """Seconds after which further sizes of a kernel, rows of predict and steps, are
    left out."""
    trace: Path | None = None
    """trace: the folder for it."""
    keep: "Callable[[Report], None]" = dataclasses.field(
        default=lambda _: None, compare=False
    )
    """Given what is known so far, for the case that the process is stopped."""


@dataclasses.dataclass(frozen=True)
class Report:
    """Figures of one benchmark."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """What was skipped and why, and what the figures say."""
    x: str = ""
    """The column that times can be drawn over; none where there is nothing to draw."""
    wrong: tuple[str, ...] = ()
    """Contestants whose result was not right; they are not in the rows."""
    peaks: Mapping[str, Any] | None = None
    """`machine.Peaks` that shares refer to."""


def point(row: Row) -> dict[str, Any]:
    """The columns of a kernel's row that name its size: those before the direction."""
    columns = list(row)
    return {key: row[key] for key in columns[: columns.index("direction")]}


def show(name: str, report: Report, write: Say) -> None:
    """Prints a report as a table, then its notes."""
    if report.rows:
        write(f"\n{name}")
        for line in _table(report.rows):
            write(line)
    for text in report.wrong:
        write(f"{name}: WRONG, not timed: {text}")
    for text in report.notes:
        write(f"{name}: {text}")


def write_json(
    path: Path, facts: Mapping[str, Any], reports: Mapping[str, Report]
) -> None:
    """Writes machine and reports, whole or not at all; RunError if it cannot."""
    content = {
        "machine": dict(facts),
        "results": {name: dataclasses.asdict(r) for name, r in reports.items()},
    }
    text = json.dumps(content, indent=1, allow_nan=False)
    atomic.write_bytes(path, text.encode() + b"\n")


def _table(rows: Sequence[Row]) -> list[str]:
    """Aligned lines: numbers right, text left; a header of as many lines as needed."""
    named = dict.fromkeys(column for row in rows for column in row)
    columns = [column for column in named if column not in _FILE_ONLY]
    words = [column.split("_") for column in columns]
    height = max(map(len, words))
    heads = [[""] * (height - len(word)) + word for word in words]
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    lines = [list(line) for line in zip(*heads, strict=True)] + cells
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = [isinstance(rows[0].get(column), str) for column in columns]
    lines.insert(height, ["-" * width for width in widths])
    return [
        "  ".join(
            cell.ljust(width) if to_left else cell.rjust(width)
            for cell, width, to_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in lines
    ]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value)
