"""How all benchmarks take time: compile apart, warm up, then A/B/A/B.

Compared forms are run in turn, so that a drift of the machine (a clock that falls,
another program) hits all of them; the ratio of two medians of one comparison means more
than either. Every call waits for its result: on an accelerator the time of a short
computation is mostly that of starting it.
"""

from collections.abc import Callable, Mapping
import dataclasses
import time
from typing import Any

import jax
import numpy as np

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


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds a call: median and interquartile range of the samples."""

    median_s: float
    iqr_s: float
    repeats: int
    compile_s: float = 0.0


def compile_call(function: Callable[..., Any], *args: Any) -> Call:
    """Compiles a function for its arguments.

    Args:
      function: pure; arrays in, arrays out.
      *args: passed at every call, moved to the default device first.

    Returns:
      The call, with the seconds that tracing and compiling took.
    """
    args = jax.block_until_ready(jax.device_put(args))
    begin = time.perf_counter()
    compiled = jax.jit(function).lower(*args).compile()
    seconds = time.perf_counter() - begin
    return Call(lambda: jax.block_until_ready(compiled(*args)), seconds)


def compare(
    calls: Mapping[str, Call], repeats: int, max_seconds: float = _MAX_SECONDS
) -> dict[str, Timing]:
    """Times several forms of one computation in turn, after one warm-up each.

    Args:
      calls: name -> form.
      repeats: samples of each form, at least 1.
      max_seconds: no further round is started after this, once there are 3.

    Returns:
      Name -> timing, in the order given.
    """
    numbers = {name: _calls_a_sample(call) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    begin = time.perf_counter()
    for done in range(repeats):
        late = time.perf_counter() - begin > max_seconds
        if late and done >= _MIN_REPEATS:
            break
        for name, call in calls.items():
            samples[name].append(_sample(call, numbers[name]))
    return {
        name: summarize(samples[name], call.compile_s) for name, call in calls.items()
    }


def summarize(samples: list[float], compile_s: float = 0.0) -> Timing:
    """Median and interquartile range.

    Example:
      >>> summarize([1.0, 2.0, 3.0, 4.0, 100.0])
      Timing(median_s=3.0, iqr_s=2.0, repeats=5, compile_s=0.0)
    """
    low, middle, high = np.percentile(samples, (25, 50, 75))
    return Timing(float(middle), float(high - low), len(samples), compile_s)


def _calls_a_sample(call: Call) -> int:
    if _sample(call, 1) > _LONG_S:  # the warm-up
        return 1
    return max(1, round(_MIN_SAMPLE_S / max(_sample(call, 1), 1e-9)))


def _sample(call: Call, number: int) -> float:
    begin = time.perf_counter()
    for _ in range(number):
        call.run()
    return (time.perf_counter() - begin) / number
