"""Training batches of prepared TFRecord sets, whose pixels no Python touches.

TensorFlow reads, decodes and resizes images in threads of its own. Cells, and where
annotations count, are those of a `CellTable`. Batches are those of array mode: of PNG,
JPEG and raw pixels bit for bit, but within a grey level where images are resized, which
Pillow rounds in another way. Crops, like all that changes with the step, are drawn on
the device (`data.augment`).
"""

from collections.abc import Callable, Generator, Sequence
import itertools
from typing import Any

import numpy as np

from cellrec_jax import errors
from cellrec_jax.data import arrays, pipeline, transforms
from cellrec_jax.data.cell_table import CellTable
from cellrec_jax.data.cores import num_cores
from cellrec_jax.data.example import ExampleSpec
from cellrec_jax.data.record import Source
from cellrec_jax.data.shards import Shards, read_in_graph
from cellrec_jax.types import Batch

_MOST = 200  # letters of TensorFlow's reason


def why_not(source: Source, spec: ExampleSpec) -> str:
    """Why images have to go through Python, or "" if TensorFlow can read them."""
    if source.shards is None:
        return "they are not in TFRecord files"
    if spec.paint is not None:
        return "the method learns from maps that are painted of them"
    if spec.intensity == "percentile":
        return "data.intensity=percentile counts grey values"
    return ""


def why_not_pixels(table: CellTable, spec: ExampleSpec) -> str:
    """The same, of what is known once annotations are read."""
    if len(table.dtypes) > 1 or len({*table.shapes[:, 2].tolist()}) > 1:
        return "their number types or channels differ"
    if np.dtype(np.uint16) in table.dtypes and spec.intensity != "full":
        return "16 bits are scaled by percentiles; data.intensity=full divides them"
    return ""


@pipeline.closed_at_exit
def train_batches(
    shards: Shards,
    image_ids: Sequence[str],
    table: CellTable,
    spec: ExampleSpec,
    order: arrays.Order,
    start_step: int = 0,
    num_parallel: int = 0,
) -> Generator[Batch, None, None]:
    """As `pipeline.train_batches`, of images of which `why_not` gave no reason.

    `table` is of `image_ids`, in their order. A record that is damaged, or was written
    since the table was made, is a `DataError` when its batch is reached.
    """
    tf = pipeline.import_tensorflow()
    positions = order.positions()
    read = _reader(tf, shards, image_ids, table, spec)
    batches = (
        pipeline.index_dataset(len(image_ids), order, start_step)
        .map(
            read,
            num_parallel_calls=num_parallel or num_cores(),
            deterministic=True,
        )
        .batch(len(positions), drop_remainder=True)
        .prefetch(pipeline.AHEAD)
        .as_numpy_iterator()
    )
    for step in itertools.count(start_step):
        indices = arrays.batch_indices(len(image_ids), order, step)
        indices = indices[positions]
        try:
            image, valid = next(batches)
        except tf.errors.OpError as error:
            named = [image_ids[index] for index in indices]
            raise _explained(tf, read, indices, named, shards, error) from error
        cells = {name: getattr(table, name)[indices] for name in arrays.PER_CELL}
        yield Batch(
            image=image,
            image_mask=np.ones(len(indices), bool),  # type: ignore[arg-type]
            valid=valid,
            example_index=positions.astype(np.int32),  # type: ignore[arg-type]
            **cells,
        )


def _reader(
    tf: Any,
    shards: Shards,
    image_ids: Sequence[str],
    table: CellTable,
    spec: ExampleSpec,
) -> Callable[[Any], tuple[Any, Any]]:
    """Index -> image [*size_hw, C] and bool [*size_hw], as TensorFlow ops."""
    places = [shards.places[image_id] for image_id in image_ids]
    files = tf.constant([place.file for place in places])
    offsets = tf.constant([place.offset for place in places], tf.int64)
    ids, shapes = tf.constant(list(image_ids)), tf.constant(table.shapes)
    contents = [
        transforms.content_size(shape, spec.size_hw, spec.resize)
        for shape in table.shapes[:, :2].tolist()
    ]
    content_hw = tf.constant(contents, tf.int32)
    as_stored = all((table.shapes[:, :2] == spec.size_hw).all(1))
    (dtype,), channels = table.dtypes, int(table.shapes[0, 2])
    decode = _decoder(tf, shards.encoding, tf.as_dtype(dtype))
    planes = tf.constant(list(table.valid)) if any(table.valid) else None

    @tf.autograph.experimental.do_not_convert
    def read(index: Any) -> tuple[Any, Any]:
        features = {
            name: tf.io.FixedLenFeature([], tf.string) for name in ("image", "image_id")
        }
        record = read_in_graph(files[index], offsets[index])
        found = tf.io.parse_single_example(record, features)
        image = decode(found["image"], shapes[index])
        image = tf.ensure_shape(image, [None, None, channels])
        same = tf.reduce_all(tf.shape(image) == shapes[index])
        same &= found["image_id"] == ids[index]
        with tf.control_dependencies(
            [tf.debugging.Assert(same, ["another image than before"])]
        ):
            image = tf.identity(image)
        if dtype == np.uint16:
            image = tf.cast(image, tf.float32) / np.iinfo(np.uint16).max
        if not as_stored:
            image = _resized(tf, image, content_hw[index], spec.size_hw)
        image.set_shape((*spec.size_hw, channels))
        return image, _valid(tf, planes, index, spec.size_hw)

    return read


def _decoder(tf: Any, encoding: str, dtype: Any) -> Callable[[Any, Any], Any]:
    """(file, [H, W, C]) -> pixels, as `builders.encodings.decode`."""

    def decode(file: Any, shape: Any) -> Any:
        if encoding == "png":
            return tf.io.decode_png(file, dtype=dtype)
        if encoding == "jpeg":
            # That of the reader, and of most programs; TensorFlow's usual one is not.
            return tf.io.decode_jpeg(file, 3, dct_method="INTEGER_ACCURATE")
        return tf.reshape(tf.io.decode_raw(file, dtype), shape)

    return decode


def _resized(tf: Any, image: Any, content_hw: Any, size_hw: tuple[int, int]) -> Any:
    """As `transforms.resize_record` does it, within a grey level."""
    native_hw = tf.shape(image)[:2]

    def resize(*, antialias: bool) -> Callable[[], Any]:
        def call() -> Any:
            pixels = tf.image.resize(image, content_hw, antialias=antialias)
            if image.dtype == tf.float32:
                return pixels
            limits = 0, image.dtype.max
            return tf.cast(tf.clip_by_value(tf.round(pixels), *limits), image.dtype)

        return call

    # Without a shrinking side both are the same; the plain one is much quicker.
    shrinks = tf.reduce_any(content_hw < native_hw)
    image = tf.case(
        [
            (tf.reduce_all(content_hw == native_hw), lambda: image),
            (shrinks, resize(antialias=True)),
        ],
        default=resize(antialias=False),
    )
    margin = tf.constant(size_hw) - content_hw
    return tf.pad(image, [[0, margin[0]], [0, margin[1]], [0, 0]])


def _valid(tf: Any, planes: Any, index: Any, size_hw: tuple[int, int]) -> Any:
    """Where annotations of an image count, of PNG files where not everywhere."""
    if planes is None:
        return tf.ones(size_hw, tf.bool)
    file = planes[index]
    plane = tf.cond(
        tf.strings.length(file) > 0,
        lambda: tf.io.decode_png(file, channels=1)[..., 0] > 0,
        lambda: tf.ones(size_hw, tf.bool),
    )
    return tf.ensure_shape(plane, size_hw)


def _explained(
    tf: Any,
    read: Callable[[Any], Any],
    indices: np.ndarray,
    named: Sequence[str],
    shards: Shards,
    error: Exception,
) -> errors.DataError:
    """Which image of a batch cannot be read, and why."""
    for index, image_id in zip(indices, named, strict=True):
        try:
            read(tf.constant(index))
        except tf.errors.OpError as found:
            named, error = [image_id], found
            break
    reason = " ".join(str(getattr(error, "message", error)).split())
    return errors.DataError(
        f"cannot read image {' or '.join(named)!r} of {shards.folder}: it is damaged, "
        f"or the set was built anew meanwhile ({reason[:_MOST]}); build it again, or "
        "start again"
    )
