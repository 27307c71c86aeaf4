"""Results published before, perhaps from another machine: they complete a table."""

from collections.abc import Mapping, Sequence
import csv
import json
from pathlib import Path

from cellrec_jax import errors
from cellrec_jax.io import atomic, markers
from cellrec_jax.sweep import overlays, state, table
from cellrec_jax.sweep.plan import Run, Sweep


def read(
    folder: Path, sweep: Sweep, jobs: Sequence[state.Job]
) -> tuple[dict[str, table.Record], int]:
    """Reads FOLDER/results/SWEEP.csv, as `table.write_csv` wrote it.

    Run -> its record where the configuration is the table's, whether or not the folder
    of the images is given, and the number of lines of others. ConfigError without such
    a table or the sweep's metrics.
    """
    path = folder / "results" / f"{sweep.name}.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file, restval=""))
        by_config = {line[table.CONFIG]: line for line in lines}
        found = {
            job.run.name: _record(job.run, line, sweep)
            for job in jobs
            if (line := by_config.get(job.digest, by_config.get(job.of_folder)))
        }
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise errors.ConfigError(
            f"--published: {path} is no table of this sweep ({error}); leave the flag "
            "out to run all of it"
        ) from error
    wanted = {digest for job in jobs for digest in (job.digest, job.of_folder)}
    return found, sum(line[table.CONFIG] not in wanted for line in lines)


def require(folder: Path, sweep: Sweep) -> None:
    """Raises a ConfigError unless README.md has a place for each table of `write`."""
    readme = folder / "results" / "README.md"
    markers.require(readme, sweep.name)
    if sweep.pairs:
        markers.require(readme, f"{sweep.name}_pairs")


def require_all(
    folder: Path, sweep: Sweep, jobs: Sequence[state.Job], advice: str
) -> None:
    """Raises a ConfigError unless all that is published is among some runs."""
    path = folder / "results" / f"{sweep.name}.csv"
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
        configs = [line.get(table.CONFIG) for line in csv.DictReader(file)]
    known = {digest for job in jobs for digest in (job.digest, job.of_folder)}
    if lost := sum(config not in known for config in configs):
        raise errors.ConfigError(
            f"--publish: {lost} of the {len(configs)} runs of {path} would be lost: "
            f"{advice}"
        )


def write(folder: Path, stem: Path, texts: Sequence[str], *, overlaid: bool) -> None:
    """Copies a sweep's files into FOLDER/results, and its tables into README.md there.

    `stem`: their path without suffixes; `texts`: the table and, if they are to be
    copied, that of pairs; overlays, if `overlaid`, become smaller. ConfigError if
    README.md has no place for the tables.
    """
    copy = folder / "results" / stem.name
    paired = ["_pairs.csv"] if len(texts) > 1 else []
    for suffix in (".csv", ".png", *paired):
        atomic.write_bytes(f"{copy}{suffix}", Path(f"{stem}{suffix}").read_bytes())
    if overlaid:
        overlays.publish(f"{copy}_overlays.png", f"{stem}_overlays.png")
    for name, text in zip((stem.name, f"{stem.name}_pairs"), texts, strict=False):
        markers.replace(folder / "results" / "README.md", name, text)


def _record(run: Run, line: Mapping[str, str], sweep: Sweep) -> table.Record:
    values = {
        name: json.loads(line[name]) if line[name] else None for name in sweep.metrics
    }
    named = {"sweep", "row", "seed", "fold", *sweep.axes, *sweep.metrics}
    facts = {key: text for key, text in line.items() if key not in named}
    return table.Record(run, values, facts)
