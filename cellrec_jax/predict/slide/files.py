"""Slides on disk to their cells, resumed row by row of tiles, in parts if asked."""

from collections.abc import Iterator
import contextlib
import functools
import hashlib
import json
import math
import os
from pathlib import Path
import time
from typing import Any

import numpy as np
from scipy import ndimage

from cellrec_jax import errors
from cellrec_jax.data.pixels import slides
from cellrec_jax.io.console import format_seconds
from cellrec_jax.predict.slide import grid as grids
from cellrec_jax.predict.slide import (
    naming,
    network,
    outputs,
    roi,
    rows,
    tissue,
    writing,
)
from cellrec_jax.predict.slide.journal import FOLDER, LOOKED_AT, Journal
from cellrec_jax.predict.slide.work import Place, Work
from cellrec_jax.workdir import interrupt, lock

_COARSER = 1.5
"""Times that a slide's px may be as large as those of the training, unwarned."""
_MOST_BINS = 2**24  # of a density map


def predict_slide(work: Work, path: Path, name: str, number: int) -> bool:
    """Predicts one slide, or this part of it; whether all of it is written.

    `number` counts the slides of a call, so that parts take rows evenly. Goes on where
    a call of the same settings was stopped. DataError for a slide that cannot be read,
    or whose pixel size is not known, RunError where another call is at work on it,
    `interrupt.Interrupted` after a signal.
    """
    work = work.of(path)
    journal = Journal(work.output / FOLDER / name)
    index, parts = work.options.shard
    with lock.try_hold(journal.folder / f"part-{index}-of-{parts}") as is_alone:
        if not is_alone:
            raise errors.RunError(
                f"{name}: another call is at work on it in {work.output}: wait until "
                "it has ended, or give another --output"
            )
        return _predict_slide(work, path, name, number, journal)


def _predict_slide(
    work: Work, path: Path, name: str, number: int, journal: Journal
) -> bool:
    """As `predict_slide`, by the only call at work on this part of it."""
    options = work.options
    description = slides.describe(path, options.mpp, for_all=options.mpp_for_all)
    _check_sizes(work, path, description)
    plan = _plan(work, path, description)
    if journal.has_begun(plan) and writing.is_written(work, name, description, journal):
        work.console.line(f"{name}: is predicted already")
        return True
    writing.refuse_changed(work, name, journal)
    with slides.opened(path) as slide:
        place = _place(work, name, slide, description, journal)
        plan |= {LOOKED_AT: _digest(place.tiles)}
        if note := journal.begin(plan, overwrite=options.overwrite):
            work.console.line(f"{name}: {note}")
        mine = _own_rows(place.tiles, work.options.shard, number)
        here = journal.rows()
        todo = {row: place.tiles[row] for row in mine if row not in here}
        for line in (*description.notes, *_lines(work, place, todo)):
            work.console.line(f"{name}: {line}")
        if todo:
            _find(work, place, slide, todo)
        if missing := len(place.tiles.keys() - journal.rows()):
            work.console.line(
                f"{name}: {missing} of {len(place.tiles)} rows of tiles are missing, "
                "which other parts find"
            )
            return False
        with lock.try_hold(journal.folder) as is_ours:  # else another part writes it
            if is_ours and not writing.is_written(work, name, description, journal):
                small = tissue.drawn(slide, work.options.overlay_px)
                writing.write(work, place, small)
    return is_ours


def _check_sizes(work: Work, path: Path, description: slides.Description) -> None:
    if not description.mpp:
        told = "; ".join(description.notes)
        raise errors.DataError(
            f"{path}: its pixel size is not known{f' ({told})' if told else ''}: give "
            "it by --mpp UM"
        )
    size_hw, bin_um = description.levels[0].size_hw, work.options.density_um
    if math.prod(math.ceil(side * description.mpp / bin_um) for side in size_hw) > (
        _MOST_BINS
    ):
        least_um = int(description.mpp * math.sqrt(math.prod(size_hw) / _MOST_BINS)) + 1
        raise errors.DataError(
            f"{path}: --density-um {bin_um:g} gives a density map of "
            f"more than {_MOST_BINS:,} bins: give {least_um} um or more"
        )


def _plan(work: Work, path: Path, description: slides.Description) -> dict[str, Any]:
    """What decides a slide's rows, but for what is looked at; JSON."""
    return {
        **work.settings,
        **work.options.looks(),
        "mpp": description.mpp,
        "tile": [work.looker.own_px, work.looker.margin_px],
        "file": [os.path.abspath(path), *naming.stamp(path)],
    }


def _digest(tiles: rows.Tiles) -> str:
    """Short hash of the tiles that are looked at."""
    text = json.dumps(sorted(tiles.items())).encode()
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def _place(
    work: Work,
    name: str,
    slide: slides.Slide,
    description: slides.Description,
    journal: Journal,
) -> Place:
    """Looks at the slide as a whole."""
    frame = work.predictor.frame
    scale_yx = frame.scale() * frame.ratio(description.mpp)
    looker, options = work.looker, work.options
    grid = grids.plan(slide.levels, scale_yx, looker.own_px, looker.margin_px)
    side_px = tissue.side_of(description.levels[0].size_hw, description.mpp)
    small = tissue.thumbnail(slide, side_px)
    mask = tissue.find(small) if options.tissue else tissue.everything(small)
    regions = None
    if options.roi is not None:
        regions = roi.moved(options.roi, outputs.origin_of(description, options))
    touched = tissue.touched(_looked_at(mask, regions), grid)
    tiles = {
        int(row): np.flatnonzero(touched[row]).tolist()
        for row in np.flatnonzero(touched.any(axis=1))
    }
    return Place(
        slide.path, name, description, grid, small, mask, tiles, journal, regions
    )


def _looked_at(mask: tissue.Mask, regions: roi.Regions | None) -> tissue.Mask:
    """The mask in the regions and a px around, for their middles decide there."""
    if regions is None:
        return mask
    inside = ndimage.binary_dilation(roi.touched(mask, regions).inside, np.ones((3, 3)))
    return mask._replace(inside=inside & mask.inside)


def _own_rows(tiles: rows.Tiles, shard: tuple[int, int], number: int) -> list[int]:
    """The rows of one part, every n-th of those with tiles."""
    index, parts = shard
    ordered = sorted(tiles)
    return [row for i, row in enumerate(ordered) if (i + number) % parts == index]


def _lines(work: Work, place: Place, todo: rows.Tiles) -> Iterator[str]:
    """What is going to be done."""
    grid, description = place.grid, place.description
    found = sum(len(columns) for columns in place.tiles.values())
    left = sum(len(columns) for columns in todo.values())
    height, width = description.levels[0].size_hw
    frame = work.predictor.frame
    steps = dict.fromkeys(f"{1 / step:.3g}" for step in grid.step_yx)  # one, or y and x
    how = (
        "not resampled"
        if grid.step_yx == (1.0, 1.0)
        else f"resampled by {' x '.join(steps)}"
    )
    yield (
        f"{height} x {width} px of {description.mpp:.4g} um "
        f"({description.mpp_source}), {description.num_bytes / 2**20:.4g} MiB, read by "
        f"{description.reader} at level {grid.level}, {how} to {frame.mpp:.4g} um of "
        f"the training: {found} of {grid.num_rows * grid.num_columns} tiles of "
        f"{grid.tile_px} px to look at, {left} to go"
    )
    if (coarser := description.mpp / frame.mpp) > _COARSER:
        yield (
            f"warning: the slide is {coarser:.2g} times coarser than the training "
            f"images ({description.mpp:.4g} um a px, those {frame.mpp:.4g}): cells are "
            "blurred, and may be missed"
        )
    if not work.looker.is_exact:
        why = "how far this model's method looks is not known"
        if work.predictor.model.experiment.method == "point_matching":
            why = "this model's norm pools over what it sees (sync_batch does not)"
        yield f"{why}: a cell near a threshold may depend on where tiles lie"


def _find(work: Work, place: Place, slide: slides.Slide, todo: rows.Tiles) -> None:
    """Predicts rows and keeps each; raises `interrupt.Interrupted` after a signal."""
    total = sum(len(columns) for columns in todo.values())
    limits = np.percentile(place.small.image, (0.5, 99.5)).tolist()
    prepare = functools.partial(network.prepare, work.looker, limits)
    highest = network.highest(work.looker, place.small)
    each = work.seconds_each() + rows.seconds_to_read(slide, place.grid, todo)
    work.console.line(f"{place.name}: about {format_seconds(each * total)}")
    done, begin = 0, time.monotonic()
    with interrupt.catch() as caught, work.console.parts(total, place.name) as show:
        work.stop(caught)
        found = rows.find(work.looker, slide, place.grid, todo, highest, prepare)
        with contextlib.closing(found):
            for ended, fresh in found:
                for number, row in ended.items():
                    place.journal.write(number, row)
                done += fresh
                left = (time.monotonic() - begin) / done * (total - done)
                show(done, f"tiles, {format_seconds(left)} left")
                work.stop(caught)
