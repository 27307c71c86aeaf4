import dataclasses

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data.builders import features
from cellrec_jax.data.record import Record


def make_record(dtype=np.uint8, channels: int = 3) -> Record:
    rng = np.random.default_rng(5)
    image = rng.integers(0, np.iinfo(dtype).max, (9, 14, channels), dtype=dtype)
    masks = np.zeros((9, 14), np.int32)
    masks[1:4, 2:7], masks[5:8, 9:13] = 1, 300
    return Record(
        image_id="train/12",
        image=image,
        points_yx=np.array([[2.5, 4.25], [6.0, 11.0]], np.float32),
        labels=np.array([1, 0], np.int32),
        boxes_yxyx=np.array([[1, 2, 4, 7], [5, 9, 8, 13]], np.float32),
        masks=masks,
        annotated=np.arange(14)[None, :] + np.arange(9)[:, None] > 4,
        ignore=np.arange(14)[None, :] * np.ones((9, 1)) > 11,
        group="slide é",
        mpp=0.2455,
    )


def as_tfds_reads(encoded: dict) -> dict:
    texts = ("image_id", "group")
    return {k: v.encode() if k in texts else v for k, v in encoded.items()}


def assert_equal(left: Record, right: Record) -> None:
    for field in dataclasses.fields(Record):
        a, b = getattr(left, field.name), getattr(right, field.name)
        if not isinstance(a, np.ndarray):
            assert a == b, field.name
            continue
        assert a.dtype == b.dtype, field.name
        np.testing.assert_array_equal(a, b, err_msg=field.name)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_round_trip(dtype, channels):
    record = make_record(dtype, channels)
    assert_equal(features.decode(as_tfds_reads(features.encode(record))), record)


def test_round_trip_of_an_image_without_cells():
    image = np.full((5, 8, 3), 40_000, np.uint16)
    none = np.zeros((0, 2), np.float32)
    record = Record("7", image, none, np.zeros(0, np.int32))
    assert_equal(features.decode(as_tfds_reads(features.encode(record))), record)


@pytest.mark.parametrize("mpp", [0.2455, 0.2274, 0.25, 1 / 3, None])
def test_pixel_size_comes_back(mpp):
    record = dataclasses.replace(make_record(), mpp=mpp)
    got = features.decode(as_tfds_reads(features.encode(record))).mpp
    assert got == (mpp and pytest.approx(mpp, rel=1e-7))
    if mpp == 0.2455:
        assert got == mpp  # not 0.24549999833106995


def test_refuses_more_instances_than_16_bits_number():
    record = make_record()
    masks = record.masks.copy()
    masks[0, 0] = 65_536
    with pytest.raises(errors.DataError, match="train/12: more than 65535"):
        features.encode(dataclasses.replace(record, masks=masks))
