"""How all benchmarks take time: compile apart, warm up, then in turn.

A drift of the machine so hits all forms: the ratio of two medians of one comparison
means more than either. The order changes, so that none always runs in the cache that
the same other leaves. Every call waits for its result: on an accelerator a short
computation is mostly its start.
"""

from collections.abc import Callable, Mapping
import dataclasses
import time
from typing import Any

import jax
import numpy as np

REPEATS = 7
"""Samples of what takes long; kernels have more, see `kernel`."""
_MIN_SAMPLE_S = 0.002  # shorter calls are repeated within a sample: clocks are coarse
_LONG_S = 0.1  # longer calls are not tried twice to choose their number
_MAX_SECONDS = 30.0  # a comparison stops after this, with at least ...
_MIN_REPEATS = 3  # ... so many samples


@dataclasses.dataclass(frozen=True)
class Call:
    """Something to time: calling it does the work and waits for the result."""

    run: Callable[[], Any]
    compile_s: float = 0.0
    """Seconds it took to compile; 0 where nothing is compiled."""
    held_bytes: int = 0
    """Memory at the peak: arguments, result and what lies between; 0 if not known."""


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds a call: the quartiles of the samples."""

    median_s: float
    low_s: float
    high_s: float
    repeats: int
    compile_s: float = 0.0

    @property
    def iqr_s(self) -> float:
        """Interquartile range."""
        return self.high_s - self.low_s

    def columns(self) -> dict[str, float]:
        """All of it as columns of a row, in ms."""
        return {
            "median_ms": self.median_s * 1e3,
            "iqr_ms": self.iqr_s * 1e3,
            "low_ms": self.low_s * 1e3,
            "high_ms": self.high_s * 1e3,
            "repeats": self.repeats,
            "compile_s": self.compile_s,
        }


def compile_call(
    function: Callable[..., Any],
    *args: Any,
    wait: Callable[[Any], Any] = jax.block_until_ready,
) -> Call:
    """Compiles a function for its arguments, though it was compiled before.

    Arguments are passed at every call as they are; `wait` gets the result.
    """
    begin = time.perf_counter()
    compiled = jax.jit(lambda *args: function(*args)).lower(*args).compile()
    seconds = time.perf_counter() - begin
    found: Any = compiled.memory_analysis()  # some platforms do not say
    held_bytes = found and (
        found.argument_size_in_bytes
        + found.output_size_in_bytes
        + found.temp_size_in_bytes
    )
    return Call(lambda: wait(compiled(*args)), seconds, held_bytes or 0)


def compare(
    calls: Mapping[str, Call], repeats: int, max_seconds: float = _MAX_SECONDS
) -> dict[str, Timing]:
    """Times forms, name -> call, in turn, after one warm-up each; keeps their order.

    `repeats` >= 1 samples; after 3 no further round starts beyond `max_seconds`.
    """
    numbers = {name: _calls_a_sample(call) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    begin = time.perf_counter()
    for done in range(repeats):
        late = time.perf_counter() - begin > max_seconds
        if late and done >= _MIN_REPEATS:
            break
        for name in turn(list(calls), done):
            samples[name].append(_sample(calls[name], numbers[name]))
    return {
        name: summarize(samples[name], call.compile_s) for name, call in calls.items()
    }


def turn(names: list[str], round_number: int) -> list[str]:
    """Order of one round: there, back, and one further for the next two rounds.

    Example:
      >>> ["".join(turn(["a", "b", "c"], number)) for number in range(4)]
      ['abc', 'cba', 'bca', 'acb']
    """
    first = round_number // 2 % max(len(names), 1)
    order = names[first:] + names[:first]
    return order[::-1] if round_number % 2 else order


def summarize(samples: list[float], compile_s: float = 0.0) -> Timing:
    """Median and quartiles.

    Example:
      >>> summarize([1.0, 2.0, 3.0, 4.0, 100.0])
      Timing(median_s=3.0, low_s=2.0, high_s=4.0, repeats=5, compile_s=0.0)
    """
    low, middle, high = map(float, np.percentile(samples, (25, 50, 75)))
    return Timing(middle, low, high, len(samples), compile_s)


def _calls_a_sample(call: Call) -> int:
    if _sample(call, 1) > _LONG_S:  # the warm-up
        return 1
    return max(1, round(_MIN_SAMPLE_S / max(_sample(call, 1), 1e-9)))


def _sample(call: Call, number: int) -> float:
    begin = time.perf_counter()
    for _ in range(number):
        call.run()
    return (time.perf_counter() - begin) / number
