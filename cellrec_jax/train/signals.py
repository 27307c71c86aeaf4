"""A signal at one of several processes ends all of them, at one step.

Every few steps a small all-reduce carries what each process has caught. It is waited
for when the next one is due, so that steps do not wait for it.
"""

from collections.abc import Callable
import signal
from typing import Any

import jax
import numpy as np

from cellrec_jax.io.console import Clock
from cellrec_jax.train import parallel
from cellrec_jax.workdir.interrupt import Interrupt

_EVERY_S = 1.0
_MOST = 1000  # steps between two looks

Known = Callable[[int, bool], signal.Signals | None]
"""(step, whether it is the last) -> the signal at which all processes stop there."""


def open_known(caught: Interrupt, clock: Clock) -> Known:
    """What all processes know of signals; of one process it is what it caught.

    All must call it at the same steps. The look at the last step is waited for at once.
    """
    if jax.process_count() == 1:
        return lambda *_: caught.signal
    largest = parallel.pmap_most()
    pending: Any = None
    due = 0

    def known(step: int, last: bool) -> signal.Signals | None:
        nonlocal pending, due
        if step < due and not last:
            return None
        told = (0, -1) if pending is None else _read(pending)
        own = np.array([caught.signal or 0, -_steps(clock)], np.int32)
        pending = largest(_on_each_device(own))
        if last and not told[0]:
            told = _read(pending)
        due = step + max(1, -told[1])
        return signal.Signals(told[0]) if told[0] else None

    return known


def _read(pending: Any) -> tuple[int, int]:
    number, steps = np.asarray(jax.device_get(pending)).tolist()
    return number, steps


def _steps(clock: Clock) -> int:
    """Steps of `_EVERY_S`; the slowest process decides."""
    return min(int(clock.pace.rate * _EVERY_S), _MOST) if clock.pace else 1


def _on_each_device(values: np.ndarray) -> Any:
    return parallel.shard(np.tile(values, (jax.local_device_count(), 1)))
