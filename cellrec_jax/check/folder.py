"""All rules on an annotated folder, whose images are read once, one at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import os
from typing import NamedTuple

import numpy as np
from scipy import spatial

from cellrec_jax import errors
from cellrec_jax.check import boxes, cells, classes, copies, counts, pictures, scales
from cellrec_jax.check.facts import Facts, facts_of, small_of
from cellrec_jax.check.rules import RULES, Finding, finding
from cellrec_jax.config import DataConfig
from cellrec_jax.data import splits
from cellrec_jax.data.classes import merge_classes
from cellrec_jax.data.record import Record, Source
from cellrec_jax.data.transforms import select_cells

PREDICTED = "predicted cells, of a trust below 1, not counted as given"
BACKGROUND = "places of known background, which are no cells"

Track = Callable[[Iterable[str], str], Iterable[str]]
"""Shows progress over ids: (ids, what is done)."""


class Limits(NamedTuple):
    """What is given and not guessed."""

    radius_px: float = 0.0
    """Cells nearer than it are told; 0: `cells.NEAR_SHARE` of a cell's size."""
    mpp: float = 0.0
    """Micrometres per px that all images should have; 0 is not known."""
    least_cells: int = classes.LEAST_CELLS
    """Classes of fewer are rare."""


class Report(NamedTuple):
    """What was looked at, and what was found."""

    root: str
    format: str
    images: tuple[Facts, ...]
    """Of those that could be read."""
    class_counts: Mapping[str, int]
    """Class name -> given cells."""
    splits: Mapping[str, tuple[str, ...]]
    """Name of a split -> image ids; empty without splits."""
    size_px: float
    """Of a cell, as far as rules ask for it."""
    radius_px: float
    findings: tuple[Finding, ...]
    """In the order of the rules, then of images."""


def of_classes(source: Source, config: DataConfig) -> Source:
    """The set with the classes that `config` names; ConfigError for unknown ones."""
    return merge_classes(source, config.classes, config.ignore_classes, config.box_size)


def check(
    source: Source,
    config: DataConfig,
    limits: Limits,
    before: Sequence[Finding] = (),
    track: Track | None = None,
) -> Report:
    """Looks at an opened folder; `before` is what was found when it was opened.

    Of `config` counts what names the folder and its splits, and the `box_size` of
    points. An image that cannot be read is a finding; a DataError if none can be.
    """
    names, chosen = source.class_names, _splits(source, config)
    images, found = _read(source, config, track)
    if not images:
        raise errors.DataError(
            f"{config.root}: none of its {len(source.image_ids)} images can be read, "
            f"the first: {found[0].text}"
        )
    size_px = _size_of(images, config)
    radius_px = limits.radius_px or cells.NEAR_SHARE * size_px
    labels = np.concatenate(
        [one.labels if one.given is None else one.labels[one.given] for one in images]
    )
    numbers = np.bincount(labels, minlength=len(names)).tolist()
    for one in images:
        found += cells.near(one, radius_px, names)
        found += boxes.twice(one, names)
    found += boxes.sizes(images, names)
    found += classes.spelled_twice(names, numbers)
    found += classes.rare(names, numbers, limits.least_cells)
    found += counts.missing(images, names)
    found += counts.odd(images)
    found += scales.pixel_sizes(images, limits.mpp)
    found += scales.sizes(images)
    found += scales.looks(images)
    found += copies.twins(images, chosen)
    found += copies.groups(images, chosen)
    return Report(
        os.fspath(config.root),
        source.format,
        tuple(images),
        dict(zip(names, numbers, strict=True)),
        chosen,
        size_px,
        radius_px,
        ordered([*before, *found, *_of_reader(source.repairs)]),
    )


def _read(
    source: Source, config: DataConfig, track: Track | None
) -> tuple[list[Facts], list[Finding]]:
    """Facts of the images that can be read, and what each shows alone."""
    images: list[Facts] = []
    found: list[Finding] = []
    ids: Sequence[str] = source.image_ids
    for image_id in track(ids, "images") if track else ids:
        try:
            record = source.load(image_id)
        except errors.DataError as error:
            found.append(finding("unreadable", image_id, str(error)))
            continue
        record = _cells_of(record, source)
        small, square = small_of(record.image)
        one = facts_of(record, small, source.groups.get(image_id, ""))
        images.append(one)
        found += pictures.of_image(record, small, square, _size_of([one], config))
        found += cells.repaired(record, source.repairs.by_image.get(image_id, {}))
        found += cells.parts(record)
    return images, found


def _cells_of(record: Record, source: Source) -> Record:
    """The record without known background; it and predicted cells are counted."""
    if record.trust is None:
        return record
    trust = np.asarray(record.trust)
    is_cell = trust >= 0
    numbers = {
        PREDICTED: int((is_cell & (trust < 1)).sum()),
        BACKGROUND: int((~is_cell).sum()),
    }
    source.repairs.count(record.image_id, {k: n for k, n in numbers.items() if n})
    return select_cells(record, is_cell)


def _of_reader(notes: Mapping[str, int]) -> Iterator[Finding]:
    """What readers tell of the set, but for what was found by itself."""
    yield from scales.impossible(notes)
    others = {k: v for k, v in notes.items() if not scales.is_impossible(k)}
    yield from cells.reader_lines(others)


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings in the order of the rules; those of a rule stay in theirs."""
    ranks = {name: rank for rank, name in enumerate(RULES)}
    return tuple(sorted(findings, key=lambda one: ranks[one.rule]))


def _splits(source: Source, config: DataConfig) -> dict[str, tuple[str, ...]]:
    """The named splits, or the folder's own; none that would be drawn."""
    named = config.train_ids or config.val_ids or config.test_ids
    if not named and splits.own_splits(source, config) is None:
        return {}
    ids, _ = splits.split_ids(source, config, 0, dict)
    return dict(zip(("train", "val", "test"), ids, strict=True))


def _size_of(images: Sequence[Facts], config: DataConfig) -> float:
    """Median size of cells, px.

    Of points `data.box_size`, or the median distance to the next one if it is less.
    """
    known = [one.sizes_px for one in images if one.sizes_px is not None]
    sizes = np.concatenate([np.zeros(0), *known])
    if len(sizes):
        return float(np.median(sizes))
    apart = [
        spatial.KDTree(one.points_yx).query(one.points_yx, 2)[0][:, 1]
        for one in images
        if len(one.points_yx) > 1
    ]
    nearest = float(np.median(np.concatenate(apart))) if apart else np.inf
    return min(config.box_size, nearest)
