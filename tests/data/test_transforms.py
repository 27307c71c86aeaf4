import dataclasses

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from cellrec_jax.data import transforms
from cellrec_jax.data.record import Record

SIZE_HW = (40, 56)


def blob_record(point_yx=(13.0, 30.0), dtype=np.uint8, size_hw=SIZE_HW) -> Record:
    """One 4 x 6 px bright box centred on an integer corner (y, x), black elsewhere."""
    y, x = (int(value) for value in point_yx)
    image = np.zeros((*size_hw, 3), dtype)
    window = (slice(y - 2, y + 2), slice(x - 3, x + 3))
    image[window] = 200 if dtype == np.uint8 else 50_000
    ignore = np.zeros(size_hw, bool)
    ignore[window] = True
    return Record(
        image_id="blob",
        image=image,
        points_yx=np.array([[y, x]], np.float32),
        labels=np.array([1], np.int32),
        boxes_yxyx=np.array([[y - 2, x - 3, y + 2, x + 3]], np.float32),
        annotated=np.ones(size_hw, bool),
        ignore=ignore,
    )


def centroid_yx(weight: np.ndarray) -> np.ndarray:
    """Mean pixel centre under non-negative weights [H, W], half-pixel frame."""
    weight = np.asarray(weight, np.float64)
    rows, columns = (np.arange(size) + 0.5 for size in weight.shape)
    total = weight.sum()
    return np.array([(weight.sum(1) @ rows), (weight.sum(0) @ columns)]) / total


def assert_blob_in_step(record: Record, point_yx, atol=1e-3) -> None:
    """All parts of a blob's record agree on where it is."""
    np.testing.assert_allclose(record.points_yx[0], point_yx, atol=1e-4)
    np.testing.assert_allclose(centroid_yx(record.image[..., 0]), point_yx, atol=atol)
    box = record.boxes_yxyx[0]
    np.testing.assert_allclose((box[:2] + box[2:]) / 2, point_yx, atol=1e-4)
    np.testing.assert_allclose(centroid_yx(record.ignore), point_yx, atol=0.5 + atol)


points = st.tuples(st.integers(8, 30), st.integers(8, 46))


@given(points, st.tuples(st.integers(20, 90), st.integers(20, 90)))
def test_resize_moves_the_centroid_by_the_scale(point_yx, size_hw):
    rows, columns = (
        np.exp(-(((np.arange(size) + 0.5 - center) / 2) ** 2) / 2)
        for size, center in zip(SIZE_HW, point_yx, strict=True)
    )
    smooth = np.round(60_000 * np.outer(rows, columns)).astype(np.uint16)
    record = dataclasses.replace(
        blob_record(point_yx), image=np.repeat(smooth[..., None], 3, axis=2)
    )
    record, scale_yx = transforms.resize_record(record, size_hw, "squeeze")
    assert record.image.shape == (*size_hw, 3)
    np.testing.assert_allclose(scale_yx, np.divide(size_hw, SIZE_HW), rtol=1e-6)
    # A smooth blob, since the filter moves the centroid of a sharp one by up to 0.1 px.
    assert_blob_in_step(record, np.multiply(point_yx, scale_yx), atol=0.03)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_resize_image_averages_when_it_shrinks(dtype):
    # Columns 0, 100, 0, 100, ...: without antialiasing half the size would be flat 0
    # or 100; with it every inner pixel is near 50.
    image = np.zeros((6, 32, 3), dtype)
    image[:, 1::2] = 100
    small = transforms.resize_image(image, (3, 16))
    assert small.dtype == dtype
    np.testing.assert_allclose(small[:, 2:-2].astype(float), 50, atol=1)


def test_resize_image_keeps_16_bits():
    image = np.full((5, 7, 1), 65_535, np.uint16)
    image[:, 3:] = 40_001
    large = transforms.resize_image(image, (5, 70))
    assert large[0, 0, 0] == 65_535
    assert large[0, -1, 0] == 40_001


def test_resize_nearest_takes_the_pixel_under_the_centre():
    plane = np.array([[0, 1, 2, 3, 4]])
    # Centres 0.5, 1.5, 2.5 of 3 px lie at 0.83, 2.5, 4.17 of 5 px.
    assert transforms.resize_nearest(plane, (1, 3)).tolist() == [[0, 2, 4]]
    assert transforms.resize_nearest(plane, (2, 10))[1].tolist() == [
        0, 0, 1, 1, 2, 2, 3, 3, 4, 4,
    ]  # fmt: skip


@pytest.mark.parametrize("mode", transforms.RESIZE_MODES)
def test_resize_scale_is_that_of_a_record(mode):
    size_hw = (80, 90)
    _, scale_yx = transforms.resize_record(blob_record(), size_hw, mode)
    told = transforms.resize_scale(SIZE_HW, size_hw, mode)
    np.testing.assert_allclose(told, scale_yx, atol=0.5 / min(SIZE_HW))


def test_pad_keeps_the_aspect_and_ignores_the_padding():
    record, scale_yx = transforms.resize_record(blob_record(), (80, 90), "pad")
    # 90 / 56 = 1.607 is the smaller factor: 40 rows become 64.
    np.testing.assert_allclose(scale_yx, [64 / 40, 90 / 56])
    assert record.image.shape == (80, 90, 3)
    assert record.ignore[64:].all()
    assert not record.image[64:].any()
    assert not record.annotated[64:].any()
    y, x = 13 * 1.6, 30 * 90 / 56
    np.testing.assert_allclose(record.points_yx, [[y, x]], rtol=1e-6)
    assert not record.ignore[:64, 60:].any()


def test_pad_makes_an_ignore_region_where_there_was_none():
    record = dataclasses.replace(blob_record(), ignore=None)
    padded, _ = transforms.resize_record(record, (40, 60), "pad")
    assert padded.ignore.sum() == 40 * 4
    squeezed, _ = transforms.resize_record(record, (40, 60), "squeeze")
    assert squeezed.ignore is None


@pytest.mark.parametrize("native_hw", [(1, 1), (400, 4)])
def test_resize_takes_extreme_shapes(native_hw):
    record = Record(
        image_id="thin",
        image=np.full((*native_hw, 3), 9, np.uint8),
        points_yx=np.array([[native_hw[0] - 0.001, 0.5]], np.float32),
        labels=np.zeros(1, np.int32),
    )
    for mode in transforms.RESIZE_MODES:
        resized, _ = transforms.resize_record(record, (30, 20), mode)
        assert resized.image.shape == (30, 20, 3)
        assert (resized.points_yx < [30, 20]).all()
