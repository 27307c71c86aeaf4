from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data import augment
from cellrec_jax.data.pixels import colors
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
        maps=rng.integers(0, 256, (num, *SIZE_HW, 2), np.uint8),
    )


OPTIONS = augment.AugmentOptions(
    crop_hw=(16, 16), turn=True, hed_jitter=0.1, brightness=0.1, contrast=0.2
)
run = jax.jit(augment.augment, static_argnames="options")
draw_pose = jax.jit(augment.draw_pose, static_argnums=(1, 2))
apply_pose = jax.jit(augment.apply_pose, static_argnums=2)


def one_example(batch: Batch, b: int) -> Batch:
    return jax.tree.map(lambda array: jnp.asarray(array[b]), batch)


def place_on_host(batch: Batch, b: int, pose: augment.Pose, crop_hw) -> dict:
    """The real cells of one example and its pixels, moved one NumPy step at a time."""
    keep = np.asarray(batch.points_mask[b])
    planes = [np.asarray(part[b]) for part in (batch.image, batch.valid, batch.maps)]
    points_yx = np.asarray(batch.points_yx[b])[keep]
    corners_yx = np.asarray(batch.boxes_yxyx[b])[keep].reshape(-1, 2, 2)
    top, left = np.asarray(pose.origin_yx)
    window = (slice(top, top + crop_hw[0]), slice(left, left + crop_hw[1]))
    planes = [plane[window] for plane in planes]
    points_yx, corners_yx = points_yx - (top, left), corners_yx - (top, left)
    inside = ((points_yx >= 0) & (points_yx < crop_hw)).all(axis=1)
    if pose.transpose is not None and bool(pose.transpose):
        planes = [plane.swapaxes(0, 1) for plane in planes]
        points_yx, corners_yx = points_yx[..., ::-1], corners_yx[..., ::-1]
    for axis in np.flatnonzero(pose.flip_yx):
        planes = [np.flip(plane, axis) for plane in planes]
        for moved in (points_yx := points_yx.copy(), corners_yx := corners_yx.copy()):
            moved[..., axis] = crop_hw[axis] - moved[..., axis]
    boxes_yxyx = np.concatenate([corners_yx.min(1), corners_yx.max(1)], axis=1)
    boxes_yxyx = np.clip(boxes_yxyx, 0, [*crop_hw, *crop_hw])
    return {
        "image": planes[0],
        "valid": planes[1],
        "maps": planes[2],
        "points_yx": points_yx[inside],
        "boxes_yxyx": boxes_yxyx[inside],
    }


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_device_equals_host(turn, seed):
    crop_hw = (17, 17) if turn else (13, 19)
    options = augment.AugmentOptions(crop_hw=crop_hw, turn=turn)
    batch = make_batch()
    pose = draw_pose(jax.random.key(seed), SIZE_HW, options)
    placed = jax.device_get(apply_pose(one_example(batch, 3), pose, crop_hw))
    expected = place_on_host(batch, 3, pose, crop_hw)

    keep = np.asarray(placed.points_mask)
    np.testing.assert_array_equal(placed.image, expected["image"])
    np.testing.assert_array_equal(placed.valid, expected["valid"])
    np.testing.assert_array_equal(placed.maps, expected["maps"])
    for name in ("points_yx", "boxes_yxyx"):
        found = getattr(placed, name)[keep]
        np.testing.assert_allclose(found, expected[name], atol=1e-5)


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
    out = colors.scale_stains(image, jnp.array([1.5, 1.0, 0.5]), jnp.zeros(3))
    expected = np.exp(-density * [[1.5], [0.5]])
    np.testing.assert_allclose(out[0], expected, rtol=1e-5)
    shifted = colors.scale_stains(image, jnp.ones(3), jnp.array([0.0, 0.0, 0.1]))
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


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (augment.AugmentOptions(crop_hw=(25, 20)), r"data\.crop_hw \(25, 20\)"),
        (augment.AugmentOptions(turn=True), r"data\.turn needs square"),
        (augment.AugmentOptions(contrast=1.5), r"data\.contrast is 1\.5"),
    ],
)
def test_impossible_options_are_refused(options, match):
    with pytest.raises(errors.ConfigError, match=match):
        augment.check(options, SIZE_HW)


def test_check_knows_channels():
    augment.check(OPTIONS, SIZE_HW)
    with pytest.raises(errors.ConfigError, match=r"data\.hed_jitter needs RGB"):
        augment.check(augment.AugmentOptions(hed_jitter=0.1), SIZE_HW, 1)


ZOOM_HW, CROP_HW = (40, 60), (16, 24)


def three_discs():
    """A disc at each point, a channel each; points must hit them after any window."""
    points_yx = np.array([[9.5, 11.5], [30.25, 40.75], [20.0, 59.0]], np.float32)
    y, x = np.mgrid[:40, :60] + 0.5
    discs = [np.hypot(y - row, x - column) <= 3 for row, column in points_yx]
    return Batch(
        image=np.stack(discs, axis=2).astype(np.float32),
        image_mask=np.array(True),
        points_yx=points_yx,
        labels=np.zeros(3, np.int32),
        points_mask=np.array([True, True, False]),
        boxes_yxyx=np.concatenate([points_yx - 3, points_yx + 3], axis=1),
        valid=x < 50,
        example_index=np.array(0),
    )


resized_crop = jax.jit(augment.resized_crop, static_argnums=2)


def test_a_window_of_the_crops_size_is_a_crop():
    window = augment.Window(jnp.array([3.0, 5.0]), jnp.array([16.0, 24.0]))
    made, source = resized_crop(three_discs(), window, CROP_HW), three_discs()
    np.testing.assert_allclose(made.image, source.image[3:19, 5:29], atol=1e-6)
    np.testing.assert_array_equal(made.valid, source.valid[3:19, 5:29])
    np.testing.assert_allclose(made.points_yx[0], [6.5, 6.5], atol=1e-5)
    np.testing.assert_allclose(made.boxes_yxyx[0], [3.5, 3.5, 9.5, 9.5], atol=1e-5)
    assert made.points_mask.tolist() == [True, False, False]


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.5])
def test_image_points_and_boxes_move_together(factor):
    size_hw = factor * np.array(CROP_HW, np.float32)
    window = augment.Window(jnp.array([5.0, 6.0]), jnp.asarray(size_hw))
    made = resized_crop(three_discs(), window, CROP_HW)
    np.testing.assert_allclose(
        made.points_yx[0], (np.array([9.5, 11.5]) - [5, 6]) / factor, rtol=1e-5
    )
    rows, columns = np.nonzero(made.image[..., 0] > 0.5)
    centre_yx = np.array([rows.mean(), columns.mean()]) + 0.5
    np.testing.assert_allclose(centre_yx, made.points_yx[0], atol=0.6)
    assert len(rows) == pytest.approx(np.pi * (3 / factor) ** 2, rel=0.25)
    box = made.boxes_yxyx[0]
    np.testing.assert_allclose(box[2:] - box[:2], 6 / factor, rtol=1e-5)


def test_windows_have_the_drawn_sizes_and_stay_inside():
    draw = jax.jit(
        jax.vmap(lambda rng: augment.draw_window(rng, ZOOM_HW, CROP_HW, 0.3))
    )
    windows = jax.tree.map(np.asarray, draw(jax.random.split(jax.random.key(0), 500)))
    factor = windows.size_hw / np.array(CROP_HW)
    np.testing.assert_allclose(factor[:, 0], factor[:, 1], rtol=1e-6)
    assert 0.7 <= factor.min() < 0.72
    assert 1.28 < factor.max() <= 1.3
    last = windows.origin_yx + windows.size_hw
    assert windows.origin_yx.min() >= 0
    assert (last <= np.array(ZOOM_HW) + 1e-4).all()
    assert (last.max(axis=0) > np.array(ZOOM_HW) - 1).all()


def test_a_window_is_no_larger_than_the_image():
    draw = jax.vmap(lambda rng: augment.draw_window(rng, ZOOM_HW, ZOOM_HW, 0.9))
    windows = jax.tree.map(np.asarray, draw(jax.random.split(jax.random.key(0), 20)))
    assert (windows.size_hw <= np.array(ZOOM_HW) + 1e-4).all()


def test_augment_zooms_and_its_seed_decides():
    batch = jax.tree.map(lambda x: np.stack([x, x]), three_discs())
    batch = batch._replace(example_index=np.arange(2))
    options = augment.AugmentOptions(crop_hw=CROP_HW, scale_jitter=0.4)
    change = jax.jit(lambda rng: augment.augment(batch, rng, options))
    made, again = change(jax.random.key(1)), change(jax.random.key(1))
    assert made.image.shape == (2, *CROP_HW, 3)
    jax.tree.map(np.testing.assert_array_equal, made, again)
    sides = made.boxes_yxyx[:, 0, 2:] - made.boxes_yxyx[:, 0, :2]
    assert np.unique(np.round(np.asarray(sides), 3)).size > 1


@pytest.mark.parametrize("scale_jitter", [0.0, 0.3])
def test_windows_keep_the_highest_value_of_their_image(scale_jitter):
    """Grey of 0.2, and 1 in one corner, which most windows leave out."""
    batch = make_batch()
    image = np.full_like(batch.image, 51)
    image[:, 0, 0] = 255
    image[1, 0, 0] = [255, 255, 102]  # a colour: its grey is 0.8
    options = augment.AugmentOptions(
        crop_hw=(8, 8), scale_jitter=scale_jitter, brightness=0.1
    )
    found = run(batch._replace(image=image), jax.random.key(0), options)
    np.testing.assert_allclose(found.highest, [1, 0.8, 1, 1], rtol=1e-6)
    assert (np.asarray(found.image).max(axis=(1, 2, 3)) < 0.5).any()
    assert run(batch, jax.random.key(0), augment.AugmentOptions()).highest is None
