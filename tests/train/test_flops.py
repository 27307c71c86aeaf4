"""Operations of a program, counted by hand."""

import jax
from jax import lax
import jax.numpy as jnp
import pytest

from cellrec_jax.ops import convolution
from cellrec_jax.train import flops


def test_products():
    a, b = jnp.ones((2, 3, 4)), jnp.ones((2, 4, 5))
    assert flops.count(jnp.matmul, a, b) == 2 * 2 * 3 * 4 * 5


def test_loops_branches_and_what_is_called():
    x = jnp.ones((4, 4))
    one = 2 * 4**3

    def scanned(x):
        return lax.scan(lambda y, _: (jax.jit(jnp.matmul)(y, x), None), x, length=7)[0]

    def branched(x):
        return lax.cond(x[0, 0] > 0, lambda x: x @ x @ x, lambda x: x, x)

    assert flops.count(scanned, x) == 7 * one
    assert flops.count(branched, x) == 2 * one
    assert (
        flops.count(
            lambda x: lax.fori_loop(0, x[0, 0].astype(int), lambda _, y: y @ x, x), x
        )
        == one
    )
    assert flops.count(jax.checkpoint(jnp.matmul), x, x) == one


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "convolve", [lax.conv_general_dilated, convolution.conv_general_dilated]
)
def test_a_convolution_and_its_gradients_cost_the_same(convolve, stride):
    """A product of each output px with the window it sees, three times."""
    x, kernel = jnp.ones((2, 32, 32, 24)), jnp.ones((3, 3, 24, 40))
    options = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}

    def loss(x, kernel):
        return jnp.sum(convolve(x, kernel, (stride, stride), "SAME", **options))

    once = 2 * (2 * (32 // stride) ** 2 * 40) * (3 * 3 * 24)
    assert flops.count(loss, x, kernel) == once
    found = flops.count(jax.grad(loss, (0, 1)), x, kernel)
    assert found == pytest.approx(3 * once, rel=0.05)
