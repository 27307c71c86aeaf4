import time

import jax.numpy as jnp

from cellrec_jax.bench import timing


def test_compile_call_returns_the_result_and_the_compile_time():
    call = timing.compile_call(lambda a, b: a @ b, jnp.ones((2, 3)), jnp.ones((3, 4)))
    assert call.compile_s > 0
    assert call.held_bytes >= 4 * (6 + 12 + 8)
    assert call.run().tolist() == [[3.0] * 4] * 2


def test_compare_takes_turns():
    seen = []
    calls = {
        name: timing.Call(lambda name=name: (seen.append(name), time.sleep(0.003)), 1.5)
        for name in "ab"
    }
    found = timing.compare(calls, repeats=3)
    # Each form warms up and is timed once to choose the calls of a sample.
    assert "".join(seen) == "aabb" + "ab" + "ba" + "ba"
    for timed in found.values():
        assert (timed.repeats, timed.compile_s) == (3, 1.5)
        assert 0.003 <= timed.median_s < 1.0


def test_short_calls_are_repeated_within_a_sample():
    seen = []
    timing.compare({"a": timing.Call(lambda: seen.append(0))}, repeats=1)
    assert len(seen) > 10


def test_a_slow_comparison_stops_after_three_rounds():
    calls = {"a": timing.Call(lambda: time.sleep(0.003))}
    found = timing.compare(calls, repeats=50, max_seconds=0.0)
    assert found["a"].repeats == 3


def test_quartiles():
    timed = timing.summarize([5.0, 1.0, 2.0, 3.0, 4.0])
    assert (timed.low_s, timed.median_s, timed.high_s, timed.iqr_s) == (2, 3, 4, 2)
    columns = timed.columns()
    assert (columns["median_ms"], columns["iqr_ms"], columns["repeats"]) == (
        3e3,
        2e3,
        5,
    )
