"""Sizes, features and one training step of the classifiers of patches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.errors import ConfigError
from cellrec_jax.nn import patch_net


def _shapes(kind, side_px=27, channels=1):
    """((scores, features), variables) as shapes, without computing anything."""
    patches = jax.ShapeDtypeStruct((5, side_px, side_px, channels), jnp.float32)
    model = patch_net.PatchNet(kind)
    return jax.eval_shape(model.init_with_output, jax.random.key(0), patches)


def _count(variables):
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize("channels", [1, 3])
def test_alexnet_is_that_of_the_papers_code(channels):
    (scores, features), variables = _shapes("alexnet", channels=channels)
    assert _count(variables) == 28_674_881
    assert scores.shape == (5,)
    assert features.shape == (5, 2304)


def test_small_by_hand():
    _, variables = _shapes("small", 13)
    convolutions = (25 + 1) * 32 + (9 * 32 + 1) * 64 + (9 * 64 + 1) * 64
    assert _count(variables) == convolutions + (576 + 1) * 64 + 64 + 1


@pytest.mark.parametrize(
    ("side_px", "num_features"), [(13, 576), (20, 1600), (27, 576), (40, 1600)]
)
def test_features_of_the_small_network(side_px, num_features):
    (scores, features), _ = _shapes("small", side_px)
    assert scores.shape == (5,)
    assert features.shape == (5, num_features)


def test_bad_options():
    with pytest.raises(ConfigError, match="12 x 12 px are too small: use sides of at"):
        _shapes("small", 12)


@pytest.mark.slow
@pytest.mark.parametrize("kind", patch_net.KINDS)
def test_training_step_reaches_every_layer(kind, rng):
    patches = jnp.asarray(rng.uniform(size=(4, 13, 13, 1)), jnp.float32)
    model = patch_net.PatchNet(kind)
    params = jax.jit(model.init)(jax.random.key(0), patches)["params"]

    def loss(params):
        rngs = {"dropout": jax.random.key(1)}
        scores, features = model.apply({"params": params}, patches, True, rngs=rngs)
        return jnp.sum(scores**2), features

    grads, features = jax.jit(jax.grad(loss, has_aux=True))(params)
    for leaf in jax.tree.leaves(grads):
        assert np.isfinite(leaf).all()
        assert np.any(leaf)
    assert (features >= 0).all()


@pytest.mark.slow
def test_alexnet_drops_out_only_in_training(rng):
    patches = jnp.asarray(rng.uniform(size=(2, 13, 13, 1)), jnp.float32)
    model = patch_net.PatchNet("alexnet")
    variables = jax.jit(model.init)(jax.random.key(0), patches)

    def scores(seed, train):
        rngs = {"dropout": jax.random.key(seed)}
        return model.apply(variables, patches, train, rngs=rngs)[0]

    np.testing.assert_array_equal(scores(0, False), scores(1, False))
    assert np.any(scores(0, True) != scores(1, True))
