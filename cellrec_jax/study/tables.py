"""Work directories that words name, and tables of what they show."""

import argparse
from collections.abc import Callable, Mapping, Sequence
import glob
from pathlib import Path
from typing import Any

from cellrec_jax import errors
from cellrec_jax.io import table as io_table


def named(words: Sequence[str]) -> dict[str, list[str]]:
    """Label -> work directories; ConfigError for a pattern that nothing fits."""
    by_label: dict[str, list[str]] = {}
    for word in words:
        label, found = word, _folders(word)  # names of sweeps' folders have "=" in them
        if not found and "=" in word:
            label, _, pattern = word.partition("=")
            found = _folders(pattern)
        if not found:
            raise errors.ConfigError(f"{word}: there is no such work directory")
        by_label.setdefault(label, []).extend(found)
    return by_label


def single(words: Sequence[str]) -> dict[str, str]:
    """Label -> its one work directory; ConfigError where a pattern fits several."""
    by_label = named(words)
    for label, found in by_label.items():
        if len(found) > 1:
            raise errors.ConfigError(
                f"{label}: {len(found)} work directories ({', '.join(found)}); give one"
            )
    return {label: found[0] for label, found in by_label.items()}


def _folders(pattern: str) -> list[str]:
    return sorted(glob.glob(str(Path(pattern).expanduser())))


def each(
    rows_of: Callable[..., Sequence[Mapping[str, Any]]],
    named: Mapping[str, Sequence[str]],
) -> list[Mapping[str, Any]]:
    """Rows of one work directory after the other."""
    pairs = [(label, one) for label, runs in named.items() for one in runs]
    return [row for label, one in pairs for row in rows_of(label, one)]


def measured(
    flags: argparse.Namespace,
    rows_of: Callable[[Mapping[str, Sequence[str]]], Sequence[Mapping[str, Any]]],
    columns: Sequence[str],
) -> list[dict[str, str]]:
    """Rows as text: of all work directories, by label, or of `--from`.

    Writes those of runs beside the figure.
    """
    table = flags.table
    if bool(table) == bool(flags.runs):
        raise errors.ConfigError("give work directories, or --from FILE.csv")
    if not table:
        table = beside(flags.out)
        io_table.write_rows(table, rows_of(named(flags.runs)), columns)
    return read(table, columns)


def read(table: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows as text of a table that a command wrote; ConfigError for another one."""
    found = io_table.read_rows(table)
    if not found or tuple(found[0]) != tuple(columns):
        raise errors.ConfigError(
            f"{table}: is no table of this command, of {', '.join(columns)}"
        )
    return found


def beside(figure: Path) -> Path:
    """Where the table of a figure is written."""
    if figure.suffix == ".csv":
        raise errors.ConfigError(f"--out {figure}: give FILE.png, of the figure")
    return figure.with_suffix(".csv")


def of_each(
    flags: argparse.Namespace,
    rows_of: Callable[[str], Sequence[Mapping[str, Any]]],
    columns: Sequence[str],
) -> None:
    """Shows the rows of all runs, and writes them where it is asked for."""
    runs = [one for found in named(flags.runs).values() for one in found]
    write(flags, [row for one in runs for row in rows_of(one)], columns)


def write(
    flags: argparse.Namespace,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
) -> None:
    """Shows rows, and writes them where it is asked for."""
    show(rows, columns)
    if flags.out:
        io_table.write_rows(flags.out, rows, columns)


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Prints a Markdown table."""
    lines = [columns, ["---"] * len(columns)]
    lines += [[_text(row[column]) for column in columns] for row in rows]
    for line in lines:
        print(f"| {' | '.join(line)} |", flush=True)  # noqa: T201


def shown(row: Mapping[str, str]) -> dict[str, Any]:
    """A row of a table that was read: fractions as numbers, nothing as None."""
    return {key: _fraction(value) if value else None for key, value in row.items()}


def _fraction(value: str) -> float | str:
    try:
        return value if value.isdecimal() else float(value)
    except ValueError:
        return value


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "-" if value is None else str(value)
