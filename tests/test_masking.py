from hypothesis import given
from hypothesis.extra import numpy as npst
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import masking

masked_mean = jax.jit(masking.masked_mean)

# Four devices with 3, 1, 0 and 2 real cells; means of the means would be wrong.
VALUES = np.array([[1, 2, 3], [10, 7, 7], [9, 9, 9], [4, 5, 0]], np.float32)
MASK = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 0]], bool)
GLOBAL_MEAN = 25 / 6


def test_by_hand():
    values = np.array([1.0, 5.0, 9.0], np.float32)
    mask = np.array([True, False, True])
    assert masked_mean(values, mask) == 5.0
    assert masked_mean(values, mask, denominator=4.0) == 2.5
    assert masked_mean(values, np.array([3.0, 1.0, 0.0], np.float32)) == 2.0  # weights


@given(npst.arrays(np.int32, (4, 3), elements={"min_value": -99, "max_value": 99}),
       npst.arrays(bool, (4, 3)))  # fmt: skip
def test_against_the_subset(values, mask):
    expected = values[mask].mean() if mask.any() else 0.0
    assert masked_mean(values, mask) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    total, count = masking.masked_sum_count(jnp.asarray(values), jnp.asarray(mask))
    assert (total, count) == (values[mask].sum(), mask.sum())


def test_mask_is_broadcast():
    mask = np.array([[True], [False], [True], [False]])
    assert masked_mean(VALUES, mask) == VALUES[[0, 2]].mean()
    total, count = masking.masked_sum_count(jnp.asarray(VALUES), jnp.asarray(mask))
    assert (total, count) == (33.0, 6.0)


@pytest.mark.parametrize("garbage", [1e6, np.inf, np.nan])
def test_garbage_changes_neither_value_nor_gradient(garbage):
    def loss(scale, values, mask):
        return masking.masked_mean(scale * values, mask)

    graded = jax.jit(jax.value_and_grad(loss, argnums=1))
    dirty = np.where(MASK, VALUES, np.float32(garbage))
    value, gradient = graded(2.0, dirty, MASK)
    assert value == pytest.approx(2 * GLOBAL_MEAN)
    np.testing.assert_allclose(gradient, MASK * 2 / 6, rtol=1e-6)
    # XLA turns a product with a bool mask into a choice, and so hides a missing one.
    weighted, gradient = graded(2.0, dirty, MASK.astype(np.float32))
    assert weighted == pytest.approx(2 * GLOBAL_MEAN)
    np.testing.assert_allclose(gradient, MASK * 2 / 6, rtol=1e-6)
    nothing, gradient = graded(2.0, dirty, np.zeros_like(MASK))
    assert nothing == 0.0
    assert (np.asarray(gradient) == 0).all()


def test_half_precision_is_summed_in_float32():
    values = jnp.ones(4096, jnp.bfloat16)
    assert masked_mean(values, jnp.ones(4096, bool)) == 1.0
    assert masked_mean(values, jnp.ones(4096, bool)).dtype == jnp.float32


def device_loss(scale, values, mask):
    return masking.masked_mean(scale * values, mask)


def mean_step(values, mask):
    """Value and gradient as the training step takes them: the mean over devices."""
    graded = jax.value_and_grad(device_loss)(jnp.float32(1.0), values, mask)
    return jax.lax.pmean(graded, masking.AXIS)


@pytest.mark.parametrize("mapping", [jax.vmap, jax.pmap])
def test_mean_over_devices_is_the_mean_over_all_cells(mapping):
    value, gradient = mapping(mean_step, axis_name=masking.AXIS)(VALUES, MASK)
    # The loss is linear in its scale, so the gradient is the mean as well.
    np.testing.assert_allclose(value, [GLOBAL_MEAN] * 4, rtol=1e-6)
    np.testing.assert_allclose(gradient, [GLOBAL_MEAN] * 4, rtol=1e-6)
    per_device = VALUES[[0, 1, 3]].mean(axis=1, where=MASK[[0, 1, 3]])
    assert abs(per_device.mean() - GLOBAL_MEAN) > 1, "the trap is not set"


def _axis_code(x):
    return x + (0 if masking.mapped_axis() is None else 1)


@jax.custom_vjp
def _by_hand(x):
    return _axis_code(x)


_by_hand.defvjp(lambda x: (_axis_code(x), None), lambda _, g: (_axis_code(0 * g),))


@pytest.mark.parametrize(
    "function",
    [
        _axis_code,
        jax.jit(_axis_code),
        jax.checkpoint(_axis_code),
        jax.vmap(_axis_code),
        lambda x: jax.lax.map(_axis_code, x),
        lambda x: x + jax.eval_shape(lambda: jnp.zeros(_axis_code(0))).size,
        lambda x: jax.grad(lambda y: _by_hand(y).sum())(x),
    ],
)
def test_the_axis_is_seen_where_it_is_bound_alone(function):
    x = jnp.zeros((2, 2))
    for _ in range(2):  # the second time from the caches
        assert (function(x[0]) == 0).all()
        assert (jax.pmap(function, axis_name=masking.AXIS)(x) == 1).all()
        assert (jax.vmap(function, axis_name=masking.AXIS)(x) == 1).all()
        assert (jax.vmap(function, axis_name="other")(x) == 0).all()


def test_no_cell_on_any_device():
    mapped = jax.vmap(mean_step, axis_name=masking.AXIS)
    value, gradient = mapped(VALUES, np.zeros_like(MASK))
    assert (np.asarray([value, gradient]) == 0).all()


def test_denominator_is_averaged_over_devices():
    mapped = jax.vmap(
        lambda v, m, d: masking.masked_mean(v, m, denominator=d), axis_name=masking.AXIS
    )
    counts = np.array([5.0, 1.0, 0.0, 2.0], np.float32)
    result = mapped(VALUES, MASK, counts)
    np.testing.assert_allclose(result, np.array([6, 10, 0, 9]) / 2, rtol=1e-6)


def test_weights_get_no_gradient_through_the_count():
    values, weight = jnp.array([1.0, 5.0]), jnp.array([1.0, 1.0])
    gradient = jax.grad(lambda w: masking.masked_mean(values, w))(weight)
    np.testing.assert_allclose(gradient, values / 2)


def test_safe_norm():
    vectors = jnp.array([[3.0, 4.0], [0.0, 0.0], [-5.0, 12.0]])
    assert masking.safe_norm(vectors).tolist() == [5.0, 0.0, 13.0]
    np.testing.assert_allclose(
        masking.safe_norm(vectors, axis=0), np.sqrt([34.0, 160.0]), rtol=1e-6
    )
    gradient = jax.jit(jax.grad(lambda v: masking.safe_norm(v).sum()))(vectors)
    expected = [[0.6, 0.8], [0.0, 0.0], [-5 / 13, 12 / 13]]
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_pad_to():
    points = np.array([[1.5, 2.5], [3.5, 4.5]], np.float32)
    padded = masking.pad_to(points, 3, fill=-1)
    assert padded.tolist() == [[1.5, 2.5], [3.5, 4.5], [-1.0, -1.0]]
    assert padded.dtype == np.float32
    assert masking.pad_to(points, 2).tolist() == points.tolist()
    assert masking.pad_to(np.zeros((0, 4), bool), 2).tolist() == [[False] * 4] * 2
    with pytest.raises(ValueError, match="2 rows do not fit into 1"):
        masking.pad_to(points, 1)
