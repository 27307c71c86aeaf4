"""The ResUNet; what it has in common with others is in test_networks."""

import jax.numpy as jnp
import numpy as np

from cellrec_jax.nn import res_unet


def test_enlarge_puts_a_product_with_each_tap_on_each_px(rng):
    kernel, bias = rng.normal(size=(2, 2, 3, 3)), rng.normal(size=3)
    image = rng.normal(size=(1, 2, 4, 3))
    expected = np.zeros((1, 4, 8, 3))
    for y in range(4):
        for x in range(8):
            expected[0, y, x] = image[0, y // 2, x // 2] @ kernel[y % 2, x % 2] + bias
    params = {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
    out = res_unet.Enlarge().apply({"params": params}, jnp.asarray(image))
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
