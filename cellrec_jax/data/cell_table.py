"""All that training batches hold but pixels, made once, of annotations alone.

For images that do not fit into memory. Cells of an image take 29 bytes a slot; of where
annotations count, only what is not simply everywhere is kept, as PNG.
"""

from collections.abc import Sequence
import dataclasses
from typing import NamedTuple

import numpy as np

from cellrec_jax.data import example, survey
from cellrec_jax.data.arrays import PER_CELL
from cellrec_jax.data.builders.encodings import to_png
from cellrec_jax.data.record import blank
from cellrec_jax.data.sets import Split
from cellrec_jax.masking import pad_to


class CellTable(NamedTuple):
    """Of I images, as `example.prepare` makes examples of them."""

    points_yx: np.ndarray  # f32 [I, N, 2] px of the resized images
    labels: np.ndarray  # i32 [I, N]
    points_mask: np.ndarray  # bool [I, N]
    boxes_yxyx: np.ndarray  # f32 [I, N, 4]
    valid: tuple[bytes, ...]  # PNG of bool [H, W]; empty where all of it counts
    shapes: np.ndarray  # int32 [I, 3], height, width, channels as they are stored
    dtypes: frozenset[np.dtype]  # of pixels as they are stored


def make(
    split: Split, track: survey.Track[str] | None = None
) -> tuple[survey.Survey, CellTable]:
    """Reads a split's annotations; none at all is a `DataError`."""
    source, spec = split.source, dataclasses.replace(split.spec, paint=None)
    surveyor = split.surveyor or survey.Surveyor()
    read = source.annotations or source.load
    entries, cells, valid, shapes, dtypes = [], [], [], [], set()
    ids = track(split.image_ids, "annotations") if track else split.image_ids
    for image_id in ids:
        record = read(image_id)
        entries.append(surveyor.add(source, record, spec))
        shapes.append(record.image.shape)
        dtypes.add(record.image.dtype)
        pixels = blank(record.image.shape[:2])
        one = example.prepare(dataclasses.replace(record, image=pixels), spec)
        valid.append(b"" if one.valid.all() else to_png(one.valid.astype(np.uint8)))
        cells.append([getattr(one, name)[one.points_mask] for name in PER_CELL])
    surveyor.save()
    seen = survey.total(entries, len(source.class_names), spec, split.slots)

    def column(name: str) -> np.ndarray:
        padding = -1 if name == "labels" else 0
        own = [image[PER_CELL.index(name)] for image in cells]
        return np.stack([pad_to(one, seen.num_slots, padding) for one in own])

    return seen, CellTable(
        column("points_yx"),
        column("labels"),
        column("points_mask"),
        column("boxes_yxyx"),
        _shared(valid),
        np.asarray(shapes, np.int32),
        frozenset(dtypes),
    )


def _shared(files: Sequence[bytes]) -> tuple[bytes, ...]:
    """Equal files once in memory: padding is often that of many images."""
    known: dict[bytes, bytes] = {}
    return tuple(known.setdefault(file, file) for file in files)
