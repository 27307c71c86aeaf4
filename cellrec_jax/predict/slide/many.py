"""Several slides of one call, in parts if asked, and what is said of all of them."""

from collections.abc import Sequence
import dataclasses
import functools
import hashlib
from pathlib import Path

from etils import epath
import jax

from cellrec_jax import errors, hosts
from cellrec_jax.io import atomic
from cellrec_jax.io.console import Console
from cellrec_jax.predict import files as image_files
from cellrec_jax.predict import journal, provenance
from cellrec_jax.predict import summary as image_summary
from cellrec_jax.predict.predictor import Predictor
from cellrec_jax.predict.slide import files, network, rows, summary
from cellrec_jax.predict.slide.files import FOLDER, Work
from cellrec_jax.predict.slide.journal import Journal
from cellrec_jax.predict.slide.options import SlideOptions
from cellrec_jax.workdir import interrupt


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
    there writes it out. A slide that cannot be read costs only itself. ConfigError
    where `output` holds results of other settings, RunError where it cannot be written.
    """
    output = epath.Path(output)
    options = _check(output, options)
    output.mkdir(parents=True, exist_ok=True)
    looker = network.make(predictor)
    settings = {"kind": "slides", **provenance.of_model(predictor.model)}
    provenance.require_same(output, settings, (output / FOLDER).exists())
    regions = options.roi.read_bytes() if options.roi is not None else b""
    work = Work(
        predictor,
        looker,
        output,
        options,
        console,
        settings,
        hashlib.blake2b(regions, digest_size=8).hexdigest() if regions else "",
        functools.cache(lambda: rows.seconds_each(looker)),
    )
    names = journal.names_of(paths)
    failed: dict[str, str] = {}
    waiting: list[int] = []
    exit_code = 0
    for number, path in enumerate(paths):
        try:
            if not files.predict_slide(work, path, names[path], number):
                waiting.append(number)
        except interrupt.Interrupted as stop:
            exit_code = stop.exit_code
            break
        except errors.DataError as error:
            failed[names[path]] = str(error)
            console.line(f"{names[path]}: error: {error}")
    hosts.wait("predict: slides")
    if jax.process_count() > 1 and hosts.is_first():
        waiting = [  # what other processes have finished meanwhile is written out
            number
            for number in waiting
            if not files.predict_slide(
                work, paths[number], names[paths[number]], number
            )
        ]
    if hosts.is_first():
        parts = [names[paths[number]] for number in waiting]
        _summarize(work, failed, parts, exit_code)
    return image_files.Outcome(tuple(failed.values()), exit_code)


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


def _summarize(
    work: Work, failed: dict[str, str], waiting: Sequence[str], exit_code: int
) -> None:
    """Writes what is of all slides, and says how it ended."""
    model, folder = work.predictor.model, work.output / FOLDER
    done = {}
    for place in sorted(Path(folder).rglob("plan.json")):
        state = Journal(place.parent).done()
        if state is not None:
            done[place.parent.relative_to(Path(folder)).as_posix()] = state["summary"]
    thresholds = model.meta["decode"]["thresholds"]
    sources = provenance.thresholds_from(model)
    cuts = image_summary.cuts_of(work.predictor.class_names, thresholds, sources)
    summary.write(work.output, done, failed, cuts)
    state = {
        "images": len(done),
        "failed": failed,
        "finished": not (exit_code or failed or waiting),
    }
    provenance.write(work.output, model, work.settings, state)
    atomic.remove_left(work.output, below=True)
    for name in waiting:
        work.console.line(
            f"{name}: this part is done; the part that ends last, or the same command "
            "without --shard, writes the slide out"
        )
    if exit_code:
        work.console.line("stopped; the same command goes on at the next row of tiles")
        return
    cells = sum(row["num_predicted"] for row in done.values())
    work.console.line(f"{cells} cells in {len(done)} slides; results: {work.output}")
