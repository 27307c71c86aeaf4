import time

import jax.numpy as jnp
import pytest

from cellrec_jax.bench import timing


def test_compile_call_returns_the_result_and_the_compile_time():
    call = timing.compile_call(lambda a, b: a @ b, jnp.ones((2, 3)), jnp.ones((3, 4)))
    assert call.compile_s > 0
    assert call.run().tolist() == [[3.0] * 4] * 2


def test_compare_takes_turns():
    seen = []
    calls = {
        name: timing.Call(lambda name=name: (seen.append(name), time.sleep(0.003)))
        for name in "ab"
    }
    found = timing.compare(calls, repeats=3)
    # Each form warms up and is timed once to choose the calls of a sample.
    assert "".join(seen) == "aabb" + "ab" + "ba" + "ba"
    assert list(found) == ["a", "b"]
    for timed in found.values():
        assert timed.repeats == 3
        assert 0.003 <= timed.median_s < 1.0
        assert timed.iqr_s >= 0.0


def test_short_calls_are_repeated_within_a_sample():
    seen = []
    timing.compare({"a": timing.Call(lambda: seen.append(0))}, repeats=1)
    assert len(seen) > 10


def test_a_slow_comparison_stops_after_three_rounds():
    calls = {"a": timing.Call(lambda: time.sleep(0.003))}
    found = timing.compare(calls, repeats=50, max_seconds=0.0)
    assert found["a"].repeats == 3


def test_compile_time_is_kept():
    calls = {"a": timing.Call(lambda: time.sleep(0.003), compile_s=1.5)}
    assert timing.compare(calls, repeats=1)["a"].compile_s == pytest.approx(1.5)


def test_order_changes_from_round_to_round():
    orders = ["".join(timing.turn(list("abc"), number)) for number in range(6)]
    assert orders == ["abc", "cba", "bca", "acb", "cab", "bac"]


def test_quartiles():
    timed = timing.summarize([5.0, 1.0, 2.0, 3.0, 4.0])
    assert (timed.low_s, timed.median_s, timed.high_s, timed.iqr_s) == (2, 3, 4, 2)
