import dataclasses

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data import transforms
from cellrec_jax.data.record import Record

SIZE_HW = (40, 56)


def blob_record(point_yx=(13.0, 30.0), dtype=np.uint8, size_hw=SIZE_HW) -> Record:
    """One 4 x 6 px bright box centred on an integer corner (y, x), black elsewhere."""
    y, x = (int(value) for value in point_yx)
    image = np.zeros((*size_hw, 3), dtype)
    window = (slice(y - 2, y + 2), slice(x - 3, x + 3))
    image[window] = 200 if dtype == np.uint8 else 50_000
    masks = np.zeros(size_hw, np.int32)
    masks[window] = 1
    return Record(
        image_id="blob",
        image=image,
        points_yx=np.array([[y, x]], np.float32),
        labels=np.array([1], np.int32),
        boxes_yxyx=np.array([[y - 2, x - 3, y + 2, x + 3]], np.float32),
        masks=masks,
        annotated=np.ones(size_hw, bool),
        ignore=masks > 0,
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
    for plane in (record.masks, record.ignore):
        np.testing.assert_allclose(centroid_yx(plane > 0), point_yx, atol=0.5 + atol)


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
    record, scale_yx, offset_yx = transforms.resize_record(record, size_hw, "squeeze")
    assert record.image.shape == (*size_hw, 3)
    np.testing.assert_allclose(scale_yx, np.divide(size_hw, SIZE_HW), rtol=1e-6)
    np.testing.assert_array_equal(offset_yx, [0, 0])
    # A smooth blob, since the filter moves the centroid of a sharp one by up to 0.1 px.
    assert_blob_in_step(record, np.multiply(point_yx, scale_yx), atol=0.03)


@given(points, st.sampled_from([0, 1]))
def test_flip_is_size_minus_coordinate(point_yx, axis):
    expected = np.array(point_yx, float)
    expected[axis] = SIZE_HW[axis] - expected[axis]
    assert_blob_in_step(transforms.flip_record(blob_record(point_yx), axis), expected)


@given(points, st.integers(0, 6), st.integers(0, 5))
def test_crop_subtracts_the_origin(point_yx, top, left):
    record = transforms.crop_record(blob_record(point_yx), (top, left), (34, 51))
    assert record.image.shape == (34, 51, 3)
    assert_blob_in_step(record, np.subtract(point_yx, (top, left)))


@given(points, st.integers(0, 3))
def test_turn_follows_rot90(point_yx, k):
    record = transforms.turn_record(blob_record(point_yx), k)
    (y, x), (height, width) = point_yx, SIZE_HW
    expected = [(y, x), (width - x, y), (height - y, width - x), (x, height - y)][k]
    np.testing.assert_array_equal(
        record.image, np.rot90(blob_record(point_yx).image, k)
    )
    assert_blob_in_step(record, expected)


def test_four_turns_and_two_flips_change_nothing():
    record = blob_record()
    for same in (
        transforms.turn_record(transforms.turn_record(record, 3), 1),
        transforms.flip_record(transforms.flip_record(record, 0), 0),
    ):
        for field in dataclasses.fields(Record):
            before, after = getattr(record, field.name), getattr(same, field.name)
            np.testing.assert_array_equal(after, before)


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
    _, scale_yx, _ = transforms.resize_record(blob_record(), size_hw, mode)
    told = transforms.resize_scale(SIZE_HW, size_hw, mode)
    np.testing.assert_allclose(told, scale_yx, atol=0.5 / min(SIZE_HW))


def test_pad_keeps_the_aspect_and_ignores_the_padding():
    record, scale_yx, _ = transforms.resize_record(blob_record(), (80, 90), "pad")
    # 90 / 56 = 1.607 is the smaller factor: 40 rows become 64.
    np.testing.assert_allclose(scale_yx, [64 / 40, 90 / 56])
    assert record.image.shape == (80, 90, 3)
    assert record.ignore[64:].all()
    assert not record.image[64:].any()
    assert not record.annotated[64:].any()
    assert not record.masks[64:].any()
    y, x = 13 * 1.6, 30 * 90 / 56
    np.testing.assert_allclose(record.points_yx, [[y, x]], rtol=1e-6)
    assert not record.ignore[:64, 60:].any()


def test_pad_makes_an_ignore_region_where_there_was_none():
    record = dataclasses.replace(blob_record(), ignore=None)
    padded, _, _ = transforms.resize_record(record, (40, 60), "pad")
    assert padded.ignore.sum() == 40 * 4
    squeezed, _, _ = transforms.resize_record(record, (40, 60), "squeeze")
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
        resized, _, _ = transforms.resize_record(record, (30, 20), mode)
        assert resized.image.shape == (30, 20, 3)
        assert (resized.points_yx < [30, 20]).all()


def test_unknown_mode_is_refused():
    with pytest.raises(errors.ConfigError, match=r"data\.resize is 'stretch'"):
        transforms.resize_record(blob_record(), (8, 8), "stretch")


def three_cells() -> Record:
    masks = np.zeros(SIZE_HW, np.int32)
    masks[2:6, 2:8] = 1
    masks[18:24, 27:33] = 2
    masks[30:38, 40:52] = 3
    return Record(
        image_id="three",
        image=np.zeros((*SIZE_HW, 3), np.uint8),
        points_yx=np.array([[4, 5], [21, 30], [34, 46]], np.float32),
        labels=np.array([0, 1, 2], np.int32),
        boxes_yxyx=np.array(
            [[2, 2, 6, 8], [18, 27, 24, 33], [30, 40, 38, 52]], np.float32
        ),
        masks=masks,
    )


def test_crop_drops_cells_clips_boxes_and_numbers_masks_anew():
    # Rows 19..37, columns 5..47: cell 0 leaves; 1 and 2 stay, their boxes cut.
    record = transforms.crop_record(three_cells(), (19, 5), (18, 42))
    assert record.labels.tolist() == [1, 2]
    assert record.points_yx.tolist() == [[2, 25], [15, 41]]
    assert record.boxes_yxyx.tolist() == [[0, 22, 5, 28], [11, 35, 18, 42]]
    assert set(np.unique(record.masks)) == {0, 1, 2}
    assert record.masks[2, 25] == 1
    assert record.masks[15, 41] == 2


def test_crop_removes_what_is_left_of_dropped_cells():
    record = transforms.crop_record(three_cells(), (5, 7), (10, 20))
    assert record.points_yx.shape == (0, 2)
    assert record.boxes_yxyx.shape == (0, 4)
    assert not record.masks.any()


def test_crop_outside_is_refused():
    with pytest.raises(ValueError, match="not inside"):
        transforms.crop_record(three_cells(), (30, 0), (20, 20))


def test_flipped_point_on_the_edge_stays_inside():
    record = dataclasses.replace(
        blob_record(), points_yx=np.array([[0.0, 3.0]], np.float32)
    )
    y = transforms.flip_record(record, 0).points_yx[0, 0]
    assert 39.99 < y < 40
