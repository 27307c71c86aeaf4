"""Counts of collectives, of texts by hand and of a step that has some."""

import json

import jax
import jax.numpy as jnp
import pytest

from cellrec_jax import masking, methods
from cellrec_jax.bench import collectives, experiments
from cellrec_jax.train import parallel

COMPILED = """
%add { ... }
  %all-reduce.1 = f32[64]{0} all-reduce(%a), channel_id=1, to_apply=%add
  %r = (bf16[2,3]{1,0}, f32[], pred[5]{0}) all-reduce-start(%b, %c, %d), channel_id=2
  %e = f32[] all-reduce-done(%r)
  %f = f32[9]{0} add(%all-reduce.1, %all-reduce.1)
"""


def test_compiled_by_hand():
    """64 x 4 bytes, then 6 x 2 + 4 + 5 in one collective."""
    assert collectives.done(COMPILED) == (2, 4, 256 + 21)


@pytest.mark.devices(4)
def test_a_step_of_three_arrays():
    """Means of three, a sum, and one whose result nobody needs."""

    def step(state, batch, key):
        del key
        means = jax.lax.pmean((state["w"] + batch[0], state["v"], batch), masking.AXIS)
        masking.device_mean(batch[0] * 2)
        return means, {"sum": jax.lax.psum(jnp.sum(batch), masking.AXIS)}

    mapped = parallel.pmap_step(step, jax.devices()[:4])
    state = {"w": jnp.ones((2, 3)), "v": jnp.ones(5, jnp.bfloat16)}
    lowered = mapped.lower(state, jnp.ones((4, 7)), jax.random.key(0))
    size = 6 * 4 + 5 * 2 + 7 * 4 + 4
    needed = collectives.asked(lowered.as_text())
    assert needed.size - size in (0, 4)  # what is not needed may be gone before
    assert needed.number - 4 == (needed.size - size) // 4
    compiled = collectives.done(lowered.compile().as_text())
    assert compiled.number <= needed.number
    assert compiled.size >= 6 * 4 + 7 * 4 + 4  # `v` is alike on all


def test_presets_are_those_that_train_by_gradients():
    pytest.importorskip("ml_collections")
    demos, every = list(collectives.presets("demo")), list(collectives.presets("all"))
    assert {flag.partition(":")[2] for flag in demos} == {"demo"}
    assert set(demos) < set(every)
    assert not any("vicar" in flag or "blob" in flag for flag in every)
    assert list(collectives.presets("a:b,c")) == ["a:b", "c"]


@pytest.mark.slow
@pytest.mark.devices(4)
def test_the_table_of_a_preset(tmp_path, monkeypatch, capsys):
    """Every gradient travels; what it compiles to carries no less."""
    fields = {
        "method": "density_map",
        "model": {"network": "fcrn_a", "width": 2, "window_px": 3},
        "data": {"size_hw": (32, 48)},
    }
    small = methods.freeze(fields)
    monkeypatch.setattr(experiments, "load", lambda _: small)
    path = tmp_path / "figures.json"
    assert collectives.command(["--presets", "tiny", "--json", str(path)]) == 0
    (row,) = json.loads(path.read_text())["results"]["collectives"]["rows"]
    assert row["preset"] == "tiny"
    assert row["asked_mib"] * 2**20 >= 4 * row["parameters"]
    assert 0 < row["compiled"] <= row["asked"]
    assert "asked" in capsys.readouterr().out
