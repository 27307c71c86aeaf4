"""The U-Net; what it has in common with others is in test_networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.nn import unet


@pytest.mark.slow
def test_evaluation_leaves_the_statistics_and_other_images_alone(rng):
    model = unet.UNet(1, width=2, norm="sync_batch")
    images = jnp.asarray(rng.normal(size=(2, 16, 32, 3)), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(0), images)
    apply = jax.jit(lambda image: model.apply(variables, image, mutable="batch_stats"))
    logits, new = apply(images)
    jax.tree.map(
        np.testing.assert_array_equal, new["batch_stats"], variables["batch_stats"]
    )
    np.testing.assert_allclose(apply(images[::-1])[0][1], logits[0], rtol=1e-5)
