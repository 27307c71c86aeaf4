import jax
import jax.numpy as jnp

from cellrec_jax.bench import steps, trace
from cellrec_jax.bench.report import Settings


def test_steps_are_traced_into_the_folder(tmp_path, monkeypatch):
    double = jax.jit(lambda x: 2 * x)
    done = []

    def advance(number):
        done.append(number)
        jax.block_until_ready(double(jnp.ones(4)))

    monkeypatch.setattr(steps, "experiment", lambda *_: None)
    monkeypatch.setattr(
        trace.train_lib,
        "begin",
        lambda _, batch: trace.train_lib.Training(advance, batch, dict, str),
    )
    settings = Settings(steps=3, trace=tmp_path / "trace")
    (row,) = trace.run(settings, lambda _: None).rows
    assert done == [1, 1, 3]
    assert row["steps"] == 3
    assert (settings.trace / row["file"]).stat().st_size > 0
