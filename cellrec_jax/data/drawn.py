"""Sets of which labels are drawn: for validation, and withheld from training.

What is drawn is a nested part, as `sparse` has it; records say of how many cells.
"""

import dataclasses

import numpy as np

from cellrec_jax.data import classes, example, sparse, transforms
from cellrec_jax.data.example import ExampleSpec
from cellrec_jax.data.record import Record, Source, changed


def sampled(source: Source, rate: float, seed: int) -> Source:
    """A set whose images keep a share of their labels, in (0, 1]."""
    if rate == 1:
        return source

    def keep(record: Record) -> Record:
        cells = record.image_id, record.points_yx, record.labels
        return _selected(record, sparse.kept_mask(*cells, rate=rate, seed=seed))

    return changed(source, keep)


def withheld(source: Source, spec: ExampleSpec) -> Source:
    """Training images with the labels alone that training does not see.

    Moved and with wrong classes as those that it sees: they are of the same hand.
    """

    def keep(record: Record) -> Record:
        kept = _withheld(record, spec)
        return _selected(example.corrupted(record, spec), kept)

    return changed(source, keep)


def hidden(source: Source, spec: ExampleSpec) -> Source:
    """Training images in which the places of withheld labels are ignored.

    Discs of the side of a box, as for `data.ignore_classes`.
    """

    def hide(record: Record) -> Record:
        places = record.points_yx[_withheld(record, spec)]
        return classes.with_discs(record, places, spec.box_size)

    return changed(source, hide)


def _withheld(record: Record, spec: ExampleSpec) -> np.ndarray:
    return sparse.withheld_mask(
        record.image_id,
        record.points_yx,
        record.labels,
        rate=spec.keep_rate,
        keep_one=spec.keep_one,
        seed=spec.keep_seed,
        withheld=spec.withheld,
    )


def _selected(record: Record, kept: np.ndarray) -> Record:
    """Some cells of a record, which says of how many that count."""
    counted = example.lie_in(example.valid_region(record), record.points_yx)
    chosen = transforms.select_cells(record, kept)
    return dataclasses.replace(chosen, num_cells=int(counted.sum()))
