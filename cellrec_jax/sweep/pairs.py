"""Rows compared image by image, from what their runs counted in the same images."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import functools
import os
from typing import Any, NamedTuple

import numpy as np

from cellrec_jax.io import table as io_table
from cellrec_jax.metrics import counting, paired
from cellrec_jax.sweep import plan, table
from cellrec_jax.sweep.state import Job

_COUNTS = ("num_matched", "num_predicted", "num_truth")
_NOTE = """\
F1 of the first row less that of the second, in the same images: `total` of the counts
of all images together, `mean` of the images' own differences, averaged over seeds.
[95 % bootstrap interval over images], and ± half the 95 % t interval over seeds.
`skipped`: pairs of an image and a seed without cells and detections of the class."""


class Line(NamedTuple):
    """A pair at one combination of axis values."""

    pair: plan.Pair
    axes: Mapping[str, str]
    num_seeds: int
    num_images: int
    found: paired.Differences


class Counted(NamedTuple):
    """A finished run, and F1's counts in each of its test images."""

    run: plan.Run
    counts: Mapping[str, tuple[int, ...]]
    """Image -> `_COUNTS`."""


def compare(
    sweep: plan.Sweep,
    done: Iterable[tuple[Job, Mapping[str, Any]]],
    say: Callable[[str], None] = lambda _: None,
) -> list[Line]:
    """Compares the sweep's pairs by the runs that are done, with their results.

    Over seeds that both rows have, and the images that all these have; settings
    without are left out, and so are runs whose results lack the metric: `say` gets a
    line for each pair of which something is.
    """
    finished = list(done)
    lines = []
    for pair in sweep.pairs:
        runs: dict[str, list[Counted]] = {pair.row: [], pair.against: []}
        why = []
        empty_is_one = False
        for job, results in finished:
            if job.run.row not in runs:
                continue
            if pair.metric not in results.get("metrics", {}):
                why.append(f"{job.run.name} lacks the metric")
                continue
            counts = _read(job, pair.metric)
            runs[job.run.row].append(Counted(job.run, counts))
            empty_is_one |= bool(job.settings.get("eval.empty_is_one"))
        why += _alone(runs[pair.row], runs[pair.against])
        lines += _lines(pair, runs[pair.row], runs[pair.against], empty_is_one, why)
        if why or not any(runs.values()):
            reasons = "; ".join(why) or "no run of either is done"
            say(f"left out of {pair.row} - {pair.against}, {pair.metric}: {reasons}")
    return lines


def markdown(sweep: plan.Sweep, lines: Sequence[Line]) -> str:
    """What the numbers are, then the table; no line break at the end."""
    axes = [axis for axis in sweep.axes if any(axis in line.axes for line in lines)]
    header = ["difference", *axes, "metric", "seeds", "images", "skipped"]
    header += ["total", "mean"]
    rows = [header, ["---"] * len(header)]
    for line in lines:
        labels = [sweep.rows[row].label for row in (line.pair.row, line.pair.against)]
        own = [line.axes.get(axis, "") for axis in axes]
        numbers = (line.num_seeds, line.num_images, line.found.num_skipped)
        rows.append(
            [" - ".join(labels), *own, line.pair.metric]
            + [str(number) for number in numbers]
            + [_text(one) for one in (line.found.total, line.found.mean)]
        )
    return "\n".join([_NOTE, "", *(f"| {' | '.join(row)} |" for row in rows)])


def write_csv(
    path: str | os.PathLike[str], sweep: plan.Sweep, lines: Sequence[Line]
) -> None:
    """Writes a line a pair: both differences with both intervals."""
    rows = []
    for pair, axes, num_seeds, num_images, found in lines:
        row: dict[str, Any] = {"sweep": sweep.name, "row": pair.row}
        row |= {"against": pair.against, "metric": pair.metric}
        row |= {**dict.fromkeys(sweep.axes), **axes}
        row |= {"seeds": num_seeds, "images": num_images, "skipped": found.num_skipped}
        for name, one in (("total", found.total), ("mean", found.mean)):
            row |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
            row[f"{name}_half_over_seeds"] = table.interval(one.by_seed).half
        rows.append(row)
    io_table.write_rows(path, rows, list(rows[0]))


def _read(job: Job, metric: str) -> dict[str, tuple[int, ...]]:
    """Counts of each test image; none if the run's table is gone."""
    label = metric.partition("/")[2]
    names = [f"{name}/{label}" if label else name for name in _COUNTS]
    rows = io_table.read_rows(job.workdir / "predictions" / "per_image.csv")
    return {row["image"]: tuple(int(row[name]) for name in names) for row in rows}


def _lines(
    pair: plan.Pair,
    first: Iterable[Counted],
    second: Iterable[Counted],
    empty_is_one: bool,
    why: list[str],
) -> list[Line]:
    """A line for each combination of the first row's axis values, or else why not."""
    groups: dict[tuple[str, ...], dict[int, list[tuple[Counted, Counted]]]] = {}
    others = list(second)
    for one in first:
        for other in others:
            if _same_setting(one.run, other.run):
                seeds = groups.setdefault(tuple(one.run.axes.values()), {})
                seeds.setdefault(one.run.seed, []).append((one, other))
    lines = []
    for by_seed in groups.values():
        sides = [
            [_folds_together(folds, side) for folds in by_seed.values()]
            for side in (0, 1)
        ]
        shared = functools.reduce(
            lambda images, counts: [image for image in images if image in counts],
            [counts for side in sides for counts in side],
            list(sides[0][0]),
        )
        axes = next(iter(by_seed.values()))[0][0].run.axes
        if not shared:
            setting = " ".join(f"{axis}={value}" for axis, value in axes.items())
            why.append(f"no image was counted in all runs of {setting or 'both'}")
            continue
        stacked = [_stack(side, shared) for side in sides]
        found = paired.compare(*stacked, empty_is_one=empty_is_one)
        lines.append(Line(pair, axes, len(by_seed), len(shared), found))
    return lines


def _alone(first: Sequence[Counted], second: Sequence[Counted]) -> list[str]:
    """Runs of either row that no run of the other is to be compared with."""
    both = [(one.run, other.run) for one in first for other in second]
    met = {run.name for two in both if _same_setting(*two) for run in two}
    names = [one.run.name for one in (*first, *second) if one.run.name not in met]
    return [f"{', '.join(names)} without the other row"] if names else []


def _same_setting(one: plan.Run, other: plan.Run) -> bool:
    """But for the row, and axes that the other has not."""
    return (one.seed, one.fold) == (other.seed, other.fold) and all(
        one.axes[axis] == value for axis, value in other.axes.items()
    )


def _folds_together(
    folds: Iterable[tuple[Counted, Counted]], side: int
) -> dict[str, tuple[int, ...]]:
    return {image: n for fold in folds for image, n in fold[side].counts.items()}


def _stack(
    seeds: Sequence[Mapping[str, tuple[int, ...]]], images: Sequence[str]
) -> counting.PointCounts:
    """Counts [I, D] of images and seeds."""
    counts = np.array([[seed[image] for seed in seeds] for image in images], np.int64)
    return counting.PointCounts(*np.moveaxis(counts, -1, 0))


def _text(one: paired.Difference) -> str:
    if one.value is None:
        return "-"
    text = f"{one.value:+.3f}"
    if one.low is not None and one.high is not None:
        text += f" [{one.low:+.3f}, {one.high:+.3f}]"
    half = table.interval(one.by_seed).half
    return text if half is None else f"{text}, ± {half:.3f}"
