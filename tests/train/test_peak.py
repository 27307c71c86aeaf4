"""Operations of a step against a product that is counted by hand."""

import jax
import jax.numpy as jnp
import pytest

from cellrec_jax.train import parallel, peak


@pytest.mark.parametrize(
    ("kind", "tera"),
    [
        ("NVIDIA H200", 989),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("TPU v5 lite", 197),
        ("TPU v5p", 459),
    ],
)
def test_kinds_of_devices(kind, tera):
    assert peak.peak_flops(kind) == tera * 1e12


def test_a_product_at_the_peak(monkeypatch):
    kind = jax.local_devices()[0].device_kind
    num = jax.local_device_count()
    step = parallel.pmap_step(lambda state, batch, _: (state, batch @ state))
    state, key = parallel.place((jnp.ones((16, 32)), jnp.zeros(())))
    batch = parallel.shard(jnp.ones((8 * num, 16)))
    assert peak.step_seconds(step, state, batch, key) == 0  # of a CPU none is known
    monkeypatch.setattr(peak, "PEAKS", ((kind, 1e-12 * 1024),))
    found = peak.step_seconds(step, state, batch, key)
    assert found == pytest.approx(2 * 8 * 16 * 32 / 1024, rel=1e-3)
