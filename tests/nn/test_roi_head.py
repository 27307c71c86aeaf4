"""Shapes and types of the second stage's head."""

import jax
import jax.numpy as jnp

from cellrec_jax.nn import roi_head


def test_shapes_with_leading_axes_and_float32_outputs():
    head = roi_head.RoIHead(num_classes=3, channels=8, dtype=jnp.bfloat16)
    pooled = jnp.ones((2, 5, 4, 4, 6))
    (logits, deltas), variables = head.init_with_output(jax.random.key(0), pooled)
    assert (logits.shape, logits.dtype) == ((2, 5, 4), jnp.float32)
    assert (deltas.shape, deltas.dtype) == ((2, 5, 3, 4), jnp.float32)
    assert variables["params"]["fc1"]["kernel"].shape == (96, 8)
    assert jnp.abs(deltas).max() < 0.1  # starts near "no change"
