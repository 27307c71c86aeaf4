"""What one call of the compiled program does: a step of a batch, or several steps.

Several steps need no host in between: every device holds all training images and
gathers each step's batch. What the host has to do, it does between calls.
"""

import collections
from collections.abc import Callable, Iterable, Iterator
import itertools
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from cellrec_jax import hosts
from cellrec_jax.config import Experiment
from cellrec_jax.config.training import MOST_STEPS
from cellrec_jax.data.stream import Stream
from cellrec_jax.io.console import Clock
from cellrec_jax.train import accumulate, parallel, peak
from cellrec_jax.train.step import Program
from cellrec_jax.types import Metrics, TrainState

_CALL_S = 0.5  # that a call should take, where the device is fast
_AHEAD = 2  # batches on their way to the device while a step is done

T = TypeVar("T")


class Calls(NamedTuple):
    """How training calls its program."""

    advance: Callable[[TrainState, int, int], tuple[TrainState, Metrics]]
    """(state, its step, steps to do) -> the state after, sums and counts of each: of
    several steps arrays [MOST_STEPS]; those that were not done are 0."""
    most: Callable[[Clock], int]
    """Steps that a call should do at most."""


def notes(experiment: Experiment, stream: Stream) -> Iterator[str]:
    """What the user should know, one line each."""
    yield from accumulate.notes(experiment)
    asked = experiment.train.steps_per_call
    if asked > 1 and stream.held is None:
        yield (
            f"--config.train.steps_per_call={asked} is ignored: images are fed step by "
            "step; a larger --config.data.device_mib holds them on the device"
        )


def open_calls(
    experiment: Experiment,
    program: Program,
    stream: Stream,
    state: TrainState,
    clock: Clock,
) -> tuple[Calls, TrainState]:
    """Chooses what a call does, and places the state for it.

    `train.steps_per_call` steps where the device holds the images, else one; 0 is as
    many as take about half a second, on CPUs one. The clock learns what a step takes at
    the device's peak.
    """
    asked = experiment.train.steps_per_call
    single = asked == 1 or (not asked and jax.default_backend() == "cpu")
    start = int(state.step)
    state, key = parallel.place((state, jax.random.key(experiment.seed)))
    if single or stream.held is None:
        return _fed(program.compiled, stream, state, start, key, clock), state
    return _held(program.several, stream, state, start, key, clock, asked), state


def _fed(
    step: Callable[..., Any],
    stream: Stream,
    state: TrainState,
    start: int,
    key: jax.Array,
    clock: Clock,
) -> Calls:
    """One step a call, of a batch that the host hands over."""
    placed = map(parallel.shard, stream.batches(start))
    batches = clock.waiting(ahead(placed, _AHEAD))
    first = next(batches)
    clock.step_at_peak = peak.step_seconds(step, state, first, key)
    batches = itertools.chain([first], batches)
    return Calls(lambda state, *_: step(state, next(batches), key), lambda _: 1)


def ahead(items: Iterable[T], number: int) -> Iterator[T]:
    """Takes `number` items before they are asked for, so that their copies go on.

    An error is raised where its item would have been.
    """
    taken: collections.deque[T] = collections.deque()
    source, failed = iter(items), None
    while True:
        try:
            while failed is None and len(taken) <= number:
                taken.append(next(source))
        except Exception as error:
            failed = error
        if taken:
            yield taken.popleft()
        elif isinstance(failed, StopIteration):
            return
        elif failed is not None:
            raise failed


def _held(
    steps: Callable[..., Any],
    stream: Stream,
    state: TrainState,
    start: int,
    key: jax.Array,
    clock: Clock,
    asked: int,
) -> Calls:
    """Several steps a call, of images that every device holds."""
    held = parallel.replicate(stream.held)

    def arguments(step: int, number: int) -> tuple[Any, ...]:
        assert stream.rows is not None  # where images are held
        rows, positions = stream.rows(range(step, step + number))
        rows = np.pad(rows, ((0, MOST_STEPS - number), (0, 0)))
        drawn = parallel.shard((rows.T, positions))
        return held, drawn, parallel.replicate(np.int32(number)), key

    clock.step_at_peak = peak.step_seconds(steps, state, *arguments(start, 1))
    return Calls(
        lambda state, *when: steps(state, *arguments(*when)),
        lambda clock: asked or _fitting(clock),
    )


def _fitting(clock: Clock) -> int:
    """Steps of `_CALL_S`; one until their pace is known. Equal on all processes."""
    number = max(int(_CALL_S * clock.pace.rate), 1) if clock.pace else 1
    return min(int(hosts.from_first(np.int32(number))), MOST_STEPS)
