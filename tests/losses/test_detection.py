import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.losses import detection


def loop_smooth_l1(difference: float, sigma: float) -> float:
    distance = abs(difference)
    if distance < 1 / sigma**2:
        return 0.5 * (sigma * distance) ** 2
    return distance - 0.5 / sigma**2


def test_by_hand():
    predicted = jnp.array([[0.5, -3.0, 0.0, 1.0], [0.0, 0.0, 0.1, 0.0]])
    target = jnp.zeros((2, 4))
    # sigma 1: 0.125 + 2.5 + 0 + 0.5; sigma 3, corner at 1/9: |d| - 1/18 past it.
    expected = [3.125, 0.005]
    np.testing.assert_allclose(
        detection.smooth_l1(predicted, target), expected, rtol=1e-6
    )
    expected = [4.5 - 3 / 18, 0.045]
    result = detection.smooth_l1(predicted, target, sigma=3.0)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_continuous_at_the_corner_with_its_slope(sigma):
    corner = 1 / sigma**2
    near = np.float32(corner) + np.linspace(-1e-4, 1e-4, 21, dtype=np.float32)
    value = detection.smooth_l1(
        near[:, None], np.zeros((21, 1), np.float32), sigma=sigma
    )
    expected = [loop_smooth_l1(float(d), sigma) for d in near]
    np.testing.assert_allclose(value, expected, atol=1e-6)
    assert np.abs(np.diff(value)).max() < 2e-5
    gradient = jax.vmap(
        jax.grad(lambda d: detection.smooth_l1(d[None], jnp.zeros(1), sigma=sigma))
    )(jnp.asarray(near))
    np.testing.assert_allclose(gradient, 1.0, atol=sigma**2 * 2e-4)


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_gradient(sigma):
    difference = jnp.array([-20.0, -0.05, 0.0, 0.05, 2.0])
    gradient = jax.grad(lambda d: detection.smooth_l1(d, jnp.zeros(5), sigma=sigma))(
        difference
    )
    slope = 0.05 * sigma**2
    np.testing.assert_allclose(gradient, [-1.0, -slope, 0.0, slope, 1.0], rtol=1e-5)


def test_half_precision_gives_float32():
    predicted = jnp.ones((2, 4), jnp.bfloat16)
    result = detection.smooth_l1(predicted, jnp.zeros((2, 4)))
    assert result.dtype == jnp.float32
    assert result.tolist() == [2.0, 2.0]
