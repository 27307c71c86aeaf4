"""What a program holds of functions that differ by platform."""

import jax
import jax.numpy as jnp
import pytest

from cellrec_jax.ops import platform

FUNCTIONS = {"cpu": jnp.sin, "gpu": jnp.cos, "tpu": jnp.tanh}
OPERATIONS = ("stablehlo.sine", "stablehlo.cosine", "stablehlo.tanh")


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("cpu", "stablehlo.sine"),
        ("cuda", "stablehlo.cosine"),
        ("rocm", "stablehlo.cosine"),
        ("tpu", "stablehlo.tanh"),
    ],
)
def test_a_program_is_of_its_platform_alone(name, operation):
    traced = jax.jit(lambda x: platform.dependent(FUNCTIONS, x)).trace(jnp.ones(3))
    text = traced.lower(lowering_platforms=(name,)).as_text()
    assert [one for one in OPERATIONS if one in text] == [operation]
