import dataclasses

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data import example, sparse
from cellrec_jax.data.record import Record

SPEC = example.ExampleSpec(size_hw=(60, 40), max_cells=12, box_size=8.0)


def make_record(num: int = 9, dtype=np.uint8) -> Record:
    """30 x 80 px of noise, cells 8 px apart."""
    rng = np.random.default_rng(0)
    points_yx = np.stack([rng.uniform(2, 28, num), np.arange(num) * 8 + 5.0], axis=1)
    return Record(
        image_id="a/7",
        image=rng.integers(0, np.iinfo(dtype).max, (30, 80, 3), dtype),
        points_yx=points_yx.astype(np.float32),
        labels=(np.arange(num) % 2).astype(np.int32),
    )


def test_prepare_scales_and_pads():
    record = make_record()
    out = example.prepare(record, SPEC)
    assert out.image.shape == (60, 40, 3)
    assert out.image.dtype == np.uint8
    assert out.scale_yx.tolist() == [2, 0.5]
    np.testing.assert_allclose(out.points_yx[:9], record.points_yx * [2, 0.5])
    assert out.labels.tolist() == [0, 1] * 4 + [0, -1, -1, -1]
    assert out.points_mask.tolist() == [True] * 9 + [False] * 3
    assert out.valid.all()
    for name in ("points_yx", "boxes_yxyx", "scale_yx"):
        assert getattr(out, name).dtype == np.float32
    assert out.labels.dtype == np.int32


def test_boxes_are_native_and_scale_with_the_image():
    record = dataclasses.replace(
        make_record(2), points_yx=np.array([[10, 20], [2, 78]], np.float32)
    )
    out = example.prepare(record, SPEC)
    # 8 x 8 px around (10, 20) is (6, 16, 14, 24), times (2, 0.5); the second is cut
    # off at the native frame: (0, 74, 6, 80).
    assert out.boxes_yxyx[0].tolist() == [12, 8, 28, 12]
    assert out.boxes_yxyx[1].tolist() == [0, 37, 12, 40]
    assert not out.boxes_yxyx[2:].any()


def test_a_records_own_boxes_are_taken_unless_points_are_asked_for():
    spec, points = SPEC, dataclasses.replace(SPEC, boxes="points")
    annotated = dataclasses.replace(SPEC, boxes="annotated")
    record = make_record(1)
    around = example.prepare(record, points).boxes_yxyx
    np.testing.assert_array_equal(example.prepare(record, spec).boxes_yxyx, around)
    with pytest.raises(errors.DataError, match=r"set data\.boxes=auto"):
        example.prepare(record, annotated)
    boxed = dataclasses.replace(
        record, boxes_yxyx=np.array([[1, 2, 11, 22]], np.float32)
    )
    assert example.prepare(boxed, spec).boxes_yxyx[0].tolist() == [2, 1, 22, 11]
    assert example.prepare(boxed, annotated).boxes_yxyx[0].tolist() == [2, 1, 22, 11]
    np.testing.assert_array_equal(example.prepare(boxed, points).boxes_yxyx, around)


def test_sparse_cells_are_those_of_sparse_at_the_native_size():
    record = make_record()
    spec = dataclasses.replace(SPEC, keep_rate=0.3, keep_seed=4)
    out = example.prepare(record, spec)
    keep = sparse.kept_mask(
        "a/7", record.points_yx, record.labels, rate=0.3, keep_one=False, seed=4
    )
    assert out.points_mask.sum() == keep.sum() == 3
    np.testing.assert_allclose(out.points_yx[:3], record.points_yx[keep] * [2, 0.5])


def test_one_cell_can_be_kept():
    spec = dataclasses.replace(SPEC, keep_one=True)
    assert example.prepare(make_record(), spec).points_mask.sum() == 1


def test_only_training_images_lose_cells():
    spec = dataclasses.replace(SPEC, keep_rate=0.1, training=False)
    assert example.prepare(make_record(), spec).points_mask.sum() == 9


def test_cells_that_do_not_fit_are_dropped_in_training_and_nest():
    record = make_record()
    spec = dataclasses.replace(SPEC, max_cells=5)
    five = example.prepare(record, spec)
    assert example.sample_cells(record, spec)[1] == 4
    again = example.prepare(record, spec)
    np.testing.assert_array_equal(five.points_yx, again.points_yx)
    # Kept at rate 0.8 (8 cells), of which 5 fit: the same 5.
    sparser = dataclasses.replace(SPEC, max_cells=5, keep_rate=0.8)
    out = example.prepare(record, sparser)
    np.testing.assert_array_equal(out.points_yx, five.points_yx)
    assert example.sample_cells(record, sparser)[1] == 3
    assert len(np.unique(five.points_yx, axis=0)) == 5


def test_cells_that_do_not_fit_are_an_error_in_evaluation():
    spec = dataclasses.replace(SPEC, max_cells=5, training=False)
    with pytest.raises(errors.DataError, match=r"a/7: 9 cells .* data\.max_cells to 9"):
        example.prepare(make_record(), spec)


@pytest.mark.parametrize("training", [True, False])
def test_image_without_cells(training):
    spec = dataclasses.replace(SPEC, training=training)
    out = example.prepare(make_record(0), spec)
    assert not out.points_mask.any()
    assert (out.labels == -1).all()
    assert np.isfinite(out.boxes_yxyx).all()


def test_valid_is_annotated_not_ignored_and_no_padding():
    annotated = np.zeros((30, 80), bool)
    annotated[:, 20:] = True
    ignore = np.zeros((30, 80), bool)
    ignore[:10] = True
    record = dataclasses.replace(make_record(), annotated=annotated, ignore=ignore)
    spec = dataclasses.replace(SPEC, size_hw=(40, 80), resize="pad")
    valid = example.prepare(record, spec).valid
    expected = np.zeros((40, 80), bool)
    expected[10:30, 20:] = True
    np.testing.assert_array_equal(valid, expected)


def test_16_bit_images_are_scaled_by_their_percentiles():
    image = np.linspace(1000, 5000, 30 * 80 * 3).reshape(30, 80, 3).astype(np.uint16)
    record = dataclasses.replace(make_record(), image=image)
    out = example.prepare(record, dataclasses.replace(SPEC, size_hw=(30, 80))).image
    assert out.dtype == np.float32
    # A ramp over 1000..5000: percentiles at 1020 and 4980.
    expected = np.clip((image.astype(float) - 1020) / 3960, 0, 1)
    np.testing.assert_allclose(out, expected, atol=1e-3)
    brighter = dataclasses.replace(record, image=image * 2)
    again = example.prepare(brighter, dataclasses.replace(SPEC, size_hw=(30, 80)))
    np.testing.assert_allclose(again.image, out, atol=1e-6)


def test_padding_does_not_enter_the_percentiles():
    record = make_record(dtype=np.uint16)
    small = example.prepare(record, dataclasses.replace(SPEC, size_hw=(30, 80)))
    spec = dataclasses.replace(SPEC, size_hw=(50, 80), resize="pad")
    padded = example.prepare(record, spec)
    np.testing.assert_array_equal(padded.image[:30], small.image)


def test_scale_intensity_modes():
    eight = np.full((2, 3, 1), 7, np.uint8)
    assert example.scale_intensity(eight) is eight
    scaled = example.scale_intensity(eight, "percentile")
    for intensity in ("auto", "percentile", "full"):  # once is enough
        assert example.scale_intensity(scaled, intensity) is scaled
    sixteen = np.full((2, 3, 1), 13_107, np.uint16)
    np.testing.assert_allclose(example.scale_intensity(sixteen, "full"), 0.2)
    assert not example.scale_intensity(sixteen).any()  # flat: nothing to stretch
    assert example.scale_intensity(eight, "percentile").dtype == np.float32


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"resize": "crop"}, r"data\.resize"),
        ({"keep_rate": 2.0}, r"data\.keep_rate"),
    ],
)
def test_unknown_modes_are_refused(change, match):
    with pytest.raises(errors.ConfigError, match=match):
        example.prepare(make_record(), dataclasses.replace(SPEC, **change))


def test_what_nobody_gave_is_trained_on_but_no_truth():
    trust = np.array([1, 0.5, -1], np.float32)
    record = dataclasses.replace(make_record(3), trust=trust)
    trained = example.prepare(record, SPEC)
    assert trained.trust.tolist() == [1, 0.5, -1] + [0] * 9
    assert trained.points_mask.sum() == 3
    assert trained.valid.all()
    spec = dataclasses.replace(SPEC, training=False, size_hw=(30, 80))
    truth = example.prepare(record, spec)
    np.testing.assert_array_equal(truth.points_yx[0], record.points_yx[0])
    assert truth.points_mask.sum() == 1
    assert not truth.trust.size
    y, x = record.points_yx[1].astype(int)
    assert not truth.valid[y, x]  # the prediction may be right
    y, x = record.points_yx[2].astype(int)
    assert truth.valid[y, x]  # a detection here is wrong
    assert not example.prepare(make_record(3), SPEC).trust.size
