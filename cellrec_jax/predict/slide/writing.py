"""What is found of a slide, written out, and what is to be told of it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from cellrec_jax import polygons
from cellrec_jax.data.pixels import slides
from cellrec_jax.predict import choice, kept, provenance
from cellrec_jax.predict.slide import (
    areas,
    naming,
    outputs,
    roi,
    rows,
    summary,
    tissue,
)
from cellrec_jax.predict.slide.journal import Journal
from cellrec_jax.predict.slide.work import Place, Work


def is_written(
    work: Work, name: str, description: slides.Description, journal: Journal
) -> bool:
    """Whether a slide's cells are written out in the form that is asked for."""
    done = journal.done()
    if done is None or done["form"] != work.options.form():
        return False
    stamps = journal.stamps() if work.options.overwrite else None
    if stamps is not None and any(kept.changed(_own_files(work, name), stamps)):
        return False
    sheet = _sheet(work, name, description)
    number = done["summary"]["num_predicted"]
    return all(map(Path.exists, outputs.written(work.output, sheet, number)))


def refuse_changed(work: Work, name: str, journal: Journal) -> None:
    """DataError where a slide's files are not as they were written."""
    stamps = journal.stamps()
    if stamps is not None and not work.options.overwrite:
        kept.refuse_changed(_own_files(work, name), stamps)


def _own_files(work: Work, name: str) -> Iterable[Path]:
    return naming.own_files(Path(work.output), name)


def _sheet(work: Work, name: str, description: slides.Description) -> outputs.Sheet:
    """What all outputs of a slide are told."""
    model = work.predictor.model
    metadata = {
        **provenance.metadata(model, description.mpp),
        "mpp_source": description.mpp_source,
        "origin": work.options.origin,
        "origin_yx": outputs.origin_of(description, work.options).tolist(),
    }
    return outputs.Sheet(
        name,
        work.predictor.class_names,
        description,
        metadata,
        work.options,
        model.method.traits.has_boxes,
    )


def write(work: Work, place: Place, small: tissue.Thumbnail) -> None:
    """Writes a slide's cells out, and its line of the summary; `small` is drawn on."""
    names = work.predictor.class_names
    refuse_changed(work, place.name, place.journal)
    place.journal.rewrite()
    numbers = sorted(place.tiles)
    trouble = rows.Trouble({}, [])
    um_a_px = place.description.mpp * max(place.grid.native_yx)  # of the network
    apart_px = max(work.looker.min_distance, work.options.least_um / um_a_px)
    looker = work.looker._replace(min_distance=apart_px)
    settled = rows.settled(
        looker, place.grid, place.journal, numbers, place.holds, trouble
    )
    measured = _measured(work, place)
    analysed = measured
    if place.regions is not None:
        analysed = roi.cut(measured, place.regions)
    sheet = _sheet(work, place.name, place.description)
    counts = outputs.write(work.output, sheet, small, analysed, settled)
    if full := sum(trouble.full):
        work.console.line(
            f"{place.name}: warning: {full} tiles have as many cells as the model "
            "keeps of one (model.max_detections of the training, by area): the least "
            "sure ones are lost"
        )
    seen, lost = _areas(place, measured, trouble.bad, work.looker.reach_px)
    is_all = not work.options.tissue
    note = _why_nothing(place, seen + lost, is_all=is_all) or _unlike(work, place)
    if note:
        work.console.line(f"{place.name}: warning: {note}")
    origin_yx = outputs.origin_of(place.description, work.options)
    row = summary.row_of(
        place.description, names, counts, seen, len(trouble.bad), lost, origin_yx, note
    )
    if damage := summary.damage(row):
        work.console.line(
            f"{place.name}: warning: {damage}, so cells in and at these "
            f"are lost; the first: {next(iter(trouble.bad.values()))}"
        )
    files = sorted(outputs.written(work.output, sheet, sum(counts)))
    stamps = {path.name: kept.stamp(path) for path in files}
    place.journal.finish({"form": work.options.form(), "summary": row}, stamps)


def _measured(work: Work, place: Place) -> tissue.Mask:
    """The tissue, in regions or not, without the margin that is looked at with it."""
    return tissue.find(place.small, margin_px=0) if work.options.tissue else place.mask


def _why_nothing(place: Place, area_mm2: float, *, is_all: bool) -> str:
    """What to tell of a slide of which nothing was looked at; else ""."""
    if area_mm2:
        return ""
    if not place.mask.inside.any():
        return "no tissue was found (--tissue off looks at everything)"
    if place.tiles:
        return (
            "--roi has no tissue but its margin: 0 mm2 (--tissue off takes all of it)"
        )
    if is_all:
        return "--roi has nothing of it: is it of this slide, and of this --origin?"
    return (
        "--roi has nothing of its tissue: is it of this slide, and of this --origin? "
        "(--tissue off looks at all of it)"
    )


def _unlike(work: Work, place: Place) -> str:
    """What to tell of a slide that is unlike the training images; else ""."""
    if (known := choice.known(work.predictor.model.meta)) is None:
        return ""
    places = choice.pictures([place.path])
    return choice.difference(known, [one.pixels for one in places])


def _areas(
    place: Place,
    measured: tissue.Mask,
    blocks: Iterable[Sequence[int]],
    reach_px: float,
) -> tuple[float, float]:
    """What of the mask was looked at, and what is damaged or at such blocks; mm2.

    Of blocks (y0, x0, y1, x1), px of the level.
    """
    native_yx = np.asarray(place.grid.native_yx)
    damaged = []
    for block in blocks:
        ends = place.grid.around(block, reach_px) * native_yx
        damaged.append(polygons.rectangle(*ends.ravel().tolist()))
    size_hw = place.description.levels[0].size_hw
    regions = place.regions or roi.Regions((), ())
    every = areas.measure(measured, regions, size_hw)
    whole = regions._replace(exclude=(*regions.exclude, *damaged))
    seen = areas.measure(measured, whole, size_hw) if damaged else every
    mm2 = place.description.mpp**2 / 1e6
    return seen * mm2, (every - seen) * mm2
