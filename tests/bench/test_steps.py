import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.bench import steps
from cellrec_jax.bench.report import Settings
from cellrec_jax.bench.staged import Staged
from cellrec_jax.train import flops


@pytest.mark.parametrize(
    ("start", "room", "found", "tried"),
    [
        (8, 40, 8, []),  # known already
        (64, 40, 32, [64, 32]),
        (32, 40, 32, [32]),
        (32, 9, 8, [32, 16]),
        (1024, 9, 8, [1024, 512, 256]),  # each takes time to compile
        (1024, 10**6, 1024, [1024]),
    ],
)
def test_largest_batch(start, room, found, tried):
    asked = []

    def fits(batch):
        asked.append(batch)
        return batch <= room

    assert steps.largest(fits, 8, start) == found
    assert asked == tried


def test_guess_of_the_largest_batch():
    assert steps.guess({2: 30.0, 8: 60.0}, 109.9) == 16
    assert steps.guess({2: 30.0, 8: 60.0}, 99.9) == 8
    assert steps.guess({2: 0.0, 8: 0.0}, 100.0) == 8  # not told


def test_trace_and_compilation_are_apart():
    staged = Staged(jax.jit(lambda x: jnp.sin(x) @ x))
    assert staged(jnp.eye(4)).shape == staged(jnp.ones((4, 4))).shape == (4, 4)
    assert staged.facts["trace_s"] > 0
    assert staged.facts["compile_s"] > 0
    assert staged.facts["flops"] == 2 * 4**3
    assert staged.facts["needs_bytes"] >= 2 * 4 * 16


def test_operations_are_counted_without_a_compilation():
    """As training does where the device's peak is known."""
    staged = Staged(jax.pmap(lambda x: x @ x))
    case = jnp.ones((1, 4, 4))
    assert flops.count(staged, case) == 2 * 4**3
    assert not staged.facts
    np.testing.assert_array_equal(staged(case), np.full((1, 4, 4), 4.0))
    assert staged.facts["flops"] == 2 * 4**3


def test_out_of_memory_ends_a_type_and_keeps_rows(monkeypatch):
    def measure(_, dtype, batch, *__):
        if batch == 8 and dtype == "bfloat16":
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 GiB")
        return {"dtype": dtype, "batch": batch, "needs_mib": 1.0}

    monkeypatch.setattr(steps, "_measure", measure)
    monkeypatch.setattr(steps, "experiment", lambda *_: None)
    kept = []
    settings = Settings(sizes=(2, 8, 16), keep=kept.append)
    report = steps.run(settings, lambda _: None)
    found = [(row["dtype"], row["batch"]) for row in report.rows]
    assert found == [("bfloat16", 2), *(("float32", n) for n in (2, 8, 16))]
    assert [len(one.rows) for one in kept] == [1, 2, 3, 4]
    assert len(report.notes) == 1


def test_other_errors_are_raised(monkeypatch):
    def measure(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: no")

    monkeypatch.setattr(steps, "_measure", measure)
    monkeypatch.setattr(steps, "experiment", lambda *_: None)
    with pytest.raises(jax.errors.JaxRuntimeError):
        steps.run(Settings(), lambda _: None)
