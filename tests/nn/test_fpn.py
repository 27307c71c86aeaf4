"""Shapes and merge rules of the pyramid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.nn import fpn

STAGES = {
    level: jnp.ones((1, 48 // 2**level * 4, 32 // 2**level * 4, 3 + level))
    for level in (2, 3, 4)
}


def test_levels_channels_and_the_subsampled_one():
    module = fpn.FPN(channels=6, min_level=2)
    pyramid, variables = module.init_with_output(jax.random.key(0), STAGES)
    assert list(pyramid) == [2, 3, 4, 5]
    assert [p.shape for p in pyramid.values()] == [
        (1, 48, 32, 6),
        (1, 24, 16, 6),
        (1, 12, 8, 6),
        (1, 6, 4, 6),
    ]
    np.testing.assert_array_equal(pyramid[5], pyramid[4][:, ::2, ::2])
    assert sorted(variables["params"]) == [
        "lateral2",
        "lateral3",
        "lateral4",
        "output2",
        "output3",
    ]


@pytest.mark.parametrize(("merge", "weight"), [("half", 0.5), ("add", 1.0)])
def test_merge_weights_both_terms(merge, weight):
    """All laterals give 1, the 3x3 picks its centre: level 3 = w (1 + 1)."""
    module = fpn.FPN(channels=1, min_level=3, merge=merge)
    variables = module.init(jax.random.key(0), STAGES)

    def fixed(path, leaf):
        name = jax.tree_util.keystr(path)
        if "bias" in name:
            return jnp.zeros_like(leaf)
        if "output" in name:
            return jnp.zeros_like(leaf).at[1, 1].set(1.0)
        return jnp.full_like(leaf, 1 / leaf.shape[2])

    variables = jax.tree_util.tree_map_with_path(fixed, variables)
    pyramid = module.apply(variables, STAGES)
    np.testing.assert_allclose(pyramid[4], 1.0, rtol=1e-6)
    np.testing.assert_allclose(pyramid[3], 2 * weight, rtol=1e-6)


def test_odd_sizes_are_upsampled_to_the_finer_level():
    odd = {2: jnp.ones((1, 25, 17, 2)), 3: jnp.ones((1, 13, 9, 2))}
    pyramid, _ = fpn.FPN(channels=2).init_with_output(jax.random.key(0), odd)
    assert pyramid[2].shape == (1, 25, 17, 2)
    assert pyramid[4].shape == (1, 7, 5, 2)
