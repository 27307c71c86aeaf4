"""Turns a record into arrays of fixed shape, once, on the host, with NumPy alone.

For array mode and tf.data alike. What changes with the step is `data.augment`.
"""

from collections.abc import Callable
import dataclasses
from typing import NamedTuple

import numpy as np

from cellrec_jax import errors, geometry
from cellrec_jax.data import classes, corrupt, sparse, transforms
from cellrec_jax.data.record import Record
from cellrec_jax.masking import pad_to

_NO_TRUST = np.zeros(0, np.float32)


@dataclasses.dataclass(frozen=True)
class ExampleSpec:
    """How records become examples.

    Li et al., A Robust Training Method for Pathological Cellular Detector via Spatial
    Loss Calibration, 2021: squeezes images to 800 x 800, boxes of 32 x 32 px.
    Differs from the paper: see `data.sparse` for the order in which cells stay.
    """

    size_hw: tuple[int, int]
    """Height and width of every example, px."""
    resize: str = "squeeze"
    """"squeeze" or "pad": see `transforms.resize_record`."""
    max_cells: int = 512
    """N, the slots for cells of one image."""
    box_size: float = 32.0
    """Side of the boxes around points, native px; scaled with the image."""
    keep_rate: float = 1.0
    """Share of a training image's cells that stay annotated, in (0, 1]."""
    keep_one: bool = False
    """Whether a training image keeps one cell only."""
    keep_seed: int = 0
    """Chooses which cells stay annotated, and which ones do not fit."""
    withheld: float = 0.0
    """Share of the kept cells that training does not see, in [0, 1)."""
    flip_labels: float = 0.0
    """Share of a training image's cells that get a wrong class, in [0, 1]."""
    jitter_px: float = 0.0
    """How far a training image's cells are moved at most, native px."""
    corrupt_seed: int = 0
    """Chooses the wrong classes and the moves."""
    num_classes: int = 0
    """K; only `flip_labels` needs it."""
    training: bool = True
    """Only training examples lose annotations, or get wrong ones."""
    intensity: str = "auto"
    """See `scale_intensity`."""
    boxes: str = "auto"
    """"auto": the record's own where it has them, else boxes of `box_size`; "points":
    always the latter; "annotated": always the former."""
    mpp: float = 0.0
    """Micrometres per native px of records that do not say; 0 is unknown."""
    paint: "Callable[[Example], np.ndarray] | None" = None
    """Makes `Example.maps` of a finished example, for methods that learn from such."""


class Example(NamedTuple):
    """One image with its cells, padded to N = `ExampleSpec.max_cells`. NumPy."""

    image: np.ndarray  # uint8 [H, W, C], or f32 [H, W, C] in [0, 1]
    points_yx: np.ndarray  # f32 [N, 2] cell centres, px of this image; 0 where padded
    labels: np.ndarray  # i32 [N]; -1 where padded
    points_mask: np.ndarray  # bool [N]
    boxes_yxyx: np.ndarray  # f32 [N, 4], clipped to the image; 0 where padded
    valid: np.ndarray  # bool [H, W]; annotated, not ignored and not padding
    scale_yx: np.ndarray  # f32 [2] px of this image per native px
    maps: np.ndarray  # u8 [H, W, M] labels of pixels, see `Batch`; M is 0 without any
    trust: np.ndarray  # f32 [N], see `Batch`; [0] where all are sure


def prepare(record: Record, spec: ExampleSpec) -> Example:
    """Samples, scales, resizes and pads one record; equal records give equal arrays.

    `ConfigError` for an unknown mode, `DataError` as `sample_cells`.
    """
    if not spec.training:
        record = classes.only_given(record, spec.box_size)
    record, _ = sample_cells(dataclasses.replace(record, masks=None), spec)
    record = dataclasses.replace(
        record,
        image=scale_intensity(record.image, spec.intensity),
        boxes_yxyx=cell_boxes(record, spec),
    )
    record, scale_yx = transforms.resize_record(record, spec.size_hw, spec.resize)
    assert record.boxes_yxyx is not None  # set above, for mypy
    num_cells, size = len(record.points_yx), spec.max_cells
    example = Example(
        image=record.image,
        points_yx=pad_to(record.points_yx.astype(np.float32), size),
        labels=pad_to(record.labels.astype(np.int32), size, -1),
        points_mask=np.arange(size) < num_cells,
        boxes_yxyx=pad_to(record.boxes_yxyx, size),
        valid=valid_region(record),
        scale_yx=scale_yx,
        maps=np.zeros((*record.image.shape[:2], 0), np.uint8),
        trust=_NO_TRUST if record.trust is None else pad_to(record.trust, size),
    )
    return example if spec.paint is None else example._replace(maps=spec.paint(example))


def scale_intensity(image: np.ndarray, intensity: str = "auto") -> np.ndarray:
    """Brings pixels [H, W, C] into the range that models read: uint8, or f32 in [0, 1].

    "auto" leaves uint8 and treats uint16 as "percentile", which maps this image's 0.5th
    and 99.5th percentile, over all channels, to 0 and 1 and clips; "full" divides by
    the type's largest value; others: `ConfigError`. Scaled f32 is returned as it is.
    """
    if intensity not in ("auto", "percentile", "full"):
        raise errors.ConfigError(
            f"data.intensity is {intensity!r}: use auto, percentile or full"
        )
    if image.dtype == np.float32:
        return image
    if image.dtype == np.uint8 and intensity in ("auto", "full"):
        return image  # `colors.to_unit` divides by 255, on the device
    if intensity == "full":
        return image.astype(np.float32) / np.iinfo(image.dtype).max
    return stretch(image, *np.percentile(image, (0.5, 99.5)))


def stretch(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Pixels as f32, `low` and less at 0, `high` and more at 1."""
    scaled = (image.astype(np.float32) - low) / max(high - low, 1.0)
    return np.clip(scaled, 0, 1).astype(np.float32)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """An image for display: uint8 as it is, uint16 scaled as `scale_intensity` does."""
    if image.dtype == np.uint8:
        return image
    return np.round(scale_intensity(image) * 255).astype(np.uint8)


def valid_region(record: Record) -> np.ndarray:
    """Where a record's annotations count: bool [H, W], annotated and not ignored."""
    valid = np.ones(record.image.shape[:2], bool)
    if record.annotated is not None:
        valid &= record.annotated
    if record.ignore is not None:
        valid &= ~record.ignore
    return valid


def lie_in(valid: np.ndarray | None, points_yx: np.ndarray) -> np.ndarray:
    """Whether points [N, 2] are in a region, bool [H, W] (None is everywhere)."""
    if valid is None:
        return np.ones(len(points_yx), bool)
    pixel = geometry.point_to_pixel(points_yx)
    row = np.clip(pixel[:, 0], 0, valid.shape[0] - 1)
    column = np.clip(pixel[:, 1], 0, valid.shape[1] - 1)
    return valid[row, column]


def sample_cells(record: Record, spec: ExampleSpec) -> tuple[Record, int]:
    """Drops and corrupts cells of training images; also how many did not fit.

    More than `spec.max_cells` in an evaluation image are a `DataError`.
    """
    cells = (record.image_id, record.points_yx, record.labels)
    keep = np.ones(len(record.points_yx), bool)
    if spec.training:
        keep = sparse.kept_mask(
            *cells,
            rate=spec.keep_rate,
            keep_one=spec.keep_one,
            seed=spec.keep_seed,
            withheld=spec.withheld,
        )
    num_dropped = max(0, int(np.count_nonzero(keep)) - spec.max_cells)
    if num_dropped and not spec.training:
        raise errors.DataError(
            f"{record.image_id}: {len(keep)} cells do not fit into "
            f"data.max_cells={spec.max_cells}: raise data.max_cells to {len(keep)}"
        )
    if num_dropped:
        # What stays annotated is a prefix of this order, so this is a shorter prefix.
        keep[sparse.keep_order(*cells, spec.keep_seed)[spec.max_cells :]] = False
    if spec.training:
        # After the draw of what stays, so that the same cells stay; before the rest
        # goes, so that a cell is wrong in the same way at every rate.
        record = corrupted(record, spec)
    return transforms.select_cells(record, keep), num_dropped


def corrupted(record: Record, spec: ExampleSpec) -> Record:
    """The record with the wrong classes and moves of training."""
    return corrupt.corrupt_record(
        record,
        num_classes=spec.num_classes,
        flip_share=spec.flip_labels,
        shift_px=spec.jitter_px,
        seed=spec.corrupt_seed,
    )


def cell_boxes(record: Record, spec: ExampleSpec) -> np.ndarray:
    """Boxes of a record's cells at its native size, clipped to the image."""
    if spec.boxes not in ("auto", "points", "annotated"):
        raise errors.ConfigError(
            f"data.boxes is {spec.boxes!r}: use auto, points or annotated"
        )
    boxes_yxyx = record.boxes_yxyx
    if spec.boxes == "annotated" and boxes_yxyx is None:
        raise errors.DataError(
            f"{record.image_id}: has points alone, no boxes: set data.boxes=auto"
        )
    if spec.boxes == "points" or boxes_yxyx is None:
        size_hw = (spec.box_size, spec.box_size)
        boxes_yxyx = geometry.boxes_around(record.points_yx, size_hw)
    height, width = record.image.shape[:2]
    return transforms.clip_boxes(boxes_yxyx, (height, width))
