"""What a benchmark returns, and how it is shown and written."""

from collections.abc import Mapping, Sequence
import dataclasses
import json
import os
from pathlib import Path
import platform
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from cellrec_jax import __version__
from cellrec_jax.io import atomic

Row = Mapping[str, Any]
"""Column -> text, number or None; units are in the names: `_s`, `_ms`, `_mib`."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the command line may change; 0 and () are each benchmark's own choice."""

    sizes: tuple[int, ...] = ()
    """What varies: boxes (density, nms), RoIs (roi_align), px a side (data)."""
    repeats: int = 7
    """Samples behind each median."""
    steps: int = 0
    """train: steps of a sample; data: batches of a sample."""
    batch_size: int = 0
    """Images a batch."""
    presets: tuple[str, ...] = ()
    """train: which settings; see `bench.train`."""


@dataclasses.dataclass(frozen=True)
class Report:
    """Figures of one benchmark."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """What was skipped and why, and what the figures say."""


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


def show(name: str, report: Report, console: Console) -> None:
    """Prints a report as a table, then its notes."""
    if report.rows:
        columns = _columns(report.rows)
        table = Table(title=name, title_justify="left")
        for column in columns:
            numeric = not isinstance(report.rows[0].get(column), str)
            table.add_column(
                column.replace("_", "\n"), justify="right" if numeric else "left"
            )
        for row in report.rows:
            table.add_row(*(_text(row.get(column)) for column in columns))
        console.print(table)
    for note in report.notes:
        console.print(f"{name}: {note}", markup=False, highlight=False)


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


def _columns(rows: Sequence[Row]) -> list[str]:
    """Columns of all rows, in the order of their first appearance."""
    return list(dict.fromkeys(column for row in rows for column in row))


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value)
