"""Images on disk to tables, GeoJSON and overlays of their cells."""

from collections import Counter
from collections.abc import Iterable, Sequence
import itertools
from pathlib import Path
from typing import Any, NamedTuple

from etils import epath
import jax

from cellrec_jax import errors, hosts
from cellrec_jax.io import atomic, table
from cellrec_jax.io.console import Console
from cellrec_jax.predict import frame as frames
from cellrec_jax.predict import journal, provenance, summary
from cellrec_jax.predict import work as work_lib
from cellrec_jax.predict.options import USUAL, ImageOptions
from cellrec_jax.predict.predictor import Predictor
from cellrec_jax.workdir import lock


class Outcome(NamedTuple):
    """How a call ended."""

    failed: tuple[str, ...] = ()
    """A message an image that could not be predicted."""
    exit_code: int = 0
    """130 or 143 when stopped by a signal, with what is finished kept; 1 where a part
    of a slide could not be read; else 0."""
    damaged: tuple[str, ...] = ()
    """A text a slide, its name and how much of it could not be read."""


def predict_files(
    predictor: Predictor,
    paths: Sequence[Path],
    output: epath.Path,
    console: Console,
    options: ImageOptions = USUAL,
) -> Outcome:
    """Predicts files; goes on where a call of the same settings was stopped.

    A GeoJSON and an overlay an image, in sub-folders of `output` as the images are;
    detections.csv, added to image by image; summary.csv (`summary.write`), predict.json
    (`provenance.write`) and predict.jsonl, which remembers what is done. An image that
    cannot be read costs only itself; Ctrl-C and SIGTERM end after the tiles at work. Of
    several processes each predicts a part of the images; a signal at one ends all when
    the others have done theirs. ConfigError where `output` holds results of other
    settings or images, or another program's, DataError where, without `overwrite`, a
    GeoJSON to be replaced was changed since it was written; RunError where it cannot be
    written, or another call is at work there.
    """
    output = epath.Path(output)
    if "://" in str(output):
        raise errors.ConfigError(
            f"--output {output}: give a local folder, to which rows can be added"
        )
    with lock.hold(output, "give another --output"):
        return _predict_files(predictor, paths, output, console, options)


def _predict_files(
    predictor: Predictor,
    paths: Sequence[Path],
    output: epath.Path,
    console: Console,
    options: ImageOptions,
) -> Outcome:
    """As `predict_files`, by the only call at work in `output`."""
    model = predictor.model
    used = provenance.settings(model, options)
    hosts.by_first(lambda: journal.take_parts(output), "predict: tables")
    known = journal.read(output)
    of_files = not options.mpp_for_all and all(one.says_mpp for one in known.values())
    free = ("mpp",) if of_files else ()  # --mpp was of none of these images
    known = known if provenance.require_same(output, used, bool(known), free) else {}
    if options.overwrite:
        known = journal.without_changed(output, known)
    plan = journal.of_first(journal.plan(paths, known, output))
    hosts.check_shared(output, "--output")
    if not options.overwrite:
        journal.refuse_changed(output, [plan.names[path] for path in plan.todo])

    def begin() -> None:
        atomic.remove_left(output, below=True)
        columns = table.columns_of(kept=options.all_scores)
        num_lost = journal.begin(output, plan.done, columns)
        for line in _start_lines(plan, output, num_lost):
            console.line(line)
        state = {"images": len(plan.done), "finished": False}
        provenance.write(output, model, used, state)

    hosts.by_first(begin, "predict: begun")
    metadata = provenance.metadata(model, options.mpp)
    tables = journal.own_tables(output)
    work = work_lib.Work(predictor, output, tables, console, options, metadata)
    own = plan._replace(todo=tuple(hosts.own(plan.todo)))
    failed, exit_code = work_lib.predict_all(work, own)
    if jax.process_count() > 1:
        failed, exit_code = _of_all(work, plan, failed, exit_code)
    hosts.by_first(
        lambda: _finish(work, plan, failed, used, exit_code), "predict: finished"
    )
    return Outcome(tuple(failed.values()), exit_code)


def _of_all(
    work: work_lib.Work, plan: journal.Plan, failed: dict[str, str], exit_code: int
) -> tuple[dict[str, str], int]:
    """What failed in all processes, and their exit code; the first has what is done."""
    own = failed, exit_code, work.notes, work.seen, work.num_blank
    failures, codes, notes, seen, blank = zip(*hosts.gather_json(own), strict=True)
    failed = {name: why for part in failures for name, why in part.items()}
    if hosts.is_first():
        journal.take_parts(work.output)
        done, asked = journal.read(work.output), set(plan.names.values())
        plan.done.update({name: one for name, one in done.items() if name in asked})
        work.notes = sum(map(Counter, notes), Counter())
        rows = itertools.chain.from_iterable(seen)
        work.seen = [
            frames.Seen(how, (hw[0], hw[1]), *others) for how, hw, *others in rows
        ]
        work.num_blank = sum(blank)
        lost = asked - plan.done.keys() - failed.keys() if not max(codes) else ()
        for name in sorted(lost):
            failed[name] = f"{name}: was not predicted; start again, which goes on"
    return hosts.first_json(failed), max(codes)


def _start_lines(
    plan: journal.Plan, output: epath.Path, num_lost: int
) -> Iterable[str]:
    """What earlier calls left in the folder."""
    if num_lost:
        yield (
            f"{output / journal.TABLE}: the rows of {num_lost} images that were not "
            "finished, have changed, or are of an earlier version are replaced"
        )
    asked = set(plan.names.values())
    before = len(asked & plan.done.keys())
    if before and plan.todo:
        yield (
            f"{before} of {len(asked)} images were predicted before, with the same "
            f"settings; {len(plan.todo)} to go"
        )
    elif before:
        yield (
            f"all images ({len(asked)}) are predicted already; another --output "
            "predicts them again"
        )
    others = sorted(plan.done.keys() - asked)
    if others:
        yield (
            f"{output} also holds {len(others)} images of earlier calls (such as "
            f"{others[0]}): they stay in its tables"
        )


def _finish(
    work: work_lib.Work,
    plan: journal.Plan,
    failed: dict[str, str],
    used: dict[str, Any],
    exit_code: int,
) -> None:
    """Writes what is of all images, and says how it ended."""
    model, output, done = work.predictor.model, work.output, plan.done
    thresholds = list(used["thresholds"].values())
    sources = provenance.thresholds_from(model)
    names = work.predictor.class_names
    summary.write(output, done.values(), failed, names, thresholds, sources)
    asked = list(plan.names.values())
    here = [done[name] for name in asked if name in done]
    state = {
        "images": len(done),
        "failed": failed,
        "finished": not exit_code and not failed,
    }
    provenance.write(output, model, used, state)
    told = [f"{count} {note}" for note, count in sorted(work.notes.items())]
    for text in (*told, *frames.lines(work.seen, work.predictor.frame)):
        work.console.line(text)
    if work.num_blank > work_lib.MOST_EXPLAINED:
        work.console.line(
            f"{work.num_blank} images have no cells; why: {output / summary.FILE}"
        )
    if line := summary.score_line(here, names):
        work.console.line(line)
    if exit_code:
        work.console.line(
            f"stopped after {len(here)} of {len(asked)} images, which are kept in "
            f"{output}; the same command goes on with the rest"
        )
        return
    cells = sum(sum(one.counts) for one in here)
    work.console.line(f"{cells} cells in {len(here)} images; results: {output}")
