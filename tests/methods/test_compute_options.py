import jax
import jax.numpy as jnp
import pytest

from cellrec_jax.methods.compute_options import ComputeOptions


@pytest.mark.parametrize(
    ("asked", "backend", "expected"),
    [
        ("auto", "cpu", jnp.float32),
        ("auto", "gpu", jnp.bfloat16),
        ("auto", "tpu", jnp.bfloat16),
        ("float32", "gpu", jnp.float32),
        ("bfloat16", "cpu", jnp.bfloat16),
    ],
)
def test_auto_is_half_where_that_is_fast(monkeypatch, asked, backend, expected):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert ComputeOptions(dtype=asked).activations == expected
