from pathlib import Path

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data import shards

tf = pytest.importorskip("tensorflow")


def _example(number: int) -> tf.train.Example:
    """Pixels of 300 * (number + 1) bytes among other features."""
    example = tf.train.Example()
    feature = example.features.feature
    feature["image"].bytes_list.value.append(bytes([number]) * 300 * (number + 1))
    feature["image_id"].bytes_list.value.append(b"image %d" % number)
    feature["points"].float_list.value.extend(np.arange(200 * number) / 2)
    feature["labels"].int64_list.value.extend([number, -number])
    feature["none"].bytes_list.SetInParent()
    return example


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(3):
            writer.write(_example(number).SerializeToString())
    return path


def test_records_are_read_in_any_order(file):
    places = shards.places_in(str(file))
    assert places[0].offset == 0
    for number in (2, 0, 1):
        found = tf.train.Example.FromString(shards.read(places[number]))
        assert found == _example(number)


@pytest.mark.parametrize("keep", [0, 5, 10_000])
def test_a_feature_can_be_left_out(file, keep):
    for number, place in enumerate(shards.places_in(str(file))):
        wanted = _example(number)
        image = wanted.features.feature["image"].bytes_list.value
        image[0] = image[0][:keep]
        found = shards.read_without(place, "image", keep)
        assert tf.train.Example.FromString(found) == wanted


@pytest.mark.parametrize("left", [-1, -100, 5, 13])
def test_a_file_that_is_cut_off_is_refused(file, left):
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(errors.DataError, match=r"a.tfrecord has .* build the set"):
        shards.places_in(str(file))


def test_what_is_no_tfrecord_or_missing_is_refused(file):
    file.write_bytes(b"\xff" * 50)
    with pytest.raises(errors.DataError, match="damaged"):
        shards.places_in(str(file))
    with pytest.raises(errors.DataError, match=r"cannot read .*b.tfrecord"):
        shards.places_in(str(file.with_name("b.tfrecord")))


def test_a_file_that_has_changed_is_refused(file):
    first, second, _ = shards.places_in(str(file))
    with pytest.raises(errors.DataError, match="changed"):
        shards.read_without(first._replace(length=second.length), "image", 5)
    content = bytearray(file.read_bytes())
    content[12] = 0x08  # another wire type
    file.write_bytes(content)
    with pytest.raises(errors.DataError, match="no Example"):
        shards.read_without(first, "image", 5)
    with pytest.raises(tf.errors.DataLossError):
        shards.read(first)
