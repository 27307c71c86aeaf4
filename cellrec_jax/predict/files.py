"""Images on disk to tables, GeoJSON and overlays of their cells, one after another."""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import errno
import inspect
from pathlib import Path
from typing import Any, NamedTuple

from etils import epath
import numpy as np

from cellrec_jax import errors
from cellrec_jax.cells import Cells
from cellrec_jax.data.pixels import images
from cellrec_jax.io import table
from cellrec_jax.io.console import Console
from cellrec_jax.predict import blank, journal, outputs, provenance, summary
from cellrec_jax.predict.inputs import unread_format
from cellrec_jax.predict.predictor import Predictor
from cellrec_jax.workdir import interrupt

_MOST_EXPLAINED = 3  # lines about images without cells
_MOST_SCORED = 20  # such images that are predicted once more, for their highest score
_OF_ONE_FILE = (
    *(errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL),
    *(errno.EISDIR, errno.ENOTDIR, errno.EEXIST),
)
"""Failures to write that another file may not have."""


class Outcome(NamedTuple):
    """How a call ended."""

    failed: tuple[str, ...] = ()
    """A message an image that could not be predicted."""
    exit_code: int = 0
    """130 or 143 when stopped by a signal, with what is finished kept; else 0."""


@dataclasses.dataclass
class _Work:
    """What all images of a call share."""

    predictor: Predictor
    output: epath.Path
    console: Console
    mpp: float
    margin_px: int
    geometry: str
    metadata: dict[str, Any]
    num_blank: int = 0
    num_scored: int = 0


def predict_files(
    predictor: Predictor,
    paths: Sequence[Path],
    output: epath.Path,
    console: Console,
    mpp: float = 0.0,
    margin_px: int = 0,
    geometry: str = "point",
) -> Outcome:
    """Predicts files; goes on where a call of the same settings was stopped.

    A GeoJSON and an overlay an image, in sub-folders of `output` as the images are;
    detections.csv, added to image by image; summary.csv (`summary.write`), predict.json
    (`provenance.write`) and predict.jsonl, which remembers what is done. `mpp`: um per
    px, 0 unknown; `margin_px` of `Predictor.predict`; cells are points or boxes. An
    image that cannot be read costs only itself; Ctrl-C and SIGTERM end after the tiles
    at work. ConfigError where `output` holds results of other settings or images, or
    another program's, RunError where it cannot be written.
    """
    output = epath.Path(output)
    if "://" in str(output):
        raise errors.ConfigError(
            f"--output {output}: give a local folder, to which rows can be added"
        )
    model = predictor.model
    used = provenance.settings(model, mpp, margin_px, geometry)
    known = journal.read(output)
    known = known if provenance.require_same(output, used, bool(known)) else {}
    plan = journal.plan(paths, known, output)
    num_lost = journal.begin(output, plan.done)
    for line in _start_lines(plan, output, num_lost):
        console.line(line)
    state = {"images": len(plan.done), "finished": False}
    provenance.write(output, model, used, state)

    metadata = provenance.metadata(model, mpp)
    work = _Work(predictor, output, console, mpp, margin_px, geometry, metadata)
    failed, exit_code = _predict_all(work, plan)

    _finish(work, plan, failed, used, exit_code)
    return Outcome(tuple(failed.values()), exit_code)


def _predict_all(work: _Work, plan: journal.Plan) -> tuple[dict[str, str], int]:
    """Predicts, adding to `plan.done`; what failed, name -> why, and the exit code."""
    failed: dict[str, str] = {}
    warning = work.predictor.model.method.traits.tile_warning
    total, before = len(plan.todo), len(plan.done)
    surprises: list[Exception] = []
    with interrupt.catch() as caught, work.console.parts(total, "predicting") as show:
        for number, path in enumerate(plan.todo):
            name = plan.names[path]

            def on_tiles(
                done: int, of: int, at: int = number, name: str = name
            ) -> None:
                show(at + done / max(of, 1), f"{name}: tile {done}/{of}")
                if caught.signal is not None:
                    raise interrupt.Interrupted(caught.exit_code)

            show(number, name)
            try:
                image = _load(path)
                if warning and work.predictor.needs_tiles(image.shape[:2], work.mpp):
                    work.console.line(warning)
                    warning = ""
                plan.done[name] = _predict_one(work, path, name, image, on_tiles)
            except interrupt.Interrupted:
                break
            except Exception as error:
                failed[name] = _reason(path, error)
                if not isinstance(error, errors.UserError | OSError | MemoryError):
                    surprises.append(error)
            show(number + 1, "")
            if caught.signal is not None:
                break
    if surprises and len(plan.done) == before:  # of all images, so of no single one
        raise surprises[0]
    return failed, caught.exit_code


def _load(path: Path) -> np.ndarray:
    """Pixels of a file; DataError says what it is where it is of another kind."""
    try:
        return images.load_image(path)
    except errors.DataError as error:
        what, cause = unread_format(path), error.__cause__
        # Without a cause it was understood; with an errno the disk is at fault.
        if not what or cause is None or getattr(cause, "errno", None):
            raise
        raise errors.DataError(f"cannot read {path}: {what}") from cause


def _predict_one(
    work: _Work,
    path: Path,
    name: str,
    image: np.ndarray,
    on_tiles: Callable[[int, int], None],
) -> journal.Done:
    """Predicts an image and writes all that belongs to it, the journal last."""
    predict: Callable[..., Cells] = work.predictor.predict
    if "on_tiles" in inspect.signature(predict).parameters:
        found = predict(image, work.mpp, work.margin_px, on_tiles=on_tiles)
    else:
        found = predict(image, work.mpp, work.margin_px)
    class_names = work.predictor.class_names
    counts = np.bincount(found.labels, minlength=len(class_names)).tolist()
    note = "" if len(found) else _explain(work, name, image)
    outputs.write(
        journal.files_of(work.output, name),
        image,
        found,
        outputs.legend(class_names, counts, list(work.metadata["thresholds"].values())),
        work.geometry,
        work.metadata,
    )
    rows = table.detection_rows(
        name, found.points_yx, found.scores, found.labels, class_names
    )
    table.append_rows(work.output / journal.TABLE, rows, table.DETECTION_COLUMNS)
    one = journal.stamped(name, path, image.shape, work.mpp)
    one = one._replace(counts=counts, note=note)
    journal.append(work.output, one)
    return one


def _explain(work: _Work, name: str, image: np.ndarray) -> str:
    """Why an image has no cells; told of the first few."""
    tiled = work.predictor.needs_tiles(image.shape[:2], work.mpp)
    note = "no peak above the threshold"
    if work.num_scored < (1 if tiled else _MOST_SCORED):  # which takes as long again
        best = blank.highest(work.predictor, image, work.mpp, work.margin_px)
        note = blank.score_text(work.predictor, best)
        work.num_scored += 1
    note = f"{note}; {blank.unlike(work.predictor, image, work.mpp)}"
    work.num_blank += 1
    if work.num_blank <= _MOST_EXPLAINED:
        work.console.line(f"{name}: no cells: {note}")
    return note


def _reason(path: Path, error: Exception) -> str:
    """One line for what other files may not have; what they will, is raised again."""
    if isinstance(error, errors.UserError):
        of_one = isinstance(error, errors.DataError) or (
            getattr(error.__cause__, "errno", None) in _OF_ONE_FILE
        )
        if not of_one:
            raise error
        text = str(error)
        return text if str(path) in text else f"{path}: {text}"
    if isinstance(error, MemoryError):
        return f"{path}: does not fit into memory: cut it into parts"
    if isinstance(error, OSError):
        return f"cannot read {path}: {error.strerror or error}"
    first, *_ = str(error).strip().splitlines() or ["no reason given"]
    return f"{path}: {type(error).__name__}: {first}"


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
    work: _Work,
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
    if work.num_blank > _MOST_EXPLAINED:
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
