"""How kernels are compared: checked first, then timed in turn, then set against peaks.

A benchmark of a kernel is a list of cases: inputs of one size, and contestants that
compute the same from them. `measure` makes the rows. It leaves out, and names, whatever
gives a wrong result, needs too much memory or takes too long.
"""

from collections.abc import Callable, Iterable, Mapping
import dataclasses
import math
import time
from typing import Any

import jax
import numpy as np

from cellrec_jax.bench import machine, timing
from cellrec_jax.bench.contestants import (
    Contestant,
    has_torch,
    jitted,
    plain_copy,
    to_numpy,
    torch_peer,
    torch_value_and_grad,
)
from cellrec_jax.bench.report import Report, Row, Settings

__all__ = [
    "BOTH",
    "FORWARD",
    "Case",
    "Contestant",
    "has_torch",
    "jitted",
    "largest_difference",
    "measure",
    "plain_copy",
    "torch_peer",
    "torch_value_and_grad",
]

FORWARD = "forward"
BOTH = "forward + backward"
_REPEATS = 20
_MEMORY_SHARE = 0.25  # of the memory that there is
_OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "out of memory", "can't allocate memory")


@dataclasses.dataclass(frozen=True)
class Case:
    """One size of a kernel."""

    point: Mapping[str, Any]
    """Columns that name the size: {"scores": 10000}."""
    inputs: Callable[[], tuple[Any, ...]]
    """Draws the arguments; called once it is known that they fit."""
    contestants: Mapping[str, Contestant]
    expected: Callable[..., Any]
    """(*inputs) -> what every contestant shall return; any tree of arrays."""
    against: str
    """The contestant that ratios refer to."""
    direction: str = FORWARD
    tolerance: float = 1e-5
    """Largest error of an array, as a share of its largest magnitude."""
    read: Callable[[Any], Any] = lambda result: result
    """What of a result `expected` tells: the cost of a matching, say."""
    held_bytes: float = 0
    """Memory of the inputs, where they may not fit."""


class _Skipped(Exception):  # noqa: N818
    """Why a contestant is not timed."""


class _Wrong(Exception):  # noqa: N818
    """How a contestant's result differs, or how it failed."""


def measure(
    name: str,
    cases: Iterable[Case],
    settings: Settings,
    say: Callable[[str], None],
    *,
    x: str,
) -> Report:
    """Checks and times all cases.

    Args:
      name: of the benchmark, for `say`.
      cases: from small to large; the inputs of one are gone when the next starts.
      settings: `repeats` samples, 20 by default; `limit_s` a call; no case starts
        after `budget_s`.
      say: told what is being measured.
      x: the column of `Case.point` over which times are drawn.

    Returns:
      One row a contestant, in the order of the cases; notes on what was left out.
    """
    rows: list[Row] = []
    notes: list[str] = []
    wrong: list[str] = []
    slow: dict[tuple[str, ...], float] = {}
    begin = time.perf_counter()
    for case in cases:
        title = _title(case)
        if time.perf_counter() - begin > settings.budget_s:
            notes.append(f"skipped: {title}: no time left")
            continue
        say(f"{name}: {title}")
        calls = {}
        for entry, outcome in _enter(case, settings.limit_s, slow).items():
            if isinstance(outcome, timing.Call):
                calls[entry] = outcome
            elif isinstance(outcome, _Wrong):
                wrong.append(f"{title}, {entry}: {outcome}")
            else:
                notes.append(f"skipped: {title}, {entry}: {outcome}")
        found = timing.compare(calls, settings.repeats or _REPEATS, math.inf)
        rows += [_row(case, entry, calls[entry], found) for entry in calls]
    if not has_torch():
        notes.append("peers skipped: PyTorch is not installed")
    peaks = machine.peaks()._asdict()
    return Report(tuple(rows), tuple(notes), x=x, wrong=tuple(wrong), peaks=peaks)


def _enter(
    case: Case, limit_s: float, slow: dict[tuple[str, ...], float]
) -> dict[str, timing.Call | _Skipped | _Wrong]:
    """Name -> a checked call, or why there is none; adds to `slow`."""
    if too_large := _too_large(case.held_bytes):
        return dict.fromkeys(case.contestants, too_large)
    try:
        args = jax.block_until_ready(jax.device_put(case.inputs()))
        expected = case.expected(*args)
    except Exception as error:
        return dict.fromkeys(case.contestants, _failure(error))
    outcomes: dict[str, timing.Call | _Skipped | _Wrong] = {}
    texts = [value for value in case.point.values() if isinstance(value, str)]
    for name, contestant in case.contestants.items():
        # Work that took too long at a smaller size is not even tried.
        key = (name, case.direction, *texts)
        effort = max(contestant.flops, contestant.moved_bytes)
        if effort >= slow.get(key, math.inf):
            outcomes[name] = _Skipped("too slow at a smaller size")
            continue
        try:
            call, seconds = _check(case, contestant, args, expected)
        except (_Skipped, _Wrong) as outcome:
            outcomes[name] = outcome
            continue
        outcomes[name] = call
        if seconds > limit_s:
            slow[key] = effort
            outcomes[name] = _Skipped(f"{seconds:.2g} s a call")
    return outcomes


def _check(
    case: Case, contestant: Contestant, args: tuple[Any, ...], expected: Any
) -> tuple[timing.Call, float]:
    """Builds and warms up; returns the call and its seconds."""
    if too_large := _too_large(contestant.held_bytes):
        raise too_large
    try:
        call = contestant.build(*args)
        if too_large := _too_large(call.held_bytes):
            raise too_large
        begin = time.perf_counter()
        result = call.run()
        seconds = time.perf_counter() - begin
    except _Skipped:
        raise
    except Exception as error:
        raise _failure(error) from error
    if contestant.expected is None:
        difference = largest_difference(case.read(result), expected)
    else:
        difference = largest_difference(result, contestant.expected(*args))
    if not difference <= case.tolerance:  # NaN is wrong, too
        raise _Wrong(f"differs by {difference:.2g}, {case.tolerance:.2g} is allowed")
    return call, seconds


def _failure(error: Exception) -> _Skipped | _Wrong:
    """Out of memory is to be expected at some size; anything else is a fault."""
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, MemoryError) or any(s in str(error) for s in _OUT_OF_MEMORY):
        return _Skipped("out of memory")
    return _Wrong(f"failed: {type(error).__name__}: {text}")


def largest_difference(found: Any, expected: Any) -> float:
    """Largest error over all arrays of a tree, each against its largest magnitude.

    Args:
      found: tree of arrays or tensors.
      expected: the same in order and shape; containers may be of other types.

    Returns:
      0 where equal, infinity where shapes or numbers of arrays differ, NaN for NaN.

    Example:
      >>> largest_difference([np.array([3.0, 8.0])], (np.array([4.0, 8.0]),))
      0.125
    """
    pairs = (jax.tree.leaves(found), jax.tree.leaves(expected))
    if len(pairs[0]) != len(pairs[1]):
        return math.inf
    largest = 0.0
    for got, want in zip(*pairs, strict=True):
        got, want = to_numpy(got), to_numpy(want)
        if got.shape != want.shape:
            return math.inf
        if want.size:
            scale = np.max(np.abs(want)) or 1.0
            largest = np.maximum(largest, np.max(np.abs(got - want)) / scale)
    return float(largest)


def _too_large(held_bytes: float) -> _Skipped | None:
    room = _MEMORY_SHARE * machine.memory_bytes()
    if held_bytes <= room:
        return None
    return _Skipped(
        f"needs {held_bytes / 2**30:.1f} GiB, more than a quarter of the memory "
        f"({room / 2**30:.1f} GiB)"
    )


def _title(case: Case) -> str:
    sizes = ", ".join(f"{key} {value}" for key, value in case.point.items())
    return f"{sizes}, {case.direction}"


def _row(
    case: Case, name: str, call: timing.Call, found: Mapping[str, timing.Timing]
) -> Row:
    timed, contestant = found[name], case.contestants[name]
    reference = found.get(case.against)
    peaks = machine.peaks()
    gb_s = contestant.moved_bytes / timed.median_s / 1e9
    gflop_s = contestant.flops / timed.median_s / 1e9
    held_bytes = call.held_bytes or contestant.held_bytes
    return {
        **case.point,
        "direction": case.direction,
        "contestant": name,
        "median_ms": timed.median_s * 1e3,
        "iqr_ms": timed.iqr_s * 1e3,
        "low_ms": timed.low_s * 1e3,
        "high_ms": timed.high_s * 1e3,
        "repeats": timed.repeats,
        "compile_s": timed.compile_s,
        "against": case.against,
        "ratio": timed.median_s / reference.median_s if reference else None,
        "gb_s": gb_s,
        "of_copy": gb_s / peaks.copy_at(contestant.moved_bytes),
        "gflop_s": gflop_s or None,
        "of_matmul": gflop_s / peaks.matmul_gflop_s or None,
        "held_mib": held_bytes / 2**20 if held_bytes else None,
    }
