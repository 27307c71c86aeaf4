"""Several steps a call give the numbers of single steps, and need no host between."""

import chex
import jax
import numpy as np
import pytest

from cellrec_jax import methods
from cellrec_jax.config.training import MOST_STEPS
from cellrec_jax.data import feed, sets
from cellrec_jax.io.console import Clock, Pace
from cellrec_jax.train import calls as calls_lib
from cellrec_jax.train import start as start_lib
from cellrec_jax.train import step as step_lib

_STEPS = 5


@pytest.fixture(scope="module")
def small(map_experiment):
    """Crops and turns, with draws by position in the batch."""
    data = {"crop_hw": (16, 16), "turn": True, "scale_jitter": 0.2}
    changes = {f"data.{name}": value for name, value in data.items()}
    return methods.changed(map_experiment, {"total_steps": _STEPS, **changes})


def _trained(experiment, numbers):
    """The state and the losses after calls of so many steps."""
    data = sets.open_sets(experiment.data, experiment.seed)
    stream = feed.open_feed(experiment, data.train).stream
    method = methods.build(experiment, 1)
    state = start_lib.make_state(experiment, method)
    clock = Clock(0)
    program = step_lib.program(experiment, method)
    calls, state = calls_lib.open_calls(experiment, program, stream, state, clock)
    done, losses = 0, []
    for number in numbers:
        assert number <= calls.most(clock)
        with jax.transfer_guard("disallow"):
            state, metrics = calls.advance(state, done, number)
        done += number
        losses.extend(np.atleast_1d(jax.device_get(metrics)["loss"][0])[:number])
    assert int(state.step) == done
    return jax.device_get(state), losses


def test_calls_of_any_length_equal_single_steps(small, count_compilations):
    single, expected = _trained(small, [1] * _STEPS)
    several = methods.changed(small, {"train.steps_per_call": 3})
    with count_compilations() as found:
        for numbers in ([3, 2], [1, 3, 1]):
            state, losses = _trained(several, numbers)
            np.testing.assert_allclose(losses, expected, rtol=1e-5)
            chex.assert_trees_all_close(state, single, rtol=1e-4, atol=1e-6)
    assert found.steps == 1, found.names


def test_calls_of_steps_in_parts_equal_single_steps(small):
    """Two images a device, one after the other; their numbers of cells differ."""
    whole = methods.changed(small, {"batch_size": 8})
    parts = {"train.steps_per_call": 3, "train.accumulate": 2}
    single, expected = _trained(whole, [1] * 3)
    state, losses = _trained(methods.changed(whole, parts), [2, 1])
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    chex.assert_trees_all_close(state, single, rtol=1e-4, atol=1e-6)


def test_images_that_the_device_does_not_hold_are_fed(small):
    """Step by step, with the same numbers."""
    several = methods.changed(small, {"train.steps_per_call": 3})
    fed = methods.changed(several, {"data.loader": "tf"})
    single, expected = _trained(fed, [1] * 2)
    state, losses = _trained(several, [2])
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    chex.assert_trees_all_close(state, single, rtol=1e-4, atol=1e-6)


def test_a_call_takes_half_a_second(monkeypatch):
    """At 20 steps a second 10; one until they are timed, and at most what it holds."""
    for pace, expected in (
        (None, 1),
        (Pace(20.0), 10),
        (Pace(0.1), 1),
        (Pace(1e4), MOST_STEPS),
    ):
        monkeypatch.setattr(Clock, "pace", pace)
        assert calls_lib._fitting(Clock(0)) == expected
