"""Images on disk through a network, together, and what is written of each."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
import errno
import itertools
from pathlib import Path
from typing import Any, NamedTuple

from etils import epath
import jax
import numpy as np

from cellrec_jax import cells, errors, hosts
from cellrec_jax.cells import Cells
from cellrec_jax.data.pixels import images, pixel_size
from cellrec_jax.io import table
from cellrec_jax.io.console import Console
from cellrec_jax.predict import blank, choice, journal, kept, outputs
from cellrec_jax.predict import frame as frames
from cellrec_jax.predict import predictor as predictor_lib
from cellrec_jax.predict.inputs import unread_format
from cellrec_jax.predict.options import ImageOptions
from cellrec_jax.predict.predictor import Predictor
from cellrec_jax.workdir import interrupt

MOST_EXPLAINED = 3  # lines about images without cells
_SAME_MPP = 0.02  # difference of pixel sizes that are one
_OTHER_MPP = {
    True: "images whose file says another pixel size than --mpp-all, which counts",
    False: "images whose file says another pixel size than --mpp, and counts: --mpp is "
    "of files that do not say it, --mpp-all of all",
}
"""By whether the latter is given."""
_16_BITS = "images of 16 bits, scaled as data.intensity of the training says"
_UNLIKE = (
    "images that look unlike what the model knows; how: column note of summary.csv"
)
_MOST_SCORED = 20  # such images that are predicted once more, for their highest score
_OF_ONE_FILE = (
    *(errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL),
    *(errno.EISDIR, errno.ENOTDIR, errno.EEXIST),
)
"""Failures to write that another file may not have."""


class _Item(NamedTuple):
    """An image at work."""

    path: Path
    name: str
    pixels: np.ndarray
    notes: tuple[str, ...]
    """What its file is told of; see `images.Header`."""
    mpp: float
    """Micrometres per px; 0 is unknown."""
    says_mpp: bool
    """Whether its file says it."""
    seen_mpp: float
    """The same, as it was brought to the network's scale."""
    unlike: str
    """That it is unlike training images; see `choice.difference`."""


@dataclasses.dataclass
class Work:
    """What all images of a call share."""

    predictor: Predictor
    output: epath.Path
    tables: epath.Path
    """Folder of table and journal."""
    console: Console
    options: ImageOptions
    metadata: dict[str, Any]
    num_blank: int = 0
    num_scored: int = 0
    notes: Counter[str] = dataclasses.field(default_factory=Counter)
    seen: list[frames.Seen] = dataclasses.field(default_factory=list)
    tile_told: bool = False
    """Whether `Traits.tile_warning` is told."""
    waiting: deque[tuple[str, list[int]]] = dataclasses.field(default_factory=deque)
    """Names and windows of the views of images that are read and not predicted yet, in
    order."""
    passed: int = 0
    """Windows of predicted images, since the network was last started."""


def predict_all(work: Work, plan: journal.Plan) -> tuple[dict[str, str], int]:
    """Predicts, adding to `plan.done`; what failed, name -> why, and the exit code.

    All images go through the network together. If that fails, it is not known which of
    those at work is at fault: from there on they go one by one.
    """
    failed: dict[str, str] = {}
    surprises: list[Exception] = []
    before, together = len(plan.done), True

    def fail(path: Path, error: Exception) -> None:
        failed[plan.names[path]] = _reason(path, error)
        expected = isinstance(error, errors.UserError | OSError | MemoryError)
        if not expected and not surprises:  # of each, pixels would be kept
            surprises.append(error)

    with (
        interrupt.catch() as caught,
        work.console.parts(len(plan.todo), hosts.part_of("predicting")) as show,
    ):

        def on_windows(done: int) -> None:
            number = len(plan.done) - before + len(failed)
            name, windows = work.waiting[0] if work.waiting else ("", [1])
            passed = done - work.passed
            show(number + passed / sum(windows), _place(name, windows, passed))
            if caught.signal is not None:
                raise interrupt.Interrupted(caught.exit_code)

        left = list(plan.todo)
        while left and caught.signal is None:
            group = left if together else left[:1]
            try:
                until = itertools.takewhile(lambda _: caught.signal is None, group)
                _predict_group(work, plan, until, fail, on_windows)
            except interrupt.Interrupted:
                break
            except Exception as error:
                if len(group) == 1:
                    fail(group[0], error)
                together = False
            known = plan.done.keys() | failed.keys()
            left = [path for path in left if plan.names[path] not in known]
    # Of all images, so of no single one; of several processes each has a part.
    if surprises and len(plan.done) == before and jax.process_count() == 1:
        raise surprises[0]
    return failed, caught.exit_code if left else 0


def _predict_group(
    work: Work,
    plan: journal.Plan,
    paths: Iterable[Path],
    fail: Callable[[Path, Exception], None],
    on_windows: Callable[[int], None],
) -> None:
    """Predicts images and writes what belongs to each; errors of one go to `fail`."""
    work.waiting.clear()
    work.passed = 0
    scenes = _scenes(work, plan, paths, fail)
    warning = work.predictor.model.method.traits.tile_warning
    for scene, found in work.predictor.predict_many(
        scenes, on_windows, all_scores=_has_all(work)
    ):
        item: _Item = scene.key
        work.waiting.popleft()
        work.passed += sum(scene.windows())
        if warning and scene.is_tiled() and not work.tile_told:
            work.console.line(warning)
            work.tile_told = True
        work.seen.append(scene.seen(item.seen_mpp))
        try:
            plan.done[item.name] = _write_one(work, item, found, scene)
        except Exception as error:
            fail(item.path, error)


def _scenes(
    work: Work,
    plan: journal.Plan,
    paths: Iterable[Path],
    fail: Callable[[Path, Exception], None],
) -> Iterator[frames.Scene]:
    """Reads images, one ahead of what is predicted; errors go to `fail`."""
    known, options = choice.known(work.predictor.model.meta), work.options
    for path in paths:
        try:
            picture = _load(path)
            refuse = options.refuse_unlike
            unlike = choice.difference(known, [picture.pixels], refuse=refuse)
            own_mpp = picture.header.mpp
            mpp = pixel_size.chosen(own_mpp, options.mpp, for_all=options.mpp_for_all)
            notes = picture.header.notes
            if options.mpp and own_mpp and abs(own_mpp / options.mpp - 1) > _SAME_MPP:
                notes += (_OTHER_MPP[options.mpp_for_all],)
            if picture.pixels.dtype != np.uint8:
                notes += (_16_BITS,)
            notes += (_UNLIKE,) if unlike else ()
            seen_mpp = mpp or options.scale * work.predictor.frame.mpp
            item = _Item(
                path,
                plan.names[path],
                picture.pixels,
                notes,
                mpp,
                bool(own_mpp),
                seen_mpp,
                unlike,
            )
            scene = work.predictor.scene(
                picture.pixels, seen_mpp, options.margin_px, item
            )
        except Exception as error:
            fail(path, error)
        else:
            work.waiting.append((item.name, scene.windows()))
            yield scene


def _load(path: Path) -> images.Picture:
    """An image file; DataError says what it is where it is of another kind."""
    try:
        return images.load(path)
    except errors.DataError as error:
        what, cause = unread_format(path), error.__cause__
        # Without a cause it was understood; with an errno the disk is at fault.
        if not what or cause is None or getattr(cause, "errno", None):
            raise
        raise errors.DataError(f"cannot read {path}: {what}") from cause


def _write_one(
    work: Work, item: _Item, found: Cells, scene: frames.Scene
) -> journal.Done:
    """Writes all that belongs to an image, the journal last."""
    everything = found
    if _has_all(work):
        decode = work.predictor.model.meta["decode"]
        is_kept = predictor_lib.kept_cells(everything, decode, scene.ratio)
        found = cells.select(everything, is_kept)
    if work.options.all_scores:
        rows = _rows(work, item, everything, is_kept)
    else:
        rows = _rows(work, item, found)
    class_names = work.predictor.class_names
    counts = np.bincount(found.labels, minlength=len(class_names)).tolist()
    note = "" if len(found) else _explain(work, item, everything, scene)
    note = "; ".join(filter(None, (item.unlike, note)))
    work.notes.update(item.notes)
    outputs.write(
        journal.files_of(work.output, item.name),
        item.pixels,
        found,
        outputs.legend(class_names, counts, list(work.metadata["thresholds"].values())),
        work.options.geometry,
        {**work.metadata, "mpp": item.mpp},
    )
    columns = table.columns_of(kept=work.options.all_scores)
    table.append_rows(work.tables / journal.TABLE, rows, columns)
    one = journal.stamped(item.name, item.path, item.pixels.shape, item.mpp)
    num_rows = len(rows) if work.options.all_scores else -1
    geojson, _ = journal.files_of(work.output, item.name)
    one = one._replace(
        counts=counts,
        note=note,
        num_rows=num_rows,
        geojson=kept.stamp(Path(geojson)),
        says_mpp=item.says_mpp,
    )
    journal.append(work.tables, one)
    return one


def _has_all(work: Work) -> bool:
    """Whether prediction gives what is no cell too: several views cost nothing more."""
    return work.options.all_scores or bool(work.predictor.frame.joined())


def _place(name: str, windows: Sequence[int], done: int) -> str:
    """Which view and tile of an image is done; `windows` of each view.

    Example:
      >>> _place("a.png", [4, 4], 6)
      'a.png: view 2/2, tile 2/4'
    """
    view = 0
    while view < len(windows) - 1 and done > windows[view]:
        done, view = done - windows[view], view + 1
    parts = [f"view {view + 1}/{len(windows)}"] if len(windows) > 1 else []
    parts += [f"tile {done}/{windows[view]}"] if windows[view] > 1 else []
    return f"{name}: {', '.join(parts)}" if parts else name


def _rows(
    work: Work, item: _Item, found: Cells, kept: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """An image's rows of the table."""
    return table.detection_rows(
        item.name,
        found.points_yx,
        found.scores,
        found.labels,
        work.predictor.class_names,
        kept,
    )


def _explain(work: Work, item: _Item, everything: Cells, scene: frames.Scene) -> str:
    """Why an image has no cells; told of the first few."""
    note = "no peak above the threshold"
    if _has_all(work):
        note = blank.score_text(work.predictor, blank.best(everything))
    elif work.num_scored < (1 if scene.is_tiled() else _MOST_SCORED):  # takes as long
        best = blank.highest(
            work.predictor, item.pixels, item.seen_mpp, work.options.margin_px
        )
        note = blank.score_text(work.predictor, best)
        work.num_scored += 1
    note = f"{note}; {blank.unlike(work.predictor, item.pixels, item.seen_mpp)}"
    work.num_blank += 1
    if work.num_blank <= MOST_EXPLAINED:
        work.console.line(f"{item.name}: no cells: {note}")
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
