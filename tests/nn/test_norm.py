import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import masking
from cellrec_jax.nn import norm as norms


def _input(rng, shape=(4, 3, 5, 6)):
    return jnp.asarray(rng.normal(2.0, 3.0, shape), jnp.float32)


def test_frozen_batch_by_hand():
    layer = norms.make_norm("frozen_batch")()
    # First channel: 3 times (x - 1) / 2, plus 5; second: (x + 2) / 0.5, less 1.
    variables = {
        "params": {"scale": jnp.array([3.0, 1.0]), "bias": jnp.array([5.0, -1.0])},
        "batch_stats": {
            "mean": jnp.array([1.0, -2.0]),
            "var": jnp.array([4.0, 0.25]) - norms.EPSILON,
        },
    }
    out = layer.apply(variables, jnp.array([[7.0, 0.0], [1.0, -3.0]]))
    np.testing.assert_allclose(out, [[14.0, 3.0], [5.0, -3.0]], rtol=1e-6)


def test_frozen_batch_has_no_gradient_and_does_not_move(rng):
    layer = norms.make_norm("frozen_batch", train=True)()
    x = _input(rng)
    variables = layer.init(jax.random.key(0), x)

    def loss(params, x):
        out, changed = layer.apply(
            {**variables, "params": params}, x, mutable=["batch_stats"]
        )
        return jnp.sum(out**2), changed

    (of_params, of_x), changed = jax.grad(loss, (0, 1), has_aux=True)(
        variables["params"], x
    )
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(of_params))
    assert np.all(of_x != 0)
    jax.tree.map(
        np.testing.assert_array_equal,
        changed["batch_stats"],
        variables["batch_stats"],
    )


@pytest.mark.parametrize(
    ("channels", "groups"),
    [(1, 1), (2, 1), (3, 1), (6, 1), (10, 2), (13, 1), (40, 10), (64, 16), (192, 32)],
)
def test_group_norm_of_any_width(rng, channels, groups):
    layer = norms.make_norm("group")()
    x = _input(rng, (2, 3, 5, channels))
    out, variables = layer.init_with_output(jax.random.key(0), x)
    assert norms.num_groups(channels) == groups
    assert set(variables) == {"params"}
    grouped = np.asarray(x, np.float64).reshape(2, 15, groups, channels // groups)
    mean = grouped.mean((1, 3), keepdims=True)
    std = np.sqrt(grouped.var((1, 3), keepdims=True) + 1e-5)
    expected = ((grouped - mean) / std).reshape(x.shape)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)


def test_group_norm_of_an_example_ignores_the_others(rng):
    layer = norms.make_norm("group")()
    x = _input(rng)
    variables = layer.init(jax.random.key(0), x)
    alone = layer.apply(variables, x[1:2])
    np.testing.assert_allclose(layer.apply(variables, x)[1:2], alone, rtol=1e-6)


def test_layer_norm_sees_one_pixel_alone(rng):
    layer = norms.make_norm("layer")()
    x = _input(rng)
    variables = layer.init(jax.random.key(0), x)
    variables["params"]["scale"] = jnp.arange(1.0, 7.0)
    variables["params"]["bias"] = jnp.arange(6.0)
    out = layer.apply(variables, x)
    wide = np.asarray(x, np.float64)
    centered = wide - wide.mean(-1, keepdims=True)
    deviation = np.sqrt(wide.var(-1, keepdims=True) + 1e-5)
    expected = centered / deviation * np.arange(1, 7) + np.arange(6)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)
    cut = layer.apply(variables, x[:, 1:2, 2:4])
    np.testing.assert_array_equal(cut, out[:, 1:2, 2:4])


def test_sync_batch_by_hand():
    layer = norms.make_norm("sync_batch", train=True)()
    x = jnp.array([[1.0], [5.0]])  # mean 3, variance 4
    variables = layer.init(jax.random.key(0), x)
    out, changed = layer.apply(variables, x, mutable=["batch_stats"])
    np.testing.assert_allclose(out, [[-1.0], [1.0]], rtol=1e-5)
    np.testing.assert_allclose(changed["batch_stats"]["mean"], [0.3], rtol=1e-6)
    np.testing.assert_allclose(changed["batch_stats"]["var"], [1.3], rtol=1e-6)
    evaluate = norms.make_norm("sync_batch", train=False)()
    # The running mean is 0 and the running variance 1 before training.
    np.testing.assert_allclose(evaluate.apply(variables, x), x, rtol=1e-4)


@pytest.mark.slow
def test_sync_batch_on_four_devices_is_one_device(rng):
    assert jax.device_count() == 4
    x = _input(rng, (8, 3, 5, 6)) * jnp.arange(1, 9).reshape(8, 1, 1, 1)
    variables = norms.make_norm("sync_batch")().init(jax.random.key(0), x)

    def forward_backward(x):
        layer = norms.make_norm("sync_batch", train=True)()

        def loss(x):
            out, changed = layer.apply(variables, x, mutable=["batch_stats"])
            return jnp.sum(out**3), (out, changed)

        grad, aux = jax.grad(loss, has_aux=True)(x)
        return grad, *aux

    grad, out, changed = forward_backward(x)
    sharded = x.reshape(4, 2, 3, 5, 6)
    grads, outs, all_changed = jax.pmap(forward_backward, axis_name=masking.AXIS)(
        sharded
    )
    np.testing.assert_allclose(outs.reshape(x.shape), out, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(grads.reshape(x.shape), grad, rtol=1e-4, atol=1e-5)
    for name in ("mean", "var"):
        for device in range(4):
            np.testing.assert_allclose(
                all_changed["batch_stats"][name][device],
                changed["batch_stats"][name],
                rtol=1e-5,
            )


@pytest.mark.parametrize("kind", norms.KINDS)
def test_bfloat16_keeps_float32_parameters_and_statistics(rng, kind):
    # At a mean of 1000, bfloat16 statistics would be off by whole units.
    x = _input(rng) + 1000.0
    layer = norms.make_norm(kind, train=True, dtype=jnp.bfloat16)()
    variables = layer.init(jax.random.key(0), x)
    out, changed = layer.apply(variables, x, mutable=["batch_stats"])
    assert out.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))
    exact = norms.make_norm(kind, train=True)()
    expected, expected_changed = exact.apply(variables, x, mutable=["batch_stats"])
    np.testing.assert_allclose(out.astype(jnp.float32), expected, rtol=0.01)
    jax.tree.map(np.testing.assert_array_equal, changed, expected_changed)


def test_norm_mask_knows_norms_from_convolutions():
    params = {
        "bn1": {"scale": 1, "bias": 1},
        "head": {"conv": {"kernel": 1, "bias": 1}, "norm": {"scale": 1, "bias": 1}},
    }
    assert norms.norm_mask(params) == {
        "bn1": {"scale": True, "bias": True},
        "head": {
            "conv": {"kernel": False, "bias": False},
            "norm": {"scale": True, "bias": True},
        },
    }
