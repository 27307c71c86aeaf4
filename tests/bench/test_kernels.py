"""Every contestant of every kernel computes the same, at sizes of no interest."""

import dataclasses

import jax
import pytest

from cellrec_jax.bench import (
    contestants,
    draws,
    forms,
    kernel,
    kernels,
    machine,
    matching_step,
    targets,
)
from cellrec_jax.bench.report import Settings

SETTINGS = Settings(sizes=(24,), repeats=1, batch_size=1, limit_s=1e3)


@pytest.fixture(autouse=True)
def few_features(monkeypatch):
    for module in (draws, kernels):
        monkeypatch.setattr(module, "DIM", 6)
    monkeypatch.setattr(draws, "POOL", 8)
    monkeypatch.setattr(draws, "STRIDES", (4, 8))


@pytest.mark.parametrize(
    ("name", "direction", "names"),
    [
        ("density", kernel.FORWARD, "sorted dense"),
        ("pu", kernel.BOTH, "copy|plain JAX|pu_risk"),
        ("points", kernel.BOTH, "copy|plain JAX|fused separate"),
        ("matching", kernel.FORWARD, "device host optax|cdist + scipy"),
        ("nms", kernel.FORWARD, "blocked loop"),
        ("roi_align", kernel.FORWARD, "gather einsum"),
        ("convolution", "gradient", "blocks XLA"),
        ("targets", kernel.FORWARD, "discs|painted polygons|drawn polygons"),
        ("ranking", kernel.BOTH, "copy|plain JAX|log_p_classification"),
        pytest.param(
            "ranking",
            kernel.FORWARD,
            "copy|plain JAX|log_p_classification|L-BFGS|optax L-BFGS|SGD, 100 steps",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "matching_step", kernel.BOTH, "none device host", marks=pytest.mark.slow
        ),
    ],
)
def test_contestants_agree(name, direction, names, monkeypatch):
    monkeypatch.setattr(contestants, "has_torch", lambda: False)
    found = kernel.measure(name, _only(name, direction), SETTINGS, lambda _: None)
    assert not found.wrong
    words = [w for part in names.split("|") for w in _words(part)]
    assert list(dict.fromkeys(row["contestant"] for row in found.rows)) == words
    assert all(row["median_ms"] > 0 for row in found.rows)
    assert found.x in found.rows[0]


def _words(part):
    return [part] if part in _LONG or part.startswith("SGD") else part.split()


_LONG = ("plain JAX", "cdist + scipy", "optax L-BFGS")
_LONG += ("painted polygons", "drawn polygons")


def _only(name, direction):
    """The kernel with one case of each set of contestants, in this pass alone."""
    found = kernels.KERNELS[name]
    known = []

    def cases(settings):
        for case in found.cases(settings):
            if direction in case.passes and set(case.contestants) not in known:
                known.append(set(case.contestants))
                work = {direction: case.passes[direction]}
                yield dataclasses.replace(case, passes=work)

    return found._replace(cases=cases)


def test_published_sizes_keep_their_cells():
    sizes = kernels._matched_sizes(Settings(sizes=(5120, 80)))
    assert sizes == [(5120, 300), (80, 10)]


def test_cases_are_many_and_have_operations():
    cases = list(kernels.KERNELS["matching"].cases(Settings()))
    assert len(cases) == 3 * (3 + 1)
    crowds = [case.point for case in cases if case.point["scene"] == "crowded"]
    assert [point["batch"] for point in crowds] == [4, 4, 4]
    (case,) = kernels.KERNELS["density"].cases(Settings(sizes=(100,), batch_size=2))
    assert case.passes == {kernel.FORWARD: 6.0 * 2 * 100**2}


def test_density_advice_is_the_largest_size_at_which_dense_does_not_lose():
    rows = [
        {"boxes": boxes, "contestant": "sorted", "ratio": ratio}
        for boxes, ratio in ((64, 2.0), (128, 0.95), (256, 0.8), (512, 3.0))
    ]
    (note,) = forms.density_notes(rows)
    assert "as fast up to 128 boxes" in note


def test_added_milliseconds():
    row = {"proposals": 8, "cells": 2, "batch": 1}
    rows = [
        {**row, "contestant": "none", "median_ms": 10.0},
        {**row, "contestant": "host", "median_ms": 12.5},
    ]
    (note,) = matching_step.notes(rows)
    assert note.endswith("host adds 2.5 ms to a step")


def test_what_polygons_cost_is_said_against_the_goal():
    rows = [
        {"cells": 8, "contestant": name, "ratio": ratio}
        for name, ratio in (("discs", 1.0), ("drawn polygons", 2.84))
    ]
    (note,) = targets.notes(rows)
    assert "2.8 times the discs' time, within 3" in note
    (note,) = targets.notes([{**rows[1], "ratio": 3.1}])
    assert note.endswith("above 3")


def test_features_that_do_not_fit_are_not_drawn(monkeypatch):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 1000)
    monkeypatch.setattr(draws, "features", lambda size: pytest.fail(f"drew {size}"))
    monkeypatch.setattr(kernels, "DIM", 2305)
    found = kernels.KERNELS["ranking"]._replace(notes=lambda _: ())
    assert not kernel.measure("ranking", found, SETTINGS, lambda _: None).rows


def test_long_case_of_roi_align_is_short_on_a_cpu():
    if jax.default_backend() == "cpu":
        cases = kernels.KERNELS["roi_align"].cases(Settings())
        lengths = {case.point["case"]: len(case.contestants) for case in cases}
        assert lengths["paper, testing"] == 1
        assert lengths["paper, training"] == 2
