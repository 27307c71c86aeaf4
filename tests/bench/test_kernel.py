import math
import time

import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.bench import kernel, machine, timing
from cellrec_jax.bench.report import Settings

WORK = {"moved_bytes": 80.0, "flops": 10.0}
pytestmark = pytest.mark.usefixtures("quick_peaks")


def measure(contestants, *, size=10, settings=None, **case):
    made = kernel.Case(
        point={"numbers": size},
        inputs=lambda: (np.arange(size, dtype=np.float32),),
        contestants=contestants,
        expected=lambda x: 2 * np.asarray(x),
        against="add",
        **case,
    )
    settings = settings or Settings(repeats=2)
    return kernel.measure("test", [made], settings, lambda _: None, x="numbers")


def slow(seconds):
    def build(x):
        return timing.Call(lambda: (time.sleep(seconds), 2 * x)[1])

    return kernel.Contestant(build, **WORK)


ADD = kernel.jitted(lambda x: x + x, **WORK)


def test_rows_have_times_ratios_and_shares(quick_peaks):
    found = measure({"add": ADD, "times": slow(0.004)})
    add, times = found.rows
    assert (add["numbers"], add["direction"], add["contestant"]) == (
        10,
        "forward",
        "add",
    )
    assert add["ratio"] == 1
    assert times["ratio"] == pytest.approx(times["median_ms"] / add["median_ms"])
    assert 4 <= times["low_ms"] <= times["median_ms"] <= times["high_ms"]
    assert times["gb_s"] == pytest.approx(80e-6 / times["median_ms"])
    assert times["of_copy"] == pytest.approx(times["gb_s"] / 10)
    assert times["gflop_s"] == pytest.approx(10e-6 / times["median_ms"])
    assert times["of_matmul"] == pytest.approx(times["gflop_s"] / 100)
    assert add["compile_s"] > 0
    assert (add["repeats"], found.x, found.wrong) == (2, "numbers", ())
    assert found.peaks == quick_peaks._asdict()


def test_a_wrong_result_is_named_and_not_timed():
    wrong = kernel.jitted(lambda x: 2.01 * x, **WORK)
    shape = kernel.jitted(lambda x: x[1:], **WORK)
    nan = kernel.jitted(lambda x: x * jnp.nan, **WORK)
    found = measure({"add": ADD, "wrong": wrong, "shape": shape, "nan": nan})
    assert [row["contestant"] for row in found.rows] == ["add"]
    assert found.wrong == (
        "numbers 10, forward, wrong: differs by 0.005, 1e-05 is allowed",
        "numbers 10, forward, shape: differs by inf, 1e-05 is allowed",
        "numbers 10, forward, nan: differs by nan, 1e-05 is allowed",
    )


def test_read_tells_what_counts():
    shifted = kernel.jitted(lambda x: (x + x, x), **WORK)
    found = measure({"add": shifted}, read=lambda result: result[0])
    assert not found.wrong


def test_a_copy_is_held_to_its_own_result():
    found = measure({"add": ADD, "copy": kernel.plain_copy(80.0)})
    assert [row["contestant"] for row in found.rows] == ["add", "copy"]


def test_what_takes_too_long_is_left_out_now_and_at_larger_sizes():
    tried = []

    def build(x):
        tried.append(len(x))
        return timing.Call(lambda: (time.sleep(0.01), 2 * x)[1])

    cases = [
        kernel.Case(
            point={"numbers": size, "kind": kind},
            inputs=lambda size=size: (np.ones(size, np.float32),),
            contestants={"add": kernel.Contestant(build, moved_bytes=size, flops=0)},
            expected=lambda x: 2 * x,
            against="add",
        )
        for kind, size in (("a", 3), ("a", 5), ("b", 7))
    ]
    settings = Settings(repeats=1, limit_s=0.005)
    found = kernel.measure("test", cases, settings, lambda _: None, x="numbers")
    assert not found.rows
    assert tried == [3, 7]  # of another kind, so it may be fast
    assert "s a call" in found.notes[0]
    assert found.notes[1].endswith("add: too slow at a smaller size")


def test_what_does_not_fit_is_left_out(monkeypatch):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 4 * 2**30)
    held = kernel.Contestant(lambda _: None, **WORK, held_bytes=1.5 * 2**30)
    found = measure({"add": ADD, "held": held})
    assert [row["contestant"] for row in found.rows] == ["add"]
    assert found.notes[0] == (
        "skipped: numbers 10, forward, held: needs 1.5 GiB, more than a quarter of the "
        "memory (1.0 GiB)"
    )
    found = measure({"add": ADD}, held_bytes=2**31)
    assert not found.rows
    assert "needs 2.0 GiB" in found.notes[0]


@pytest.mark.parametrize("text", ["RESOURCE_EXHAUSTED: 9 GiB", "CUDA out of memory."])
def test_out_of_memory_is_left_out(text):
    def build(_):
        raise RuntimeError(text)

    found = measure({"add": ADD, "large": kernel.Contestant(build, **WORK)})
    assert found.notes[0].endswith("large: out of memory")
    assert not found.wrong


def test_a_failure_is_named_and_the_others_go_on():
    def broken(_):
        raise RuntimeError("broken\nat line 3")

    found = measure({"broken": kernel.Contestant(broken, **WORK), "add": ADD})
    assert found.wrong == ("numbers 10, forward, broken: failed: RuntimeError: broken",)
    assert [row["contestant"] for row in found.rows] == ["add"]


def test_no_case_starts_when_the_time_is_over():
    found = measure({"add": ADD}, settings=Settings(repeats=1, budget_s=0.0))
    assert not found.rows
    assert found.notes[0] == "skipped: numbers 10, forward: no time left"


def test_unknown_operations_have_no_share():
    copy = kernel.plain_copy(80.0)
    rows = measure({"add": ADD, "copy": copy}).rows
    assert rows[0]["of_matmul"] > 0
    assert rows[1]["gflop_s"] is rows[1]["of_matmul"] is None


def test_no_ratio_without_the_contestant_that_it_refers_to():
    (row,) = measure({"times": slow(0.0)}).rows
    assert row["ratio"] is None


def test_largest_difference():
    found = kernel.largest_difference
    assert found([np.array([3.0, 8.0])], (np.array([4.0, 8.0]),)) == 0.125
    assert found(np.zeros(2), np.zeros(2)) == 0
    assert found(np.ones(2), np.zeros(2)) == 1
    assert found([1.0, 2.0], [1.0]) == math.inf
    assert math.isnan(found([np.array([np.nan, 0.0]), 1.0], [np.ones(2), 1.0]))
    assert found(np.zeros(0), np.zeros(0)) == 0
