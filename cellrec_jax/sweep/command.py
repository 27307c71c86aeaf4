"""The command line of `launch/sweep.py`."""

import argparse
from collections.abc import Mapping, Sequence
import os
from pathlib import Path
import shlex
import signal
import sys

from cellrec_jax import errors
from cellrec_jax.io.console import format_seconds
from cellrec_jax.sweep import (
    figure,
    overlays,
    pairs,
    parse,
    plan,
    published,
    runner,
    starts,
    state,
    table,
)
from cellrec_jax.workdir import interrupt

_USAGE = """\
Writes WORKDIR/SWEEP/SWEEP.csv, .md and .png beside the runs' work directories,
SWEEP_overlays.png, all rows on one test image, and SWEEP_pairs.csv, rows compared image
by image; --publish copies them into another folder, the overlays as a smaller file.
Runs whose results.json is there, of the same configuration, are skipped; Ctrl-C lets
those that run save, and the same command goes on. With --published and --publish
several machines can complete one table. --dry-run prints what is missing, one command a
line with its number, which --run takes, as a task of an array job does. Such a task
writes its run's folder alone; --table-only makes the table of what has run. Ends with
0, with 1 if a run failed, 2 for wrong usage, 130 after Ctrl-C, 143 after SIGTERM, 141
if nothing reads what it prints any more."""


def run(arguments: Sequence[str]) -> int:
    """Runs the command line; returns the exit code."""
    try:
        return _run(_parser().parse_args(arguments))
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
    add = parser.add_argument
    add(
        "sweeps",
        type=_path,
        nargs="+",
        metavar="SWEEP",
        help="file, as launch/sweeps/NAME.toml; of several one after the other",
    )
    add("--root", help="images, as --config.data.root")
    add("--workdir", type=_path, default=Path("runs/sweeps"))
    add(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="ROW|AXIS=VALUE",
        help="of the runs these alone, such as: --only ours q=0.4 seed=0",
    )
    add("--workers", type=int, default=1, help="runs at a time")
    add(
        "--run",
        type=int,
        metavar="I",
        help="of the runs that --only leaves the I-th alone, from 0, whatever is done; "
        "writes no table",
    )
    add("--dry-run", action="store_true", help="print the commands and their numbers")
    add("--table-only", action="store_true", help="run nothing")
    add(
        "--publish",
        type=_path,
        metavar="FOLDER",
        help="also write FOLDER/results/SWEEP.csv, .png and _overlays.png, and the "
        "table into FOLDER/results/README.md between <!-- SWEEP --> and "
        "<!-- /SWEEP -->, which must be there; pairs as SWEEP_pairs",
    )
    add(
        "--published",
        type=_path,
        metavar="FOLDER",
        help="runs in FOLDER/results/SWEEP.csv of the same configuration count as done",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override of every run, as --config.KEY=VALUE",
    )
    return parser


def _path(text: str) -> Path:
    """A path; the shell leaves the ~ of --flag=~/folder to us."""
    return Path(text).expanduser()


def _run(flags: argparse.Namespace) -> int:
    if flags.workers < 1:
        raise errors.ConfigError(f"--workers {flags.workers}: give 1 or more")
    if flags.run is not None and (flags.publish is not None or flags.table_only):
        raise errors.ConfigError(
            f"--run {flags.run}: writes no table; leave it out where --table-only or "
            "--publish is given"
        )
    sweeps = [parse.read(path) for path in flags.sweeps]
    if len(sweeps) == 1:
        return _run_one(flags, sweeps[0])
    for key, given in (("--run", flags.run is not None), ("--only", flags.only)):
        if given:
            raise errors.ConfigError(f"{key}: give one sweep alone, not {len(sweeps)}")
    return _run_several(flags, sweeps)


def _run_several(flags: argparse.Namespace, sweeps: Sequence[plan.Sweep]) -> int:
    """Runs sweeps until a signal; of tables alone, those that have a run."""
    worst = 0
    for sweep in sweeps:
        if flags.table_only and not _has_any(flags, sweep):
            _note(f"{sweep.name}: nothing is done or published yet, left out")
            continue
        code = _run_one(flags, sweep)
        if code > 1:  # of a signal
            return code
        worst = max(worst, code)
    return worst


def _has_any(flags: argparse.Namespace, sweep: plan.Sweep) -> bool:
    """Whether a run was done here, or a table is published."""
    folder = flags.workdir / sweep.name
    published_there = (
        flags.published and (flags.published / "results" / f"{sweep.name}.csv").exists()
    )
    return bool(published_there) or any(folder.rglob("results.json"))


def _run_one(flags: argparse.Namespace, sweep: plan.Sweep) -> int:
    """Runs one sweep; returns the exit code."""
    if flags.publish is not None:  # now, not after hours of runs
        published.require(flags.publish, sweep)
    folder = flags.workdir / sweep.name
    runs = plan.expand(sweep, _overrides(flags))
    selected = plan.select(runs, flags.only)
    numbers = {one.name: number for number, one in enumerate(selected)}
    if flags.run is not None:
        selected = (plan.pick(selected, flags.run),)
    chosen = {one.name for one in selected}
    weights = starts.find(sweep.rows, _note)
    jobs = [state.prepare(one, folder, weights[one.init_from]) for one in runs]
    if flags.publish is not None:
        published.require_all(
            flags.publish,
            sweep,
            jobs,
            "they are of other configurations; take their lines out of it first",
        )
    before = _published(flags.published, sweep, jobs)
    done = {*before, *(job.run.name for job in jobs if state.results(job) is not None)}
    missing = [job for job in jobs if job.run.name in chosen - done]
    num_before = len(chosen) - len(missing)
    for job in () if flags.table_only else missing:
        starts.require(job.workdir, job.run.init_from, job.start)
    if flags.dry_run:
        ahead = [numbers[job.run.name] for job in missing]
        for number, job in zip(ahead, missing, strict=True):
            _say(f"{shlex.join(runner.command(job))}  # --run {number}")
        array = f"; the others: --array={plan.ranges(ahead)}" if ahead else ""
        _note(f"{num_before} of {len(chosen)} runs are done{array}")
        return 0
    if flags.table_only:
        # The table needs no images: without --root any folder's results are meant.
        ignored = () if flags.root else ("data.root",)
        _write(sweep, jobs, before, folder, flags.publish, ignored)
        return 0
    if flags.run is not None:  # no table: tasks run side by side
        return _execute(sweep, missing, num_before, 1)
    code = _execute(sweep, missing, num_before, flags.workers)
    _write(sweep, jobs, before, folder, flags.publish)
    return code


def _execute(
    sweep: plan.Sweep, missing: Sequence[state.Job], num_before: int, workers: int
) -> int:
    """Runs what is missing and says how it went; returns the exit code."""
    seconds: list[float] = []
    failed: list[str] = []
    left = len(missing)
    with interrupt.catch() as caught:
        for job, took, failure in runner.run_all(missing, caught, _say, workers):
            left -= 1
            if failure:
                said = f"FAILED with {failure}"
                log = job.workdir / runner.LOG
                failed.append(f"failed: {job.run.name}: {failure} ({log})")
            else:
                seconds.append(took)
                said = f"{_headline(sweep, job)} ({format_seconds(took)})"
            if left and seconds:
                ahead = left * sum(seconds) / len(seconds) / workers
                said += f"; {left} left, about {format_seconds(ahead)}"
            _say(f"[{len(missing) - left}/{len(missing)}] {job.run.name}: {said}")
    _say(f"{len(seconds)} done, {num_before} were, {len(failed)} failed, {left} left")
    for line in failed:
        _say(line)
    return caught.exit_code or (1 if failed else 0)


def _published(
    folder: Path | None, sweep: plan.Sweep, jobs: Sequence[state.Job]
) -> Mapping[str, table.Record]:
    """Name -> record of the runs that are published."""
    if folder is None:
        return {}
    found, num_others = published.read(folder, sweep, jobs)
    others = f"; {num_others} of other configurations are left out"
    _note(f"{len(found)} runs are published{others if num_others else ''}")
    return found


def _overrides(flags: argparse.Namespace) -> dict[str, str]:
    found = {}
    if flags.root is not None:  # a set, or a folder, to be found from elsewhere too
        path = Path(flags.root).expanduser()
        found["data.root"] = str(path.absolute()) if path.exists() else flags.root
    for word in flags.set:
        key, equals, found[key] = word.partition("=")
        if not equals:
            raise errors.ConfigError(f"--set {word}: give KEY=VALUE")
    return found


def _headline(sweep: plan.Sweep, job: state.Job) -> str:
    """The first metric of a finished run."""
    name = sweep.metrics[0]
    found = state.results(job)
    if found is None:
        return "ended without results"
    value = table.record(job.run, found, sweep.metrics).values[name]
    return f"{name} {'undefined' if value is None else format(value, '.3f')}"


def _write(
    sweep: plan.Sweep,
    jobs: Sequence[state.Job],
    before: Mapping[str, table.Record],
    folder: Path,
    publish: Path | None,
    ignored: Sequence[str] = (),
) -> None:
    """Table and figure of all that is done, whatever was chosen this time.

    What is done here counts before what is published, of which no run is lost. Overlays
    and pairs are published only if all that was published is done here.
    """
    done = [(job, found) for job in jobs if (found := state.results(job, ignored))]
    known = {**before}
    known |= {
        job.run.name: table.record(job.run, found, sweep.metrics, job.digest)
        for job, found in done
    }
    records = [known[job.run.name] for job in jobs if job.run.name in known]
    lines = table.summarize(sweep, records)
    stem = folder / sweep.name
    table.write_csv(f"{stem}.csv", sweep, records)
    figure.draw(f"{stem}.png", sweep, lines)
    drawn = overlays.find(sweep, [job for job, _ in done])
    if drawn:
        overlays.draw(f"{stem}_overlays.png", drawn)
    texts = [table.markdown(sweep, lines)]
    if compared := pairs.compare(sweep, done, _say):
        pairs.write_csv(f"{stem}_pairs.csv", sweep, compared)
        texts.append(pairs.markdown(sweep, compared))
    table.write_markdown(Path(f"{stem}.md"), sweep, texts)
    if publish is not None:
        published.require_all(
            publish,
            sweep,
            [job for job in jobs if job.run.name in known],
            f"they are not done here; --published {publish} keeps them",
        )
        complete = len(done) == len(records)
        kept = texts if complete else texts[:1]
        published.write(publish, stem, kept, overlaid=bool(drawn) and complete)
    text = "\n\n".join(texts)
    _say(f"\n{text}\n\n{len(records)} of {len(jobs)} runs; {stem}.csv, .md and .png")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def _note(line: str) -> None:
    """Not to the output, so that `--dry-run` prints commands alone."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201
