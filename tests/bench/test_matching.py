import numpy as np
import pytest

from cellrec_jax.bench import matching, matching_step
from cellrec_jax.bench.report import Settings

pytestmark = pytest.mark.usefixtures("quick_peaks")


def test_every_way_reaches_the_least_cost():
    found = matching.run(Settings(sizes=(40,), repeats=1, batch_size=2), lambda _: None)
    assert not found.wrong
    rows = [(row["scene"], row["contestant"]) for row in found.rows]
    names = ("device", "host", "optax", "cdist + scipy")
    assert rows == [(s, name) for s in ("scattered", "crowded") for name in names]


def test_two_cells_that_share_a_proposal_are_wrong():
    images = matching.scene(0, 9, 2, 1)
    apart, shared = np.array([[4, 5]]), np.array([[4, 4]])
    assert np.isfinite(matching._totals(images, apart)).all()
    assert np.isnan(matching._totals(images, shared)).all()


@pytest.mark.slow
def test_a_step_has_one_loss_however_it_matches():
    settings = Settings(sizes=(64,), repeats=1, batch_size=2)
    found = matching_step.run(settings, lambda _: None)
    assert not found.wrong
    names = [row["contestant"] for row in found.rows]
    assert names == ["none", "device", "host"]


def test_published_sizes_keep_their_cells():
    sizes = matching.chosen_sizes(Settings(sizes=(5120, 80)))
    assert sizes == [(5120, 300), (80, 10)]
    assert matching.chosen_sizes(Settings()) == matching.SIZES


def test_grids_of_a_step():
    assert matching_step._grid(1280) == (32, 40)
    assert matching_step._grid(7) == (1, 7)


def test_added_milliseconds():
    row = {"proposals": 8, "cells": 2, "batch": 1}
    rows = [
        {**row, "contestant": "none", "median_ms": 10.0},
        {**row, "contestant": "host", "median_ms": 12.5},
    ]
    assert list(matching_step._added(rows)) == [
        "8 proposals, 2 cells, batch 1: host adds 2.5 ms to a step"
    ]
