"""`python -m cellrec_jax.bench.table`: the tables of bench/README.md, from JSON files.

Of each kernel and pass: the smallest and largest size at which most contestants were
timed, and those with goals; the files and figures of `--plot` have all.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
import json
from pathlib import Path
import sys
from typing import Any

from cellrec_jax import errors
from cellrec_jax.bench import machine
from cellrec_jax.bench.report import point
from cellrec_jax.io import markers

RESULTS = Path(__file__).parent / "results"
MARKER = "bench"
GOALS: Mapping[str, Mapping[str, int]] = {
    "density": {"boxes": 8000, "batch": 1},
    "matching": {"proposals": 5120, "batch": 4},
    "matching_step": {"batch": 4},
    "pu": {"scores": 10**6},
    "points": {"rows": 10**6},
    "ranking": {"rows": 10**4},
}
"""Kernel -> the size that a goal was set for; always shown."""
_OTHERS: Mapping[str, Mapping[str, str]] = {
    "train": {
        **{"preset": "training", "image_px": "px", "batch": "batch"},
        **{"steps_per_s": "steps/s", "images_per_s": "images/s"},
        **{"compile_s": "compile, s", "peak_mib": "peak memory, MiB"},
    },
    "predict": {
        **{"row": "image in, points out", "image_px": "px", "parameters": "parameters"},
        **{"compile_s": "compile, s", "median_ms": "ms", "ratio": "ratio"},
    },
    "decoders": {
        **{"decoders": "decoders", "crop_px": "crop, px", "batch": "batch"},
        **{"step_ms": "step, ms", "step_ratio": "ratio", "image_px": "image, px"},
        **{"predict_ms": "prediction, ms", "predict_ratio": "ratio"},
        **{"predict_mib": "its memory, MiB"},
    },
    "large": {
        **{"way": "one large image", "image_px": "px", "windows": "windows"},
        **{"mpx_per_s": "million px/s", "peak_mib": "peak memory so far, MiB"},
    },
    "slide": {
        **{"way": "one slide", "image_px": "px", "windows": "tiles"},
        **{"mpx_per_s": "million px/s", "s_per_mm2": "s/mm2 at 0.25 um"},
        **{"network_share": "network's share", "peak_mib": "peak memory so far, MiB"},
    },
    "refine": {
        **{"task": "stage of a round", "what": "of", "number": "number"},
        **{"unit": "unit", "call_s": "s", "units_per_s": "units/s"},
        "peak_mib": "peak memory so far, MiB",
    },
    "coverage": {
        **{"set": "labels drawn of", "drawn": "by", "share": "share"},
        **{"labels": "labels", "covers_recall": "recall covered"},
        **{"covers_precision": "precision", "covers_F1": "F1"},
        **{"covers_count": "number", "covers_cut": "threshold", "warned": "warned"},
        **{"f1": "best F1", "lost_lee_liu": "lost by lee_liu"},
        **{"lost_known_share": "known_share", "lost_f1": "f1"},
    },
    "collectives": {
        **{"preset": "collectives of a step on four devices"},
        **{"parameters": "parameters", "asked": "traced", "asked_mib": "MiB"},
        **{"compiled": "compiled", "compiled_mib": "its MiB"},
    },
    "rounds": {
        **{"stage": "all rounds of c2c12_pseudo:demo", "seconds": "s"},
        **{"percent": "%", "peak_mib": "peak memory so far, MiB"},
    },
}
"""Benchmark -> the columns that are shown of it, and their heads."""


def markdown(files: Iterable[Mapping[str, Any]]) -> str:
    """Tables of all machines, each under its name; no line break at the end."""
    return "\n\n".join("\n\n".join(_of_machine(content)) for content in files)


def read(path: Path) -> dict[str, Any]:
    """Reads a file of figures; DataError if it is missing or of another kind."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise errors.DataError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict) or not {"machine", "results"} <= content.keys():
        raise errors.DataError(f"{path}: not written by `bench --json`; leave it out")
    return content


def _of_machine(content: Mapping[str, Any]) -> list[str]:
    blocks = [f"**{machine.line(content['machine'])}**"]
    results = content["results"]
    kernels = [
        line
        for name, result in results.items()
        for line in _kernel_lines(name, result["rows"])
    ]
    if kernels:
        blocks.append(_table(("kernel", "size", "pass", "ms a call, ratio"), kernels))
    for name, columns in _OTHERS.items():
        if rows := results.get(name, {}).get("rows"):
            lines = [[_number(row.get(key)) for key in columns] for row in rows]
            blocks.append(_table(tuple(columns.values()), lines))
    return blocks


def _kernel_lines(name: str, rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """One line a size, its contestants from fast to slow."""
    groups: dict[tuple[str, ...], dict[str, list[Mapping[str, Any]]]] = {}
    for row in rows:
        if "contestant" in row:  # other benchmarks have rows of another form
            texts = [value for value in point(row).values() if isinstance(value, str)]
            sizes = groups.setdefault((*texts, row["direction"]), {})
            sizes.setdefault(_size(row), []).append(row)
    return [
        [name, size, direction, _times(sizes[size])]
        for (*_, direction), sizes in groups.items()
        for size in _chosen(name, sizes)
    ]


def _size(row: Mapping[str, Any]) -> str:
    """Names a point: "boxes 256, batch 1"."""
    return ", ".join(
        value if isinstance(value, str) else f"{key} {value:,}"
        for key, value in point(row).items()
    )


def _chosen(name: str, sizes: Mapping[str, Sequence[Any]]) -> list[str]:
    """The first and the last size of those with most contestants, and `GOALS`."""
    most = max(map(len, sizes.values()))
    full = [size for size, rows in sizes.items() if len(rows) == most]
    goals = GOALS.get(name, {})
    return [
        size
        for size, rows in sizes.items()
        if size in (full[0], full[-1]) or goals.items() <= point(rows[0]).items()
    ]


def _times(rows: Sequence[Mapping[str, Any]]) -> str:
    """From fast to slow: "sorted 0.1 (0.5 x), dense 0.2"; the ratios are to dense."""
    words = []
    for row in sorted(rows, key=lambda row: row["median_ms"]):
        text = f"{row['contestant']} {_number(row['median_ms'])}"
        if row["ratio"] is not None and row["contestant"] != row["against"]:
            text += f" ({_number(row['ratio'])} x)"
        words.append(text)
    return ", ".join(words)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 99.5 else f"{value:.2g}"
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if value is None else str(value)


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def run(arguments: Sequence[str] | None = None) -> None:
    """Prints the table, or writes it into a file.

    DataError without figures or for another kind of file, ConfigError without markers.
    """
    parser = argparse.ArgumentParser(
        prog="python -m cellrec_jax.bench.table",
        description="Makes the tables of bench/README.md from figures of benchmarks.",
    )
    parser.add_argument("files", nargs="*", type=Path, help="default: bench/results")
    parser.add_argument(
        "--readme",
        type=Path,
        metavar="FILE",
        help=f"write between <!-- {MARKER} --> and <!-- /{MARKER} -->",
    )
    flags = parser.parse_args(arguments)
    paths = flags.files or sorted(RESULTS.glob("*.json"))
    if not paths:
        raise errors.DataError(f"no figures in {RESULTS}: name files of `bench --json`")
    table = markdown(map(read, paths))
    if not flags.readme:
        print(table)  # noqa: T201
        return
    markers.replace(flags.readme, MARKER, table)


def cli() -> None:
    """Entry point of the module."""
    try:
        run()
    except errors.UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)


if __name__ == "__main__":
    cli()
