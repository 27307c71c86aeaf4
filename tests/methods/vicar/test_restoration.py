import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.methods.vicar import phase_optics, restoration

SIZE_HW = (24, 31)
TINY_HW = (5, 7)
BLOB_YX = (9.0, 20.0)

flatten = jax.jit(restoration.flatten)
restore_one = jax.jit(restoration.restore)
restore_many = jax.jit(jax.vmap(restoration.restore))


def blob_image(rng):
    """A dark disc with a bright halo under uneven light, grey levels 0 to 255."""
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] + 0.5
    distance = np.hypot(y - BLOB_YX[0], x - BLOB_YX[1])
    light = 120 + 2 * y - x + 0.05 * (x - 10) ** 2
    image = light - 80 * (distance < 4) + 40 * ((distance >= 4) & (distance < 6))
    image += rng.normal(0, 2, SIZE_HW)
    return image.round().astype(np.uint8), distance


def test_flatten_takes_the_least_squares_surface_away(rng):
    image = rng.uniform(0, 100, TINY_HW).astype(np.float32)
    y, x = (axis.ravel() for axis in np.mgrid[: TINY_HW[0], : TINY_HW[1]])
    terms = np.stack([y**0, y, x, y * y, y * x, x * x], axis=1)
    low, high = np.percentile(image, [0.1, 99.9])
    scaled = (image.ravel() - low) / (high - low)
    surface = terms @ np.linalg.lstsq(terms, scaled, rcond=None)[0]
    found = flatten(image)
    np.testing.assert_allclose(found.ravel(), scaled - surface, atol=1e-5)


def dense_model(flat, kernel, epsilon):
    """H and L entry by entry; `flat` [H, W]."""
    height, width = flat.shape
    index = np.arange(flat.size).reshape(flat.shape)
    half = len(kernel) // 2
    mirrored = np.pad(index, half, mode="symmetric")
    blur = np.zeros((flat.size, flat.size))
    for (y, x), row in np.ndenumerate(index):
        for (i, j), tap in np.ndenumerate(kernel):
            blur[row, mirrored[y + i, x + j]] += tap
    ties = np.zeros_like(blur)
    for steps, strength in [([(0, 1), (1, 0)], 1), ([(1, 1), (1, -1)], 0.707)]:
        pairs = [
            ((y, x), (y + dy, x + dx))
            for y, x in np.ndindex(height, width)
            for dy, dx in steps
            if y + dy < height and 0 <= x + dx < width
        ]
        squares = np.array([(flat[a] - flat[b]) ** 2 for a, b in pairs])
        values = (epsilon + np.exp(-squares / squares.mean())) / (epsilon + 1)
        for (a, b), value in zip(pairs, strength * values, strict=True):
            ties[index[a], index[b]] = ties[index[b], index[a]] = value
    return blur, np.diag(ties.sum(1)) - ties


def test_updates_descend_the_objective_of_the_dense_matrices(rng):
    image = rng.uniform(0, 1, TINY_HW).astype(np.float32)
    trials = rng.uniform(0, 2, (3, *TINY_HW)).astype(np.float32)
    options = phase_optics.DEFAULTS._replace(
        epsilon=2.0, smoothness=0.7, sparsity=0.1, bright=True
    )

    @jax.jit
    def run(image, trials):
        problem = restoration._problem(image, options)

        def step(f, _):
            f = restoration._update(problem, options, f)
            return f, f

        start = jnp.ones_like(image)
        path = jax.lax.scan(step, start, None, length=60)[1]
        parts = jax.vmap(lambda f: restoration._parts(problem, f))(trials)
        return problem.linear, parts, path

    linear, (positive, negative), path = jax.device_get(run(image, trials))
    flat = -np.asarray(flatten(image))
    blur, laplacian = dense_model(flat, phase_optics.kernel(options), 2.0)
    matrix = blur.T @ blur + 0.7 * laplacian
    np.testing.assert_allclose(linear.ravel(), -blur.T @ flat.ravel(), atol=1e-5)
    for f, difference in zip(trials, positive - negative, strict=True):
        np.testing.assert_allclose(difference.ravel(), matrix @ f.ravel(), atol=1e-5)
    f = path.reshape(len(path), -1).astype(np.float64)
    assert (f >= 0).all()
    cost = 0.5 * np.sum(f @ matrix * f, axis=1) - f @ (blur.T @ flat.ravel())
    cost += 0.1 * np.log1p(f / 3).sum(axis=1)
    assert (np.diff(cost) <= 1e-6).all()
    assert cost[-1] < min(cost[0] / 100, 0)


def test_blob_is_high_and_its_halo_is_not(rng):
    image, distance = blob_image(rng)
    found = restore_one(image.astype(np.float32))
    restored = np.asarray(found.image)
    assert restored[distance < 3].min() > 0.05
    assert restored[distance > 5].max() < 0.01
    assert 0 < found.iterations <= 100
    assert np.isfinite(found.change)


def test_frames_at_once_are_a_loop_and_constants_stay_flat(rng):
    image, _ = blob_image(rng)
    deep = image.astype(np.float32) * 257
    frames = np.stack([image, deep, image[::-1], np.full(SIZE_HW, 7)])
    frames = frames.astype(np.float32)
    found = np.asarray(restore_many(frames).image)
    for frame, restored in zip(frames, found, strict=True):
        np.testing.assert_allclose(restored, restore_one(frame).image, atol=2e-5)
    np.testing.assert_allclose(found[1], found[0], atol=2e-5)
    assert np.isfinite(found[3]).all()
    assert np.ptp(found[3]) < 1e-4


def test_whole_numbers_are_taken_as_float(rng):
    image, _ = blob_image(rng)
    found = flatten(image.astype(np.uint16) * np.uint16(257))
    np.testing.assert_allclose(found, flatten(image / np.float32(255)), atol=2e-6)


def test_values_that_are_not_finite(rng):
    image = blob_image(rng)[0].astype(np.float32)
    broken, black = image.copy(), image.copy()
    broken[3, 4], black[3, 4] = np.nan, 0
    np.testing.assert_array_equal(restore_one(broken).image, restore_one(black).image)


@pytest.mark.slow
@pytest.mark.parametrize("size_hw", [(1, 1), (1, 6), (2, 3)])
def test_tiny_images(size_hw, rng):
    image = rng.integers(0, 255, size_hw).astype(np.uint8)
    restored = np.asarray(restore_one(image).image)
    assert restored.shape == size_hw
    assert np.isfinite(restored).all()
