import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.data import augment, zoom
from cellrec_jax.types import Batch

SIZE_HW, CROP_HW = (40, 60), (16, 24)


def example():
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


resized_crop = jax.jit(zoom.resized_crop, static_argnums=2)


def test_a_window_of_the_crops_size_is_a_crop():
    window = zoom.Window(jnp.array([3.0, 5.0]), jnp.array([16.0, 24.0]))
    made, source = resized_crop(example(), window, CROP_HW), example()
    np.testing.assert_allclose(made.image, source.image[3:19, 5:29], atol=1e-6)
    np.testing.assert_array_equal(made.valid, source.valid[3:19, 5:29])
    np.testing.assert_allclose(made.points_yx[0], [6.5, 6.5], atol=1e-5)
    np.testing.assert_allclose(made.boxes_yxyx[0], [3.5, 3.5, 9.5, 9.5], atol=1e-5)
    assert made.points_mask.tolist() == [True, False, False]


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.5])
def test_image_points_and_boxes_move_together(factor):
    size_hw = factor * np.array(CROP_HW, np.float32)
    window = zoom.Window(jnp.array([5.0, 6.0]), jnp.asarray(size_hw))
    made = resized_crop(example(), window, CROP_HW)
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
    draw = jax.jit(jax.vmap(lambda rng: zoom.draw_window(rng, SIZE_HW, CROP_HW, 0.3)))
    windows = jax.tree.map(np.asarray, draw(jax.random.split(jax.random.key(0), 500)))
    factor = windows.size_hw / np.array(CROP_HW)
    np.testing.assert_allclose(factor[:, 0], factor[:, 1], rtol=1e-6)
    assert 0.7 <= factor.min() < 0.72
    assert 1.28 < factor.max() <= 1.3
    last = windows.origin_yx + windows.size_hw
    assert windows.origin_yx.min() >= 0
    assert (last <= np.array(SIZE_HW) + 1e-4).all()
    assert (last.max(axis=0) > np.array(SIZE_HW) - 1).all()


def test_a_window_is_no_larger_than_the_image():
    draw = jax.vmap(lambda rng: zoom.draw_window(rng, SIZE_HW, SIZE_HW, 0.9))
    windows = jax.tree.map(np.asarray, draw(jax.random.split(jax.random.key(0), 20)))
    assert (windows.size_hw <= np.array(SIZE_HW) + 1e-4).all()


def test_augment_zooms_and_its_seed_decides():
    batch = jax.tree.map(lambda x: np.stack([x, x]), example())
    batch = batch._replace(example_index=np.arange(2))
    options = augment.AugmentOptions(crop_hw=CROP_HW, scale_jitter=0.4)
    change = jax.jit(lambda rng: augment.augment(batch, rng, options))
    made, again = change(jax.random.key(1)), change(jax.random.key(1))
    assert made.image.shape == (2, *CROP_HW, 3)
    jax.tree.map(np.testing.assert_array_equal, made, again)
    sides = made.boxes_yxyx[:, 0, 2:] - made.boxes_yxyx[:, 0, :2]
    assert np.unique(np.round(np.asarray(sides), 3)).size > 1
