"""The risk of `losses.pu` over several devices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import masking
from cellrec_jax.losses import pu


@pytest.mark.devices(4)
@pytest.mark.parametrize("estimator", pu.ESTIMATORS)
def test_four_devices_equal_one(estimator, rng):
    # Two batches, R^- above and below 0. Counts differ, one device has no positives and
    # one no unlabelled, and some devices alone would take the other side.
    features = rng.normal(size=(4, 10, 2)).astype(np.float32)
    kinds = rng.integers(-1, 2, (4, 10))
    kinds[1], kinds[2] = np.minimum(kinds[1], 0), np.maximum(kinds[2], 0)
    features[..., 0] += 2 * kinds
    options = {"estimator": estimator, "beta": 0.02, "gamma": 0.5}

    def loss_fn(weights, features, kinds):
        scores = features @ weights
        positive, unlabeled = kinds == 1, kinds == -1
        result = pu.pu_risk(scores, positive, unlabeled, 0.5, **options)
        return result.risk, result

    @functools.partial(jax.pmap, axis_name=masking.AXIS, in_axes=(None, 0, 0))
    def on_four(weights, features, kinds):
        grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
        outputs = grad_fn(weights, features, kinds)
        return jax.lax.pmean(outputs, masking.AXIS)

    on_one = jax.jit(jax.value_and_grad(loss_fn, has_aux=True))
    signs = []
    for weights in (jnp.array([1.0, 0.3]), jnp.array([-1.0, 0.3])):
        expected = on_one(weights, features.reshape(40, 2), kinds.reshape(40))
        (_, parts), _ = expected
        signs.append(bool(parts.negative_risk < -0.02))
        result = jax.tree.map(lambda leaf: leaf[0], on_four(weights, features, kinds))
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7),
            result,
            expected,
        )
    assert signs == [True, False]
