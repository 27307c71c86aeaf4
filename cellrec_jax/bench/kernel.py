"""The one runner of kernels: checks them first, times them in turn, names what is out.

A case has inputs of one size, and contestants that compute the same from them. What
gives a wrong result, needs too much memory or takes too long is left out, and named.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import math
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from cellrec_jax.bench import contestants, machine, timing
from cellrec_jax.bench.contestants import Contestant
from cellrec_jax.bench.report import Report, Row, Say, Settings

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
    contestants: Mapping[str, Contestant | Callable[..., Any]]
    """By name; a function is a `Contestant` of this form."""
    expected: Callable[..., Any]
    """(*inputs) -> what every contestant shall return forward; any tree of arrays."""
    against: str
    """The contestant that ratios refer to."""
    passes: Mapping[str, float]
    """Pass -> its operations; 0 where they are not known. `BOTH` takes the gradient of
    all contestants and of `expected` alike."""
    exact: bool = False
    """Whether `expected` is compiled with 64 bits enabled."""
    tolerance: float = 1e-4
    """Largest error of an array, as a share of its largest magnitude."""
    read: Callable[..., Any] = lambda result, *_: result
    """(result, *inputs) -> what of it `expected` tells: the cost of a matching, say."""
    held_bytes: float = 0
    """Memory of the inputs, where they may not fit."""

    @property
    def entries(self) -> dict[str, Contestant]:
        """The contestants that can take part."""
        return {
            name: one if isinstance(one, Contestant) else Contestant(one)
            for name, one in self.contestants.items()
            if contestants.has_torch() or not contestants.needs_torch(name)
        }


class Kernel(NamedTuple):
    """An entry of the table `kernels.KERNELS`."""

    x: str
    """The column of `Case.point` over which times are drawn."""
    cases: Callable[[Settings], Iterable[Case]]
    """From small to large; the inputs of one are gone when the next starts."""
    notes: Callable[[Sequence[Row]], Iterable[str]] = lambda _: ()
    """What the rows say."""


class _Checked(NamedTuple):
    """A call with the right result, and the work it does."""

    call: timing.Call
    moved_bytes: float  # least traffic: inputs read once, results written once
    flops: float
    held_bytes: float


class _Skipped(Exception):  # noqa: N818
    """Why a contestant is not timed."""


class _Wrong(Exception):  # noqa: N818
    """How a contestant's result differs, or how it failed."""


def measure(name: str, kernel: Kernel, settings: Settings, say: Say) -> Report:
    """Checks and times all cases of a kernel: a row a contestant, notes on what is out.

    `repeats` samples, 20 by default; `limit_s` a call; no case starts after `budget_s`.
    """
    rows: list[Row] = []
    notes: list[str] = []
    wrong: list[str] = []
    slow: dict[tuple[str, ...], float] = {}
    begin = time.perf_counter()
    for case, direction in ((c, d) for c in kernel.cases(settings) for d in c.passes):
        sizes = ", ".join(f"{key} {value}" for key, value in case.point.items())
        title = f"{sizes}, {direction}"
        if time.perf_counter() - begin > settings.budget_s:
            notes.append(f"skipped: {title}: no time left")
            continue
        say(f"{name}: {title}")
        checked = {}
        for entry, outcome in _enter(case, direction, settings.limit_s, slow).items():
            if isinstance(outcome, _Checked):
                checked[entry] = outcome
            elif isinstance(outcome, _Wrong):
                wrong.append(f"{title}, {entry}: {outcome}")
            else:
                notes.append(f"skipped: {title}, {entry}: {outcome}")
        rows += _time(case, direction, checked, settings.repeats or _REPEATS)
        settings.keep(Report(tuple(rows), tuple(notes), kernel.x, tuple(wrong)))
    if not contestants.has_torch():
        notes.append("peers skipped: PyTorch is not installed")
    notes = [*kernel.notes(rows), *notes]
    peaks = machine.peaks()._asdict()
    return Report(tuple(rows), tuple(notes), kernel.x, tuple(wrong), peaks)


def _enter(
    case: Case, direction: str, limit_s: float, slow: dict[tuple[str, ...], float]
) -> dict[str, _Checked | _Skipped | _Wrong]:
    """Name -> a checked call, or why there is none; adds to `slow`."""
    try:
        _require_room(case.held_bytes)
        args = jax.block_until_ready(jax.device_put(case.inputs()))
        expected = _expected(case, direction, args)
    except Exception as error:
        return dict.fromkeys(case.entries, _failure(error))
    outcomes: dict[str, _Checked | _Skipped | _Wrong] = {}
    texts = [value for value in case.point.values() if isinstance(value, str)]
    for name, one in case.entries.items():
        flops = case.passes[direction] if one.flops is None else one.flops
        # Work that took too long at a smaller size is not even tried.
        key, effort = (name, direction, *texts), max(flops, _bytes(args))
        if effort >= slow.get(key, math.inf):
            outcomes[name] = _Skipped("too slow at a smaller size")
            continue
        try:
            _require_room(one.held_bytes)
            call = contestants.build(name, one, direction == BOTH, args)
            _require_room(call.held_bytes)
            begin = time.perf_counter()
            result = call.run()
            seconds = time.perf_counter() - begin
            _check(case, one, args, result, expected)
        except Exception as error:
            outcomes[name] = _failure(error)
            continue
        moved_bytes = _bytes(args) + _bytes(result)
        held_bytes = call.held_bytes or one.held_bytes
        outcomes[name] = _Checked(call, moved_bytes, flops, held_bytes)
        if seconds > limit_s:
            slow[key] = effort
            outcomes[name] = _Skipped(f"{seconds:.2g} s a call")
    return outcomes


def _expected(case: Case, direction: str, args: tuple[Any, ...]) -> Any:
    function = case.expected
    if direction == BOTH:
        function = contestants.with_gradient(function)
    if not case.exact:
        return function(*args)
    with jax.enable_x64(True):
        return jax.block_until_ready(jax.jit(function)(*args))


def _check(
    case: Case, one: Contestant, args: tuple[Any, ...], result: Any, expected: Any
) -> None:
    result = jax.tree.map(contestants.to_host, result)
    if one.expected is None:
        difference = largest_difference(case.read(result, *args), expected)
    else:
        difference = largest_difference(result, one.expected(*args))
    if not difference <= case.tolerance:  # NaN is wrong, too
        raise _Wrong(f"differs by {difference:.2g}, {case.tolerance:.2g} is allowed")


def _failure(error: Exception) -> _Skipped | _Wrong:
    """Out of memory is to be expected at some size; anything else is a fault."""
    if isinstance(error, (_Skipped, _Wrong)):
        return error
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, MemoryError) or any(s in str(error) for s in _OUT_OF_MEMORY):
        return _Skipped("out of memory")
    return _Wrong(f"failed: {type(error).__name__}: {text}")


def largest_difference(found: Any, expected: Any) -> float:
    """Largest error over all arrays of a tree, each against its largest magnitude.

    Containers may differ. 0 where equal, infinity for other shapes or numbers of
    arrays, NaN for NaN.

    Example:
      >>> largest_difference([np.array([3.0, 8.0])], (np.array([4.0, 8.0]),))
      0.125
    """
    pairs = (jax.tree.leaves(found), jax.tree.leaves(expected))
    if len(pairs[0]) != len(pairs[1]):
        return math.inf
    largest = 0.0
    for arrays in zip(*pairs, strict=True):
        got, want = (np.asarray(array, np.float64) for array in arrays)
        if got.shape != want.shape:
            return math.inf
        if want.size:
            scale = np.max(np.abs(want)) or 1.0
            largest = np.maximum(largest, np.max(np.abs(got - want)) / scale)
    return float(largest)


def _require_room(held_bytes: float) -> None:
    room = _MEMORY_SHARE * machine.memory_bytes()
    if held_bytes > room:
        raise _Skipped(
            f"needs {held_bytes / 2**30:.1f} GiB, more than a quarter of the memory "
            f"({room / 2**30:.1f} GiB)"
        )


def _time(
    case: Case, direction: str, checked: Mapping[str, _Checked], repeats: int
) -> list[Row]:
    """Times what is right, in turn; one row each."""
    calls = {name: one.call for name, one in checked.items()}
    found = timing.compare(calls, repeats, math.inf)
    reference, peaks = found.get(case.against), machine.peaks()
    rows: list[Row] = []
    for name, (_, moved_bytes, flops, held_bytes) in checked.items():
        seconds = found[name].median_s
        gb_s, gflop_s = moved_bytes / seconds / 1e9, flops / seconds / 1e9
        rows.append(
            {
                **case.point,
                "direction": direction,
                "contestant": name,
                **found[name].columns(),
                "against": case.against,
                "ratio": seconds / reference.median_s if reference else None,
                "gb_s": gb_s,
                "of_copy": gb_s / peaks.copy_at(moved_bytes),
                "gflop_s": gflop_s or None,
                "of_matmul": gflop_s / peaks.matmul_gflop_s or None,
                "held_mib": held_bytes / 2**20 if held_bytes else None,
            }
        )
    return rows


def _bytes(tree: Any) -> float:
    return float(sum(leaf.nbytes for leaf in jax.tree.leaves(tree)))
