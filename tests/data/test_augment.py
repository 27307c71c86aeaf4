from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data import augment, transforms
from cellrec_jax.data.record import Record
from cellrec_jax.types import Batch

SIZE_HW = (24, 30)
NUM_SLOTS = 4


def make_batch(num: int = 4, channels: int = 3) -> Batch:
    """Noise images; example b has b + 1 of 4 slots filled, slot 1 always masked off."""
    rng = np.random.default_rng(1)
    points_yx = rng.uniform(2, [22, 28], (num, NUM_SLOTS, 2)).astype(np.float32)
    half = np.array([-2, -3, 2, 3], np.float32)
    mask = np.arange(NUM_SLOTS)[None] <= np.arange(num)[:, None]
    mask[:, 1] = False
    return Batch(
        image=rng.integers(0, 256, (num, *SIZE_HW, channels), np.uint8),
        image_mask=np.ones(num, bool),
        points_yx=points_yx,
        labels=np.where(mask, 1, -1).astype(np.int32),
        points_mask=mask,
        boxes_yxyx=points_yx[..., [0, 1, 0, 1]] + half,
        valid=rng.random((num, *SIZE_HW)) > 0.3,
        example_index=np.arange(num, dtype=np.int32),
    )


OPTIONS = augment.AugmentOptions(
    crop_hw=(16, 16), turn=True, hed_jitter=0.1, brightness=0.1, contrast=0.2
)
run = jax.jit(augment.augment, static_argnames="options")
draw_pose = jax.jit(augment.draw_pose, static_argnums=(1, 2))
apply_pose = jax.jit(augment.apply_pose, static_argnums=2)


def one_example(batch: Batch, b: int) -> Batch:
    return jax.tree.map(lambda array: jnp.asarray(array[b]), batch)


def as_record(batch: Batch, b: int) -> Record:
    """The real cells of one example as a host record."""
    keep = np.asarray(batch.points_mask[b])
    record = Record(
        image_id="",
        image=np.asarray(batch.image[b]),
        points_yx=np.asarray(batch.points_yx[b]),
        labels=np.asarray(batch.labels[b]),
        boxes_yxyx=np.asarray(batch.boxes_yxyx[b]),
        annotated=np.asarray(batch.valid[b]),
    )
    return transforms.select_cells(record, keep)


def place_on_host(record: Record, pose: augment.Pose, crop_hw) -> Record:
    record = transforms.crop_record(record, tuple(np.asarray(pose.origin_yx)), crop_hw)
    if pose.transpose is not None and bool(pose.transpose):
        record = transforms.flip_record(transforms.turn_record(record, 1), 0)
    for axis in (0, 1):
        if bool(pose.flip_yx[axis]):
            record = transforms.flip_record(record, axis)
    return record


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_device_equals_host(turn, seed):
    crop_hw = (17, 17) if turn else (13, 19)
    options = augment.AugmentOptions(crop_hw=crop_hw, turn=turn)
    batch = make_batch()
    pose = draw_pose(jax.random.key(seed), SIZE_HW, options)
    placed = jax.device_get(apply_pose(one_example(batch, 3), pose, crop_hw))
    expected = place_on_host(as_record(batch, 3), pose, crop_hw)

    keep = np.asarray(placed.points_mask)
    np.testing.assert_array_equal(placed.image, expected.image)
    np.testing.assert_array_equal(placed.valid, expected.annotated)
    np.testing.assert_allclose(placed.points_yx[keep], expected.points_yx, atol=1e-5)
    np.testing.assert_allclose(placed.boxes_yxyx[keep], expected.boxes_yxyx, atol=1e-5)


@settings(max_examples=15)
@given(st.integers(4, 19), st.integers(4, 25), st.integers(0, 2**31 - 1))
def test_blob_stays_under_its_point(y, x, seed):
    batch = make_batch(1)
    image = np.zeros((1, *SIZE_HW, 3), np.uint8)
    image[0, y - 1 : y + 1, x - 2 : x + 2] = 255
    batch = batch._replace(
        image=image,
        points_yx=np.full((1, NUM_SLOTS, 2), (y, x), np.float32),
        points_mask=np.ones((1, NUM_SLOTS), bool),
    )
    options = augment.AugmentOptions(crop_hw=(20, 20), turn=True)
    out = run(batch, jax.random.key(seed), options=options)
    weight = np.asarray(out.image[0, ..., 0])
    if weight.sum() < 8:  # the window's edge cuts the blob
        return
    centers = np.arange(20) + 0.5
    centroid = [weight.sum(1) @ centers / 8, weight.sum(0) @ centers / 8]
    np.testing.assert_allclose(out.points_yx[0, 0], centroid, atol=1e-5)
    assert bool(out.points_mask[0, 0])


def test_all_windows_and_poses_are_drawn():
    options = augment.AugmentOptions(crop_hw=(22, 22), flip=False, turn=True)
    keys = jax.random.split(jax.random.key(0), 400)
    draw = jax.jit(jax.vmap(lambda key: augment.draw_pose(key, SIZE_HW, options)))
    poses = jax.device_get(draw(keys))
    assert set(np.asarray(poses.origin_yx[:, 0])) == {0, 1, 2}
    assert set(np.asarray(poses.origin_yx[:, 1])) == set(range(9))
    kinds = {
        (bool(t), bool(y), bool(x))
        for t, (y, x) in zip(poses.transpose, poses.flip_yx, strict=True)
    }
    # Without flips only the four turns: as `numpy.rot90`, never a mirror image.
    assert kinds == {
        (False, False, False), (True, True, False),
        (False, True, True), (True, False, True),
    }  # fmt: skip


@pytest.mark.parametrize("k", range(4))
def test_turns_are_rot90(k):
    flips = [(False, False), (True, False), (True, True), (False, True)][k]
    pose = augment.Pose(jnp.zeros(2, jnp.int32), jnp.array(flips), jnp.array(k % 2 > 0))
    batch = make_batch()
    square = batch._replace(
        image=batch.image[:, :, :24],
        valid=batch.valid[:, :, :24],
    )
    placed = apply_pose(one_example(square, 3), pose, (24, 24))
    np.testing.assert_array_equal(placed.image, np.rot90(square.image[3], k))


def test_cells_that_leave_are_masked_off_in_place():
    batch = make_batch(1)
    points_yx = np.array([[[3, 20], [9, 9], [10, 25], [22, 20]]], np.float32)
    batch = batch._replace(
        points_yx=points_yx,
        points_mask=np.array([[True, True, True, True]]),
        boxes_yxyx=points_yx[..., [0, 1, 0, 1]] + np.array([-4, -4, 4, 4], np.float32),
    )
    pose = augment.Pose(jnp.array([8, 10]), jnp.array([False, True]))
    placed = apply_pose(one_example(batch, 0), pose, (12, 18))
    assert placed.points_mask.tolist() == [False, False, True, False]
    assert placed.points_yx[2].tolist() == [2, 3]  # 18 - (25 - 10)
    assert placed.boxes_yxyx[2].tolist() == [0, 0, 6, 7]
    assert np.isfinite(placed.points_yx).all()


def assert_same(first: Batch, second: Batch) -> None:
    """Equal where it counts: masked cells, pixels, regions."""
    np.testing.assert_array_equal(first.points_mask, second.points_mask)
    np.testing.assert_array_equal(first.valid, second.valid)
    np.testing.assert_allclose(first.image, second.image, atol=1e-6)
    mask = np.asarray(first.points_mask)
    for name in ("points_yx", "boxes_yxyx", "labels"):
        np.testing.assert_array_equal(
            np.asarray(getattr(first, name))[mask],
            np.asarray(getattr(second, name))[mask],
        )


def test_an_example_does_not_depend_on_its_batch():
    batch, rng = make_batch(), jax.random.key(5)
    whole = run(batch, rng, options=OPTIONS)
    part = run(jax.tree.map(lambda a: a[2:4], batch), rng, options=OPTIONS)
    assert_same(jax.tree.map(lambda a: a[2:4], whole), part)
    assert whole.image.shape == (4, 16, 16, 3)


def test_keys_and_indices_change_the_draw():
    batch = make_batch()
    same_image = batch._replace(image=np.repeat(batch.image[:1], 4, axis=0))
    images = np.asarray(run(same_image, jax.random.key(0), options=OPTIONS).image)
    assert not np.allclose(images[0], images[1])
    other = np.asarray(run(same_image, jax.random.key(1), options=OPTIONS).image)
    assert not np.allclose(images[0], other[0])
    raw = run(same_image, jax.random.PRNGKey(0), options=OPTIONS)
    np.testing.assert_array_equal(raw.image, images)


def test_garbage_in_padded_slots_changes_nothing():
    batch, rng = make_batch(), jax.random.key(5)
    off = ~batch.points_mask
    garbage = batch._replace(
        points_yx=np.where(off[..., None], 1e6, batch.points_yx).astype(np.float32),
        boxes_yxyx=np.where(off[..., None], -1e6, batch.boxes_yxyx).astype(np.float32),
        labels=np.where(off, 99, batch.labels).astype(np.int32),
    )
    first, second = (run(b, rng, options=OPTIONS) for b in (batch, garbage))
    assert_same(first, second)
    assert np.isfinite(second.points_yx).all()
    assert np.isfinite(second.boxes_yxyx).all()


def test_nothing_drawn_is_prepare_eval():
    batch = make_batch()
    expected = augment.prepare_eval(batch)
    options = augment.AugmentOptions(flip=False)
    np.testing.assert_array_equal(expected.image, batch.image.astype(np.float32) / 255)
    out = run(batch, jax.random.key(0), options=options)
    inside = np.clip(expected.boxes_yxyx, 0, [*SIZE_HW, *SIZE_HW])
    assert_same(out, expected._replace(boxes_yxyx=inside))
    floats = augment.prepare_eval(expected)
    np.testing.assert_array_equal(floats.image, expected.image)


def test_stain_scaling_by_hand():
    # One pixel of haematoxylin of density 1, another of DAB of density 2.
    density = np.array([[0.65, 0.70, 0.29], [2 * 0.27, 2 * 0.57, 2 * 0.78]])
    image = jnp.asarray(np.exp(-density), jnp.float32).reshape(1, 2, 3)
    out = augment.scale_stains(image, jnp.array([1.5, 1.0, 0.5]), jnp.zeros(3))
    expected = np.exp(-density * [[1.5], [0.5]])
    np.testing.assert_allclose(out[0], expected, rtol=1e-5)
    shifted = augment.scale_stains(image, jnp.ones(3), jnp.array([0.0, 0.0, 0.1]))
    expected = np.exp(-density - 0.1 * np.array([0.27, 0.57, 0.78]))
    np.testing.assert_allclose(shifted[0], expected, rtol=1e-5)


def test_color_stays_in_range_and_moves_little():
    image = jnp.asarray(np.random.default_rng(0).random((9, 7, 3)), jnp.float32)
    options = augment.AugmentOptions(hed_jitter=0.05, brightness=0.05, contrast=0.1)
    out = np.asarray(augment.jitter_color(image, jax.random.key(2), options))
    assert out.min() >= 0
    assert out.max() <= 1
    assert 0 < np.abs(out - image).max() < 0.35
    black = augment.jitter_color(jnp.zeros((3, 4, 3)), jax.random.key(2), options)
    assert np.isfinite(black).all()


def test_to_unit_refuses_16_bits():
    with pytest.raises(TypeError, match="uint16"):
        augment.to_unit(jnp.zeros((2, 3), jnp.uint16))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (augment.AugmentOptions(crop_hw=(25, 20)), r"data\.crop_hw \(25, 20\)"),
        (augment.AugmentOptions(turn=True), r"data\.turn needs square"),
        (augment.AugmentOptions(crop_hw=(8, 9), turn=True), r"data\.turn"),
        (augment.AugmentOptions(contrast=1.5), r"data\.contrast is 1\.5"),
        (augment.AugmentOptions(brightness=-0.1), r"data\.brightness"),
    ],
)
def test_impossible_options_are_refused(options, match):
    with pytest.raises(errors.ConfigError, match=match):
        augment.check(options, SIZE_HW)


def test_check_knows_channels():
    augment.check(OPTIONS, SIZE_HW)
    with pytest.raises(errors.ConfigError, match=r"data\.hed_jitter needs RGB"):
        augment.check(augment.AugmentOptions(hed_jitter=0.1), SIZE_HW, 1)
