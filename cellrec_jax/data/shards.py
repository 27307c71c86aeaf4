"""Records of TFRecord files, each of which is found by its offset and read alone.

A file is records in a row: length u64, checksum of the length u32, an Example in
protobuf's wire format, checksum of that u32; all little-endian.
https://www.tensorflow.org/tutorials/load_data/tfrecord, https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Mapping
import os
from typing import IO, Any, NamedTuple

from etils.epath import Path

from cellrec_jax import errors

_HEADER, _FOOTER = 12, 4  # bytes around an Example
_LENGTH_DELIMITED = 2  # wire type of all that an Example holds


class Place(NamedTuple):
    """Where a record is."""

    file: str
    offset: int
    """Of its header, bytes."""
    length: int
    """Of its Example, bytes."""


class Shards(NamedTuple):
    """A set's images in TFRecord files."""

    places: Mapping[str, Place]
    """image_id -> record."""
    encoding: str
    """How its feature "image" holds the pixels: see `builders.encodings`."""
    folder: str


def places_in(file: str) -> list[Place]:
    """All records of a file, in order, from their headers alone.

    A file that is missing, cut off or no TFRecord file is a `DataError`.
    """
    path, found, offset = Path(file), [], 0
    try:
        size = path.stat().length
        with _open(path) as stream:
            while offset < size:
                stream.seek(offset)
                length = int.from_bytes(stream.read(8), "little")
                found.append(Place(file, offset, length))
                offset += _HEADER + length + _FOOTER
    except OSError as error:
        raise errors.DataError(
            f"cannot read {file}: {error.strerror or error}; build the set again"
        ) from error
    if offset != size:
        raise errors.DataError(
            f"{file} has {size} bytes where its records end at {offset}: it is damaged "
            "or cut off; build the set again"
        )
    return found


def read(place: Place) -> bytes:
    """The Example of a record, checked; a TensorFlow error if it is damaged."""
    return read_in_graph(place.file, place.offset).numpy()


def read_in_graph(file: Any, offset: Any) -> Any:
    """The same as TensorFlow ops, of tensors: string [], int64 [] -> string []."""
    import tensorflow as tf

    # The only reader of TensorFlow that starts anywhere and checks sums. A buffer would
    # read beyond the record, and copy it.
    records = tf.raw_ops.TFRecordDatasetV2(
        filenames=tf.reshape(file, [1]),
        compression_type="",
        buffer_size=tf.constant(0, tf.int64),
        byte_offsets=tf.reshape(tf.cast(offset, tf.int64), [1]),
    )
    kind: dict[str, Any] = {"output_types": [tf.string], "output_shapes": [[]]}
    one = tf.constant(1, tf.int64)
    first = tf.raw_ops.TakeDataset(input_dataset=records, count=one, **kind)
    return tf.raw_ops.DatasetToSingleElement(dataset=first, **kind)[0]


def read_without(place: Place, name: str, keep: int) -> bytes:
    """The Example of a record with no more than `keep` bytes of one of its features.

    The rest of that feature is not read, and nothing is checked but the form:
    `DataError` if that is wrong.
    """
    import tensorflow as tf

    found = tf.train.Example()
    end = place.offset + _HEADER + place.length
    with _open(Path(place.file)) as stream:
        stream.seek(place.offset)
        if int.from_bytes(stream.read(8), "little") != place.length:
            raise errors.DataError("the file has changed since it was opened")
        stream.seek(place.offset + _HEADER)
        _field(stream)  # Example.features
        while stream.tell() < end:
            entry_end = _field(stream) + stream.tell()  # Features.feature
            key = stream.read(_field(stream)).decode()
            size = _field(stream)
            if key != name:
                value = tf.train.Feature.FromString(stream.read(size))
                found.features.feature[key].CopyFrom(value)
            else:
                _field(stream)  # Feature.bytes_list
                start = stream.read(min(keep, _field(stream)))  # BytesList.value
                found.features.feature[key].bytes_list.value.append(start)
            stream.seek(entry_end)
    return found.SerializeToString()


def _field(stream: IO[bytes]) -> int:
    """Reads the head of a field; the number of bytes that it holds."""
    tag = stream.read(1)
    if not tag or tag[0] & 7 != _LENGTH_DELIMITED:
        raise errors.DataError("a record is no Example")
    length = shift = 0
    while True:
        byte = stream.read(1)
        if not byte or shift > 63:
            raise errors.DataError("a record is no Example")
        length |= (byte[0] & 127) << shift
        shift += 7
        if byte[0] < 128:
            return length


def _open(path: Path) -> IO[bytes]:
    """A local file without epath's detour, which costs more than what is read."""
    return open(path, "rb") if os.path.isfile(path) else path.open("rb")
