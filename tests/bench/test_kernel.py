import dataclasses
import math
import time

import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.bench import kernel, machine, timing
from cellrec_jax.bench.contestants import COPY, Contestant
from cellrec_jax.bench.report import Settings


def case(contestants, size=10, **others):
    return kernel.Case(
        point={"numbers": size},
        inputs=lambda: (np.arange(size, dtype=np.float32),),
        contestants=contestants,
        expected=lambda x: 2 * x,
        against="add",
        passes={kernel.FORWARD: 10.0},
        **others,
    )


def measure(*cases, **settings):
    made = kernel.Kernel("numbers", lambda _: cases)
    settings = Settings(**{"repeats": 2, **settings})
    return kernel.measure("test", made, settings, lambda _: None)


def slow(seconds):
    def build(_, x):
        return timing.Call(lambda: (time.sleep(seconds), 2 * x)[1])

    return Contestant(build=build)


def add(x):
    return x + x


def test_rows_have_times_ratios_and_shares(quick_peaks):
    found = measure(case({"add": add, "times": slow(0.004)}))
    first, times = found.rows
    assert (first["numbers"], first["contestant"], first["ratio"]) == (10, "add", 1)
    assert times["ratio"] == pytest.approx(times["median_ms"] / first["median_ms"])
    assert 4 <= times["low_ms"] <= times["median_ms"] <= times["high_ms"]
    assert times["gb_s"] == pytest.approx(80e-6 / times["median_ms"])
    assert times["of_copy"] == pytest.approx(times["gb_s"] / 10)
    assert times["gflop_s"] == pytest.approx(10e-6 / times["median_ms"])
    assert times["of_matmul"] == pytest.approx(times["gflop_s"] / 100)
    assert first["compile_s"] > 0
    assert (first["repeats"], found.x, found.wrong) == (2, "numbers", ())
    assert found.peaks == quick_peaks._asdict()


def test_gradients_are_compared_too():
    made = case({"add": add, "thrice": lambda x: jnp.sum(3 * x)})
    both = dataclasses.replace(
        made, passes={kernel.BOTH: 0.0}, expected=lambda x: jnp.sum(2 * x) * 1.5
    )
    found = measure(both)
    assert [row["contestant"] for row in found.rows] == ["thrice"]
    assert len(found.wrong) == 1  # of squares


def test_a_wrong_result_is_named_and_not_timed():
    found = measure(
        case(
            {
                "add": add,
                "wrong": lambda x: 2.01 * x,
                "shape": lambda x: x[1:],
                "nan": lambda x: x * jnp.nan,
            }
        )
    )
    assert [row["contestant"] for row in found.rows] == ["add"]
    differences = [text.split("differs by ")[1].split(",")[0] for text in found.wrong]
    assert differences == ["0.005", "inf", "nan"]


def test_a_copy_is_held_to_its_own_result_and_has_no_operations():
    rows = measure(case({"add": add, "copy": COPY})).rows
    assert [row["contestant"] for row in rows] == ["add", "copy"]
    assert rows[0]["of_matmul"] > 0
    assert rows[1]["gflop_s"] is rows[1]["of_matmul"] is None


def test_what_takes_too_long_is_left_out_now_and_at_larger_sizes():
    found = measure(
        case({"add": slow(0.01)}), case({"add": slow(0.0)}, size=20), limit_s=0.005
    )
    assert not found.rows
    assert "s a call" in found.notes[0]
    assert found.notes[1].endswith("add: too slow at a smaller size")


def test_what_does_not_fit_is_left_out(monkeypatch):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 4 * 2**30)
    held = Contestant(add, held_bytes=1.5 * 2**30)
    found = measure(case({"add": add, "held": held}))
    assert [row["contestant"] for row in found.rows] == ["add"]
    assert "held: needs 1.5 GiB" in found.notes[0]
    assert not measure(case({"add": add}, held_bytes=2**31)).rows


def test_failures_are_named_and_the_others_go_on():
    def broken(text):
        def build(*_):
            raise RuntimeError(text)

        return Contestant(build=build)

    large, bad = broken("RESOURCE_EXHAUSTED: 9 GiB"), broken("broken\nat line 3")
    found = measure(case({"bad": bad, "large": large, "add": add}))
    assert found.wrong == ("numbers 10, forward, bad: failed: RuntimeError: broken",)
    assert found.notes[0].endswith("large: out of memory")
    assert [row["contestant"] for row in found.rows] == ["add"]


def test_no_case_starts_when_the_time_is_over():
    assert not measure(case({"add": add}), budget_s=0.0).rows


def test_no_ratio_without_the_contestant_that_it_refers_to():
    (row,) = measure(case({"times": slow(0.0)})).rows
    assert row["ratio"] is None


def test_largest_difference():
    found = kernel.largest_difference
    assert found([np.array([3.0, 8.0])], (np.array([4.0, 8.0]),)) == 0.125
    assert found(np.zeros(2), np.zeros(2)) == 0
    assert found(np.ones(2), np.zeros(2)) == 1
    assert found([1.0, 2.0], [1.0]) == math.inf
    assert math.isnan(found([np.array([np.nan, 0.0]), 1.0], [np.ones(2), 1.0]))
    assert found(np.zeros(0), np.zeros(0)) == 0
