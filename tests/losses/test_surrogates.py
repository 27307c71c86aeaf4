import jax
import jax.numpy as jnp
from jax.test_util import check_grads
import numpy as np
import pytest

from cellrec_jax.losses import surrogates


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sigmoid", [0.880797, 0.5, 0.119203]),
        ("logistic", [2.126928, 0.693147, 0.126928]),
        ("zero_one", [1, 0.5, 0]),
    ],
)
def test_surrogates_by_hand(name, expected):
    # 1 / (1 + e^z) and log(1 + e^-z) at -2, 0 and 2.
    margins = jnp.array([-2.0, 0.0, 2.0])
    np.testing.assert_allclose(
        surrogates.SURROGATES[name](margins), expected, rtol=1e-5
    )


@pytest.mark.parametrize("name", sorted(surrogates.SURROGATES))
def test_surrogates_far_out_are_finite(name):
    margins = jnp.array([-1e4, -100.0, 0.0, 100.0, 1e4])
    surrogate = surrogates.SURROGATES[name]
    slopes = jax.vmap(jax.grad(surrogate))(margins)
    assert np.isfinite(surrogate(margins)).all()
    assert np.isfinite(slopes).all()
    assert (name != "zero_one") or not slopes.any()


def test_logistic_gradient():
    check_grads(surrogates.logistic, (jnp.array([-3.0, 0.0, 0.5]),), order=1, rtol=1e-2)
    assert jax.grad(jax.grad(surrogates.logistic))(0.0) == 0.25
