"""Parts of the loop; the whole is tested in test_run."""

import time

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.train import loop


class _Manager:
    def latest_step(self):
        return 20


def test_metrics_are_sums_over_counts():
    rows = [
        {"loss": (np.float32(2), np.float32(2)), "energy": (0.5, 1.0), "none": (0, 0)},
        {"loss": (np.float32(4), np.float32(1)), "energy": (2.5, 4.0), "none": (0, 0)},
    ]
    pending = list(rows)
    assert loop._drain(pending, 2, _Manager()) == {"loss": 2.0, "energy": 0.6}
    assert pending == []


def test_the_first_bad_step_is_named():
    rows = [{"loss": (value, 1.0)} for value in (1.0, np.nan, np.inf)]
    with pytest.raises(
        errors.RunError, match="loss is nan at step 29; the last good checkpoint"
    ):
        loop._drain(rows, 30, _Manager())


def test_the_clock_keeps_the_first_step_apart():
    clock = loop._Clock(10)
    time.sleep(0.05)
    clock.tick(11)
    assert clock.rate is None
    for step in (12, 13):
        time.sleep(0.01)
        clock.tick(step)
    assert 20 < clock.rate <= 100
    timing = clock.timing()
    assert timing["compile_s"] >= 0.05
    assert timing["steps"] == 3


def test_no_crop_is_none(tiny_experiment):
    assert loop.augment_from(tiny_experiment).crop_hw == (64, 64)
    whole = loop.dataclasses.replace(
        tiny_experiment,
        data=loop.dataclasses.replace(tiny_experiment.data, crop_hw=(0, 0)),
    )
    assert loop.augment_from(whole).crop_hw is None
