"""Several slides of one call, in parts if asked, and what is said of all of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
import contextlib
import dataclasses
import functools
from pathlib import Path
from typing import Any
import uuid

from etils import epath
import jax

from cellrec_jax import errors, hosts
from cellrec_jax.io import atomic
from cellrec_jax.io.console import Console
from cellrec_jax.predict import files as image_files
from cellrec_jax.predict import journal, provenance
from cellrec_jax.predict import summary as image_summary
from cellrec_jax.predict.predictor import Predictor
from cellrec_jax.predict.slide import files, naming, network, roi, rows, summary
from cellrec_jax.predict.slide.journal import FOLDER, PLAN, Journal
from cellrec_jax.predict.slide.options import SlideOptions
from cellrec_jax.predict.slide.work import Work
from cellrec_jax.workdir import interrupt, lock

Task = tuple[Path, str, int]
"""A slide, its name among the results, and its number."""


def predict_slides(
    predictor: Predictor,
    paths: Sequence[Path],
    output: epath.Path,
    console: Console,
    options: SlideOptions,
) -> image_files.Outcome:
    """Predicts slides; goes on where a call of the same settings was stopped.

    Of each slide a table, GeoJSON, overlay and density map; summary.csv of all. The
    same cells whatever the order, batch, number of parts (`options.shard`) or
    processes, and however often it was stopped. A part that finds all rows of a slide
    there writes it out. Slides are seen once, whatever `eval.views`. A slide that
    cannot be read costs only itself, a damaged tile its cells, which gives the exit
    code 1. ConfigError where `output` holds results of other settings, RunError where
    it cannot be written.
    """
    output = epath.Path(output)
    predictor = predictor.once()
    options = _check(output, options)
    options.check_method(predictor.model.method.traits)
    if not predictor.frame.mpp:  # before anything is written of these settings
        raise errors.ConfigError(
            "the pixel size of the training images is not known: give it once by "
            "--mpp-trained UM"
        )
    with atomic.naming(output):
        output.mkdir(parents=True, exist_ok=True)
    hosts.check_shared(output, "--output")
    looker = network.make(predictor)
    settings = {"kind": "slides", **provenance.of_model(predictor.model)}
    begun = any(Path(output / FOLDER).rglob(PLAN))
    provenance.require_same(output, settings, begun)
    names = naming.names_of(paths, Path(output))
    if not options.overwrite:
        naming.check_free(Path(output), names.values())
    regions = _regions(options, list(names))
    # From here on the folder is of these settings, also where this call is killed.
    state = {"images": len(_done(output)), "finished": False}
    hosts.by_first(
        lambda: provenance.write(output, predictor.model, settings, state),
        "predict: begun",
    )
    for one in filter(None, (options.roi, *regions.values())):
        if one.note:
            console.line(one.note)
    if len(names) < len(paths):
        more = len(paths) - len(names)
        what = "1 file is of a slide" if more == 1 else f"{more} files are of slides"
        console.line(f"{what} given before: each is predicted once")
    tasks = [(path, name, number) for number, (path, name) in enumerate(names.items())]
    with interrupt.throughout(console.line), _stopping(output) as stop:
        work = Work(
            predictor,
            looker,
            output,
            options,
            console,
            settings,
            functools.cache(lambda: rows.seconds_each(looker)),
            stop,
            regions,
        )
        waiting, failed, exit_code = _predict(work, tasks)
        if jax.process_count() > 1:
            waiting, failed, exit_code = _of_all(work, waiting, failed, exit_code)
        hosts.by_first(
            lambda: _summarize(work, failed, waiting, exit_code), "predict: finished"
        )
        damaged = hosts.first_json(_damage(work, [name for _, name, _ in tasks]))
    code = exit_code or (errors.RunError.exit_code if damaged else 0)
    return image_files.Outcome(tuple(failed.values()), code, tuple(damaged))


def _predict(
    work: Work, tasks: Iterable[Task]
) -> tuple[list[Task], dict[str, str], int]:
    """Those that others are to write out, what failed, the exit code of a signal."""
    waiting: list[Task] = []
    failed: dict[str, str] = {}
    for task in tasks:
        name = task[1]
        try:
            if not files.predict_slide(work, *task):
                waiting.append(task)
        except interrupt.Interrupted as stop:
            return waiting, failed, stop.exit_code
        except errors.DataError as error:
            failed[name] = str(error)
            work.console.line(f"{name}: error: {error}")
        except (OSError, MemoryError) as error:
            reason = str(error) or "there is not enough memory"
            failed[name] = (
                f"{task[0]}: {reason}; what was found is kept, mend it and start again"
            )
            work.console.line(f"{name}: error: {failed[name]}")
    return waiting, failed, 0


def _of_all(
    work: Work, waiting: list[Task], failed: dict[str, str], exit_code: int
) -> tuple[list[Task], dict[str, str], int]:
    """As `_predict`, of all processes; the first writes out what others finished."""
    parts = hosts.gather_json((failed, exit_code))
    failed = {name: why for part, _ in parts for name, why in part.items()}
    exit_code = max(code for _, code in parts)
    waiting = [task for task in waiting if task[1] not in failed]
    if hosts.is_first() and not exit_code:
        waiting, more, exit_code = _predict(work, waiting)
        failed |= more
    failed, exit_code = hosts.first_json((failed, exit_code))
    return waiting, failed, exit_code


@contextlib.contextmanager
def _stopping(
    output: epath.Path,
) -> Iterator[Callable[[interrupt.Interrupt], None]]:
    """Gives what raises `interrupt.Interrupted` after a signal, at any process.

    They come to no common point meanwhile: who is told leaves a file for the others.
    """
    name = hosts.first_json(uuid.uuid4().hex) if jax.process_count() > 1 else ""
    note = output / f".tmp-{name}"

    def stop(caught: interrupt.Interrupt) -> None:
        code = caught.exit_code
        if name and code:
            atomic.write_bytes(note, str(code).encode())
        elif name:
            with contextlib.suppress(OSError):
                code = int(note.read_bytes())
        if code:
            raise interrupt.Interrupted(code)

    try:
        yield stop
    finally:
        if name and hosts.is_first():
            note.unlink(missing_ok=True)


def _damage(work: Work, names: Iterable[str]) -> list[str]:
    """A line for each slide that is written out and of which not all could be read."""
    states = {name: Journal(work.output / FOLDER / name).done() for name in names}
    told = {k: summary.damage(one["summary"]) for k, one in states.items() if one}
    return [f"{name}: {text}" for name, text in told.items() if text]


def _check(output: epath.Path, options: SlideOptions) -> SlideOptions:
    """Refuses what no slide can be written with; the options of this process."""
    if "://" in str(output):
        raise errors.ConfigError(f"--output {output}: give a local folder")
    if (output / journal.FILE).exists():
        raise errors.ConfigError(
            f"{output} holds results of images: choose another --output"
        )
    if jax.process_count() == 1:
        return options
    if options.shard[1] > 1:
        raise errors.ConfigError("--shard: processes share the work by themselves")
    shard = jax.process_index(), jax.process_count()
    return dataclasses.replace(options, shard=shard)


def _regions(options: SlideOptions, paths: Sequence[Path]) -> dict[Path, roi.Regions]:
    """Those of `--roi FOLDER`; ConfigError for one file of several slides."""
    if options.roi is not None and len(paths) > 1:
        raise errors.ConfigError(
            f"--roi {options.roi.file}: is of one slide, and here are {len(paths)}: "
            "give a folder that has SLIDE.geojson of each, or one slide a call"
        )
    return roi.of_each(options.roi_folder, paths) if options.roi_folder else {}


def _done(output: epath.Path) -> dict[str, dict[str, Any]]:
    """Name -> how it was written out, of all slides of the folder that were."""
    folder = Path(output / FOLDER)
    places = sorted(path.parent for path in folder.rglob(PLAN))
    states = {place.relative_to(folder): Journal(place).done() for place in places}
    return {name.as_posix(): one for name, one in states.items() if one is not None}


def _summarize(
    work: Work, failed: dict[str, str], waiting: Sequence[Task], exit_code: int
) -> None:
    """Writes what is of all slides, and says how it ended.

    `waiting` was so when this part left it: others may have written it out meanwhile.
    """
    model, form = work.predictor.model, work.options.form()
    thresholds = model.meta["decode"]["thresholds"]
    sources = provenance.thresholds_from(model)
    cuts = image_summary.cuts_of(work.predictor.class_names, thresholds, sources)
    with lock.wait_for(work.output / FOLDER):  # parts may end together
        done = {k: one for k, one in _done(work.output).items() if k not in failed}
        waiting = [
            task for task in waiting if done.get(task[1], {}).get("form") != form
        ]
        summaries = {name: one["summary"] for name, one in done.items()}
        summary.write(work.output, summaries, failed, cuts)
        state = {
            "images": len(done),
            "failed": failed,
            "finished": not (exit_code or failed or waiting),
        }
        provenance.write(work.output, model, work.settings, state)
    atomic.remove_left(work.output, below=True)
    for _, name, _ in waiting:
        work.console.line(
            f"{name}: this part is done; the part that ends last, or the same command "
            "without --shard, writes the slide out"
        )
    if exit_code:
        work.console.line("stopped; the same command goes on at the next row of tiles")
        return
    cells = sum(row["num_predicted"] for row in summaries.values())
    slides = "1 slide" if len(done) == 1 else f"{len(done)} slides"
    work.console.line(f"{cells} cells in {slides}; results: {work.output}")
