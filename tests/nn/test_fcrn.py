"""FCRN-B; what it has in common with others is in test_networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.nn import fcrn


@pytest.mark.slow
def test_b_has_single_peaks(rng):
    """The last enlargement does not leave squares of equal px."""
    model = fcrn.FCRN(1, "b", width=2)
    image = jnp.asarray(rng.normal(size=(1, 16, 24, 3)), jnp.float32)
    logits, _ = jax.jit(model.init_with_output)(jax.random.key(0), image)
    assert np.abs(np.diff(logits, axis=1)).min() > 0
