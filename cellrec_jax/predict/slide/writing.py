"""What is found of a slide, written out, and what is to be told of it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cellrec_jax.data.pixels import slides
from cellrec_jax.predict import choice, provenance
from cellrec_jax.predict.slide import areas, outputs, roi, rows, summary, tissue
from cellrec_jax.predict.slide.journal import Journal
from cellrec_jax.predict.slide.work import Place, Work


def is_written(
    work: Work, name: str, description: slides.Description, journal: Journal
) -> bool:
    """Whether a slide's cells are written out in the form that is asked for."""
    done = journal.done()
    if done is None or done["form"] != work.options.form():
        return False
    sheet = _sheet(work, name, description)
    number = done["summary"]["num_predicted"]
    return all(map(Path.exists, outputs.written(work.output, sheet, number)))


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
    place.journal.reopen()
    numbers = sorted(place.tiles)
    trouble = rows.Trouble([], [])
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
    faults = trouble.faults
    if full := sum(trouble.full):
        work.console.line(
            f"{place.name}: warning: {full} tiles have as many cells as the model "
            "keeps of one (model.max_detections of the training, by area): the least "
            "sure ones are lost"
        )
    seen, lost = _areas(place, measured, faults)
    is_all = not work.options.tissue
    note = _why_nothing(place, seen + lost, is_all=is_all) or _unlike(work, place)
    if note:
        work.console.line(f"{place.name}: warning: {note}")
    origin_yx = outputs.origin_of(place.description, work.options)
    row = summary.row_of(
        place.description, names, counts, seen, faults, lost, origin_yx, note
    )
    if faults:
        work.console.line(
            f"{place.name}: warning: {row['note']}, the first at row {faults[0][0]}, "
            f"column {faults[0][1]}: {faults[0][2]}"
        )
    place.journal.finish({"form": work.options.form(), "summary": row})


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
    place: Place, measured: tissue.Mask, faults: Sequence[tuple[int, int, str]]
) -> tuple[float, float]:
    """What of the mask was looked at, and what was not, in tiles that are bad; mm2."""
    own_px = np.tile(np.asarray(place.grid.native_yx) * place.grid.own_px, 2)
    boxes = [own_px * (row, column, row + 1, column + 1) for row, column, _ in faults]
    size_hw = place.description.levels[0].size_hw
    every, lost = areas.measure(measured, place.regions, size_hw, boxes)
    mm2 = place.description.mpp**2 / 1e6
    return (every - lost) * mm2, lost * mm2
