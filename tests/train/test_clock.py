"""Times of steps."""

import time

from cellrec_jax.train.clock import Clock


def test_the_clock_keeps_the_first_step_apart():
    clock = Clock(10)
    time.sleep(0.05)
    clock.tick(11)
    assert clock.rate is None
    for step in (12, 13):
        time.sleep(0.01)
        clock.tick(step)
    assert 20 < clock.rate <= 100
    timing = clock.timing()
    assert timing["compile_s"] >= 0.05
    assert (timing["from_step"], timing["steps"]) == (10, 3)


def test_seconds_of_earlier_processes_count():
    clock = Clock(10, 100.0)
    assert 100.0 <= clock.seconds < 110.0
    timing = clock.timing()
    assert 100.0 <= timing["seconds"] < 110.0
    assert timing["compile_s"] < 10.0
