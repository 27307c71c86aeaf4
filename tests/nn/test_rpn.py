"""The proposal head's outputs follow the order of the anchors."""

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax.nn import rpn
from cellrec_jax.ops import anchors


def test_outputs_follow_the_anchors_order():
    """A feature that is 1 in one cell changes only that cell's anchors."""
    head = rpn.RPNHead(num_anchors=2, channels=4)
    feature = jnp.zeros((1, 5, 7, 3))
    variables = head.init(jax.random.key(0), feature)

    def centre_only(path, leaf):
        if "conv" in jax.tree_util.keystr(path) and leaf.ndim == 4:
            return jnp.zeros_like(leaf).at[1, 1].set(1.0)
        return leaf

    variables = jax.tree_util.tree_map_with_path(centre_only, variables)
    logits, deltas = head.apply(variables, feature.at[0, 2, 6].set(1.0))
    assert logits.shape == (1, 70, 2)
    assert deltas.shape == (1, 70, 4)
    changed = np.flatnonzero(np.abs(logits[0]).sum(axis=1))
    made = anchors.level_anchors((5, 7), 8, 16.0, [1.0, 2.0])
    centers = (made[changed, :2] + made[changed, 2:]) / 2
    np.testing.assert_array_equal(centers, [[16, 48], [16, 48]])


def test_bfloat16_features_give_float32_outputs():
    head = rpn.RPNHead(num_anchors=1, channels=4, dtype=jnp.bfloat16)
    outputs, _ = head.init_with_output(
        jax.random.key(0), jnp.ones((1, 2, 3, 3), jnp.bfloat16)
    )
    assert [x.dtype for x in outputs] == [jnp.float32, jnp.float32]
