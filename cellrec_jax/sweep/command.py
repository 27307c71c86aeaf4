"""The command line of `launch/sweep.py`."""

import argparse
from collections.abc import Mapping, Sequence
import os
from pathlib import Path
import shlex
import signal
import sys

from cellrec_jax import errors
from cellrec_jax.io import atomic, markers
from cellrec_jax.sweep import (
    figure,
    overlays,
    parse,
    plan,
    published,
    runner,
    state,
    table,
)

_USAGE = """\
Writes WORKDIR/SWEEP/SWEEP.csv, .md and .png beside the runs' work directories, and
SWEEP_overlays.png, all rows on one test image; --publish copies them into another
folder, the overlays as a smaller file. Runs whose results.json is there, of the same
configuration, are skipped; Ctrl-C lets those that run save, and the same command goes
on. With --published and --publish several machines can complete one table. With
--workers above 1 each run has its share of the cores (on Linux, where there are as
many). Ends with 0, with 1 if a run failed, 2 for wrong usage, 130 after
Ctrl-C, 141 if nothing reads what it prints any more."""


def run(arguments: Sequence[str], main: Sequence[str] = runner.MAIN) -> int:
    """Runs the command line; returns the exit code.

    Args:
      arguments: its words.
      main: start of each run's command.
    """
    try:
        return _run(_parser().parse_args(arguments), main)
    except errors.UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except BrokenPipeError:  # as of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="launch/sweep.py",
        description="Runs what is missing of a sweep, then draws its table and figure.",
        epilog=_USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("sweep", type=Path, help="file, as launch/sweeps/NAME.toml")
    parser.add_argument("--root", help="images, as --config.data.root")
    parser.add_argument("--workdir", type=Path, default=Path("runs/sweeps"))
    parser.add_argument(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="ROW|AXIS=VALUE",
        help="of the runs these alone, such as: --only ours q=0.4 seed=0",
    )
    parser.add_argument("--workers", type=int, default=1, help="runs at a time")
    parser.add_argument("--dry-run", action="store_true", help="print the commands")
    parser.add_argument("--table-only", action="store_true", help="run nothing")
    parser.add_argument(
        "--publish",
        type=Path,
        metavar="FOLDER",
        help="also write FOLDER/results/SWEEP.csv, .png and _overlays.png, and the "
        "table into FOLDER/results/README.md between <!-- SWEEP --> and "
        "<!-- /SWEEP -->, which must be there",
    )
    parser.add_argument(
        "--published",
        type=Path,
        metavar="FOLDER",
        help="runs in FOLDER/results/SWEEP.csv of the same configuration count as done",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override of every run, as --config.KEY=VALUE",
    )
    return parser


def _run(flags: argparse.Namespace, main: Sequence[str]) -> int:
    if flags.workers < 1:
        raise errors.ConfigError(f"--workers {flags.workers}: give 1 or more")
    sweep = parse.read(flags.sweep)
    if flags.publish is not None:  # now, not after hours of runs
        markers.require(flags.publish / "results" / "README.md", sweep.name)
    folder = flags.workdir / sweep.name
    runs = plan.expand(sweep, _overrides(flags))
    chosen = {one.name for one in plan.select(runs, flags.only)}
    jobs = [state.prepare(one, folder) for one in runs]
    wanted = [job for job in jobs if job.run.name in chosen]
    before = _published(flags.published, sweep, jobs)
    missing = [
        job
        for job in wanted
        if job.run.name not in before and state.results(job) is None
    ]
    if flags.dry_run:
        for job in missing:
            _say(shlex.join(runner.command(job, main)))
        _say(f"{len(wanted) - len(missing)} of {len(wanted)} runs are done")
        return 0
    if flags.table_only:
        # The table needs no images: without --root any folder's results are meant.
        ignored = () if flags.root else ("data.root",)
        _write(sweep, jobs, before, folder, flags.publish, ignored)
        return 0
    progress = runner.Progress(
        missing,
        known_seconds=_known_seconds(wanted),
        workers=flags.workers,
        result_of=lambda job: _headline(sweep, job),
        say=_say,
    )
    with runner.locked(folder) as lock:
        summary = runner.run_all(missing, progress, lock, flags.workers, main)
        _report(summary, len(wanted) - len(missing))
        _write(sweep, jobs, before, folder, flags.publish)
    return summary.exit_code


def _published(
    folder: Path | None, sweep: plan.Sweep, jobs: Sequence[state.Job]
) -> Mapping[str, table.Record]:
    """Name -> record of the runs that are published."""
    if folder is None:
        return {}
    found, num_others = published.read(folder, sweep, jobs)
    others = f"; {num_others} of other configurations are left out"
    _say(f"{len(found)} runs are published{others if num_others else ''}")
    return found


def _overrides(flags: argparse.Namespace) -> dict[str, str]:
    found = {} if flags.root is None else {"data.root": _root(flags.root)}
    for word in flags.set:
        key, equals, value = word.partition("=")
        if not equals:
            raise errors.ConfigError(f"--set {word}: give KEY=VALUE")
        found[key] = value
    return found


def _root(text: str) -> str:
    """An absolute folder, so that the sweep goes on from elsewhere; or a set's name."""
    path = Path(text).expanduser()
    return str(path.absolute()) if path.exists() else text


def _headline(sweep: plan.Sweep, job: state.Job) -> str:
    """The first metric of a finished run."""
    name = sweep.metrics[0]
    found = state.results(job)
    if found is None:
        return "ended without results"
    value = table.record(job.run, found, sweep.metrics).values[name]
    return f"{name} {'undefined' if value is None else format(value, '.3f')}"


def _known_seconds(jobs: Sequence[state.Job]) -> Mapping[str, list[float]]:
    """Row -> seconds of training of the runs that are done."""
    known: dict[str, list[float]] = {}
    for job in jobs:
        found = state.results(job)
        if found is not None:
            seconds = table.record(job.run, found, ()).facts["seconds"]
            known.setdefault(job.run.row, []).extend([seconds] if seconds else [])
    return {row: seconds for row, seconds in known.items() if seconds}


def _write(
    sweep: plan.Sweep,
    jobs: Sequence[state.Job],
    before: Mapping[str, table.Record],
    folder: Path,
    publish: Path | None,
    ignored: Sequence[str] = (),
) -> None:
    """Table and figure of all that is done, whatever was chosen this time.

    A run that is published and done here counts as it is here. Overlays are published
    only if all that was published is done here: no picture loses rows.
    """
    known = dict(before)
    done = []
    for job in jobs:
        found = state.results(job, ignored)
        if found:
            done.append(job)
            known[job.run.name] = table.record(
                job.run, found, sweep.metrics, job.digest
            )
    records = [known[job.run.name] for job in jobs if job.run.name in known]
    lines = table.summarize(sweep, records)
    stem = folder / sweep.name
    table.write_csv(f"{stem}.csv", sweep, records)
    text = table.write_markdown(Path(f"{stem}.md"), sweep, lines)
    figure.draw(f"{stem}.png", sweep, lines)
    drawn = _overlays(sweep, done)
    if drawn:
        overlays.draw(f"{stem}_overlays.png", drawn)
    if publish is not None:
        copy = publish / "results" / sweep.name
        for suffix in (".csv", ".png"):
            atomic.write_bytes(f"{copy}{suffix}", Path(f"{stem}{suffix}").read_bytes())
        if drawn and len(done) == len(records):
            overlays.publish(f"{copy}_overlays.png", f"{stem}_overlays.png")
        markers.replace(publish / "results" / "README.md", sweep.name, text)
    _say(f"\n{text}\n\n{len(records)} of {len(jobs)} runs; {stem}.csv, .md and .png")


def _overlays(sweep: plan.Sweep, done: Sequence[state.Job]) -> Mapping[str, Path]:
    """Label -> overlay of each row's first run that is done; rows as in the file."""
    workdirs: dict[str, Path] = {}
    rows = list(sweep.rows)
    for job in sorted(done, key=lambda job: rows.index(job.run.row)):
        workdirs.setdefault(sweep.rows[job.run.row].label, job.workdir)
    return overlays.find(workdirs)[1]


def _report(summary: runner.Summary, num_before: int) -> None:
    """Counts, then what failed."""
    _say(
        f"{summary.num_done} done, {num_before} were, {len(summary.failures)} failed, "
        f"{summary.num_left} left"
    )
    for failure in summary.failures:
        _say(f"failed: {failure.name}: {failure.last_line} ({failure.log})")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201
