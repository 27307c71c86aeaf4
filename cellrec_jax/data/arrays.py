"""Array mode: batches from arrays in memory or on the device, without TensorFlow.

The order is a pure function of (seed, step), for resumed runs and many processes.
"""

from collections.abc import Iterable, Iterator, Sequence
import functools
import itertools
from typing import Any, NamedTuple

import jax
import numpy as np

from cellrec_jax import errors, geometry
from cellrec_jax.data.example import Example
from cellrec_jax.data.record import Record, Source
from cellrec_jax.types import Batch

PER_CELL = ("points_yx", "labels", "points_mask", "boxes_yxyx")
"""Fields that have a slot for each cell; so has `trust`, where there is one."""


class Order(NamedTuple):
    """Which images a process takes in each step."""

    batch_size: int
    """Images of a step, of all processes."""
    seed: int
    """>= 0."""
    process_index: int = 0
    process_count: int = 1

    def positions(self) -> np.ndarray:
        """A process's part of the global batch, int64 [b].

        `ConfigError` if parts cannot be equal.
        """
        if self.batch_size % self.process_count:
            raise errors.ConfigError(
                f"batch_size={self.batch_size} is not a multiple of the "
                f"{self.process_count} processes: change batch_size"
            )
        size = self.batch_size // self.process_count
        return self.process_index * size + np.arange(size)


def stack(examples: Iterable[Example], num: int | None = None) -> Batch:
    """Makes one batch of a whole set, of NumPy arrays.

    Images stay uint8 if all are, else they become f32 in [0, 1]. Of a stream `num` says
    how many there are; its pixels are held once, and one example's twice.
    """
    total = len(examples) if isinstance(examples, Sequence) else num or 0
    if not total:
        raise errors.DataError("no images to make batches of: name a set that has some")
    image: Any = None
    valid: Any = None
    maps: Any = None
    cells: list[tuple[np.ndarray, ...]] = []
    for index, example in enumerate(examples):
        if not index:
            image = np.empty((total, *example.image.shape), example.image.dtype)
            valid = np.empty((total, *example.valid.shape), bool)
            maps = np.empty((total, *example.maps.shape), np.uint8)
        if example.image.shape != image.shape[1:]:
            raise errors.DataError(
                f"image {index} becomes {example.image.shape} [H, W, C], those before "
                f"it {image.shape[1:]}: give all images the same number of channels"
            )
        if image.dtype == np.uint8 != example.image.dtype:
            image = _to_unit(image)
        one = example.image
        image[index] = one if one.dtype == image.dtype else _to_unit(one)
        valid[index] = example.valid
        maps[index] = example.maps
        cells.append(tuple(getattr(example, name) for name in (*PER_CELL, "trust")))
    columns = map(np.stack, zip(*cells, strict=True))
    fields: dict[str, Any] = dict(zip((*PER_CELL, "trust"), columns, strict=True))
    fields["trust"] = fields["trust"] if fields["trust"].size else None
    fields["image_mask"] = np.ones(total, bool)
    fields["example_index"] = np.arange(total, dtype=np.int32)
    return Batch(image=image, valid=valid, maps=maps if maps.size else None, **fields)


def _to_unit(image: np.ndarray) -> np.ndarray:
    """uint8 as f32 in [0, 1]."""
    unit = image.astype(np.float32)
    unit /= 255
    return unit


def with_slots(stacked: Batch, num_slots: int) -> Batch:
    """The batch with N slots of cells, enough for the fullest image."""
    fields: dict[str, Any] = {
        name: np.ascontiguousarray(getattr(stacked, name)[:, :num_slots])
        for name in (*PER_CELL, "trust")
        if getattr(stacked, name) is not None
    }
    return stacked._replace(**fields)


def num_bytes(example: Example) -> int:
    """What the pixels of one image take in `stack`, were all images like it."""
    return example.image.nbytes + example.valid.nbytes + example.maps.nbytes


@functools.lru_cache(maxsize=4)  # steps of an epoch share it; a batch may have two
def shuffled(num: int, seed: int, epoch: int) -> np.ndarray:
    """Shuffles `num` images for one epoch: int64 [num], a permutation of 0..num-1.

    Sorts raw Philox words, which unlike `permutation` do not change with NumPy. Kept
    for the next steps: not to be written to.
    """
    words = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(num)
    found = np.argsort(words, kind="stable")
    found.setflags(write=False)
    return found


def batch_indices(num: int, order: Order, step: int) -> np.ndarray:
    """Images of one step's global batch, int64 [batch_size], by (seed, step) alone.

    Permutations of epochs follow each other without gaps, also within a batch.
    """
    first, last = step * order.batch_size, (step + 1) * order.batch_size
    parts = []
    for epoch in range(first // num, -(-last // num)):
        begin = max(first - epoch * num, 0)
        parts.append(shuffled(num, order.seed, epoch)[begin : last - epoch * num])
    return np.concatenate(parts)


def rows(num: int, steps: range, order: Order) -> tuple[np.ndarray, np.ndarray]:
    """Of `train_batches`: a process's images of some steps, and their positions.

    i32 [steps, b] of `num` images, and i32 [b] of the global batch.
    """
    positions = order.positions()
    found = [batch_indices(num, order, step)[positions] for step in steps]
    return np.stack(found).astype(np.int32), positions.astype(np.int32)


def train_batches(stacked: Batch, order: Order, start_step: int = 0) -> Iterator[Batch]:
    """Yields this process's part of every global batch, for ever, from `start_step` on.

    `stacked` is the whole set (`stack`, `to_device`). `example_index` is the position
    in the global batch. Parts that cannot be equal are a `ConfigError` at the first
    batch.
    """
    num = len(stacked.labels)
    for step in itertools.count(start_step):
        (idx,), positions = rows(num, range(step, step + 1), order)
        batch = take(stacked, idx)
        yield batch._replace(example_index=_beside(batch, positions))


def eval_batches(stacked: Batch, batch_size: int) -> Iterator[Batch]:
    """Yields every image once, in order; `example_index` is its position in the set.

    Fillers of the last batch have `image_mask`, `points_mask` and `valid` False.
    """
    num = len(stacked.labels)
    for start in range(0, num, batch_size):
        positions = start + np.arange(batch_size)
        batch = take(stacked, np.minimum(positions, num - 1))
        real = _beside(batch, positions < num)
        yield batch._replace(
            image_mask=batch.image_mask & real,
            points_mask=batch.points_mask & real[:, None],
            valid=batch.valid & real[:, None, None],
            example_index=_beside(batch, positions.astype(np.int32)),
        )


def take(stacked: Batch, idx: np.ndarray) -> Batch:
    """Picks examples, int [b], repeats allowed; on the device if the set is there."""
    if isinstance(stacked.image, jax.Array):
        return _gather(stacked, jax.device_put(idx.astype(np.int32)))
    return jax.tree.map(lambda array: array[idx], stacked)


def to_device(stacked: Batch, limit_bytes: int) -> Batch:
    """Copies a set of up to `limit_bytes` to the device, where batches are gathered."""
    num_bytes = sum(array.nbytes for array in jax.tree.leaves(stacked))
    return jax.device_put(stacked) if num_bytes <= limit_bytes else stacked


def from_arrays(
    images: Sequence[np.ndarray],
    points_yx: Sequence[np.ndarray],
    labels: Sequence[np.ndarray] | None = None,
    *,
    class_names: Sequence[str] = ("cell",),
    boxes_yxyx: Sequence[np.ndarray] | None = None,
) -> Source:
    """Makes a set of the caller's own arrays, with image ids "000000", "000001", ...

    Args:
      images: uint8 or uint16 [H, W, C] each, C = 1 or 3; sizes may differ.
      points_yx: [n, 2] cell centres of each image, px, (y, x); pixel (i, j) covers
        [i, i+1) x [j, j+1), so add 0.5 to integer pixel indices.
      labels: [n] class ids of each image, 0..K-1; None is class 0 everywhere.
      class_names: K names.
      boxes_yxyx: [n, 4] half-open boxes (y0, x0, y1, x1) of each image, if known.

    Raises:
      DataError: if arrays do not fit together, or points are outside their image.
    """
    for name, per_image in (
        ("points_yx", points_yx),
        ("labels", labels),
        ("boxes_yxyx", boxes_yxyx),
    ):
        if per_image is not None and len(per_image) != len(images):
            raise errors.DataError(
                f"{len(images)} images but {len(per_image)} entries in {name}: give "
                "one entry an image"
            )
    records = {}
    for i, (image, points) in enumerate(zip(images, points_yx, strict=True)):
        records[f"{i:06d}"] = _record(
            f"{i:06d}",
            image,
            np.asarray(points, np.float32).reshape(-1, 2),
            np.zeros(len(points), np.int32) if labels is None else labels[i],
            None if boxes_yxyx is None else boxes_yxyx[i],
            len(class_names),
        )
    return Source("arrays", tuple(class_names), tuple(records), records.__getitem__)


def _record(
    image_id: str,
    image: np.ndarray,
    points_yx: np.ndarray,
    labels: np.ndarray,
    boxes_yxyx: np.ndarray | None,
    num_classes: int,
) -> Record:
    """Checks one image's arrays and makes a record of them."""

    def refuse(what: str) -> errors.DataError:
        return errors.DataError(f"image {int(image_id)}: {what}")

    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise refuse(f"shape {image.shape} is not [H, W, 1] or [H, W, 3]")
    if image.dtype not in (np.uint8, np.uint16):
        raise refuse(f"type {image.dtype} is not uint8 or uint16: convert it")
    if not geometry.inside(points_yx, image.shape).all():  # NaN is outside, too
        raise refuse(f"has points outside its {image.shape[:2]} px: give (y, x) in px")
    labels = np.asarray(labels)
    if labels.shape != (len(points_yx),):
        raise refuse(f"has {len(points_yx)} points but labels of {labels.shape}")
    if not np.isin(labels, np.arange(num_classes)).all():
        raise refuse(f"has labels outside 0..{num_classes - 1}: extend class_names")
    if boxes_yxyx is not None:
        boxes_yxyx = np.asarray(boxes_yxyx, np.float32).reshape(-1, 4)
        if len(boxes_yxyx) != len(points_yx):
            raise refuse(f"has {len(points_yx)} points but {len(boxes_yxyx)} boxes")
        if not (boxes_yxyx[:, :2] < boxes_yxyx[:, 2:]).all():
            raise refuse("has empty or inverted boxes: give (y0, x0, y1, x1)")
    return Record(image_id, image, points_yx, labels.astype(np.int32), boxes_yxyx)


@jax.jit
def _gather(stacked: Batch, idx: jax.Array) -> Batch:
    """`take` on the device, compiled once a batch size."""
    return jax.tree.map(lambda array: array[idx], stacked)


def _beside(batch: Batch, array: np.ndarray) -> Any:
    """Puts an array where the batch is: on the device or on the host."""
    return jax.device_put(array) if isinstance(batch.image, jax.Array) else array
