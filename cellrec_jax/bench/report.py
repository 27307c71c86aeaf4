"""What a benchmark returns, and how it is shown and written."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import json
import math
import os
from pathlib import Path
import platform
from typing import Any

import jax

from cellrec_jax import __version__
from cellrec_jax.io import atomic

Row = Mapping[str, Any]
"""Column -> text, number or None; units are in the names: `_s`, `_ms`, `_mib`."""

_FILE_ONLY = ("low_ms", "high_ms", "repeats", "against", "held_mib")
"""Columns that would make a table too wide."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the command line may change; 0 and () are each benchmark's own choice."""

    sizes: tuple[int, ...] = ()
    """What varies: boxes (density, nms), RoIs (roi_align), px a side (data), scores
    (pu), rows (points, ranking, refine), proposals (matching, matching_step)."""
    sizes_hw: tuple[tuple[int, int], ...] = ()
    """The same as heights and widths of images, px (predict); 640 is 640 x 640."""
    full: bool = False
    """predict: networks of published size."""
    repeats: int = 0
    """Samples behind each median: 20 of kernels, 7 of others."""
    steps: int = 0
    """train: steps of a sample; data: batches of a sample; rounds: of a detector."""
    batch_size: int = 0
    """Images a batch."""
    presets: tuple[str, ...] = ()
    """Which settings (train), classifiers (refine) or rows (predict)."""
    limit_s: float = 2.0
    """Seconds a call; a kernel's contestant that takes longer is left out."""
    budget_s: float = math.inf
    """Seconds after which a kernel's further sizes are left out."""


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

    def with_notes(self, *notes: str) -> "Report":
        """The same with notes put in front."""
        return dataclasses.replace(self, notes=(*notes, *self.notes))


def machine() -> dict[str, Any]:
    """The machine and the versions that figures belong to."""
    devices = jax.devices()
    return {
        "platform": devices[0].platform,
        "device": devices[0].device_kind,
        "devices": len(devices),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "processor": platform.machine(),
        "jax": jax.__version__,
        "python": platform.python_version(),
        "cellrec_jax": __version__,
    }


def machine_line(facts: Mapping[str, Any]) -> str:
    """One line that names the machine."""
    return (
        f"{facts['devices']} x {facts['device']} ({facts['platform']}), "
        f"{facts['cores']} cores {facts['processor']}, load {facts['load']}, "
        f"jax {facts['jax']}, Python {facts['python']}"
    )


def show(name: str, report: Report, write: Callable[[str], None]) -> None:
    """Prints a report as a table, then its notes.

    Args:
      name: of the benchmark.
      report: its figures.
      write: prints one line.
    """
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
    """Writes the machine and all reports, as a whole or not at all.

    Raises:
      RunError: if the file cannot be written.
    """
    content = {
        "machine": dict(facts),
        "results": {name: dataclasses.asdict(r) for name, r in reports.items()},
    }
    text = json.dumps(content, indent=1, allow_nan=False)
    atomic.write_bytes(path, text.encode() + b"\n")


def _table(rows: Sequence[Row]) -> list[str]:
    """Aligned lines: numbers right, text left; a header of as many lines as needed."""
    columns = [c for c in _columns(rows) if c not in _FILE_ONLY]
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


def _columns(rows: Sequence[Row]) -> list[str]:
    """Columns of all rows, in the order of their first appearance."""
    return list(dict.fromkeys(column for row in rows for column in row))


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value)
