import pytest

from cellrec_jax.bench import goals
from cellrec_jax.bench.kernel import BOTH


def test_measured_figures_are_set_against_goals():
    def density(name, median_ms):
        return {"boxes": 8000, "batch": 1, "contestant": name, "median_ms": median_ms}

    def step(name, median_ms):
        return {
            "proposals": 5120,
            "cells": 300,
            "contestant": name,
            "median_ms": median_ms,
        }

    def trained(dtype, batch, image_ms, paper_hours):
        return {
            "dtype": dtype,
            "image_px": "800x800",
            "batch": batch,
            "image_ms": image_ms,
            "paper_hours": paper_hours,
        }

    gce = {"loss": "gce", "rows": 10**7, "contestant": "fused", "direction": BOTH}
    results = {
        "density": {
            "rows": [
                density("sorted", 0.04),
                density("dense", 0.2),
                density("torch cdist", 0.01),  # not ours
            ]
        },
        "points": {"rows": [{**gce, "ratio": 1.6}, {**gce, "rows": 10, "ratio": 1.0}]},
        "matching_step": {
            "rows": [step("none", 2.0), step("device", 2.5), step("host", 4.0)]
        },
        "steps": {
            "rows": [
                trained("bfloat16", 2, 8.0, 0.05),
                trained("bfloat16", 8, 6.5, 0.2),
                trained("float32", 2, 5.0, 0.03),
            ]
        },
    }
    whole = {"way": "slide to files", "image_px": "20000x20000"}
    shares = {"s_per_mm2": 0.25, "idle_share": 0.2}
    small = {**whole, **shares, "image_px": "600x600", "idle_share": 0.05}
    loop = {**whole, "way": "OpenSlide loop", "s_per_mm2": 0.1}  # not ours
    results["slide"] = {"rows": [{**whole, **shares}, small, loop]}
    found = {goal["goal"]: goal for goal in goals.table(results)}
    assert found["a slide to files"]["measured"] == 0.25
    assert found["a slide: the device idles"]["reached"] is False
    boxes = found["density of 8,000 boxes"]
    assert (boxes["measured"], boxes["reached"]) == (0.04, True)
    gradient = found[f"GCE of 10^7 rows, {BOTH}"]
    assert (gradient["measured"], gradient["reached"]) == (1.6, False)
    added = found["matching of 5120 x 300 adds to a step"]
    assert added["measured"] == pytest.approx(0.5)
    image = found["training on an image of ki67_bde, 150 a second"]
    assert (image["measured"], image["reached"]) == (6.5, True)
    whole = found["10,000 steps of two images of ki67_bde"]
    assert (whole["measured"], whole["reached"]) == (0.05, False)
    assert found["pdl1_point, 1920 x 1080 px"]["reached"] is None


def test_nothing_is_reached_without_figures():
    assert all(goal["measured"] is goal["reached"] is None for goal in goals.table({}))
