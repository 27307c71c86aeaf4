"""Fails loudly where JAX computes nonsense or the suite is set up wrongly."""

import jax
import jax.numpy as jnp
import numpy as np


def test_four_devices():
    # With fewer, every test of collectives would pass without testing anything.
    assert jax.device_count() == 4


def test_compiler_sums_squares_of_mapped_products():
    """JAX issue 39103: jax 0.10.2 returns wrong values under jit on CPUs."""
    index = np.arange(32_769, dtype=np.float32)
    rows = np.stack([index, 0 * index, 0 * index], axis=1)
    matrix = jnp.eye(3)

    def squares(rows):
        return jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2))(rows)

    # The rest of the tests is compiled with fewer optimisations.
    usual = {
        "xla_backend_optimization_level": 3,
        "xla_llvm_disable_expensive_passes": False,
        "xla_cpu_use_fusion_emitters": True,
    }
    expected = index.astype(np.float64) ** 2
    for compute in (squares, jax.jit(squares, compiler_options=usual)):
        result = np.asarray(compute(rows))
        assert result[-1] == 1073741824  # 32768 squared
        np.testing.assert_allclose(result, expected, rtol=1e-6)
