"""Rows of the stages of a round, at sizes that say nothing about speed."""

import jax
import jax.numpy as jnp
import pytest

from cellrec_jax.bench import machine, ranking, ranking_reference, refine, timing
from cellrec_jax.bench.report import Settings
from cellrec_jax.rounds import patch_classifier

TASKS = ["train D", "predict D", "train g", "extract", "rank", "rank"]


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(ranking, "_DIM", 6)
    monkeypatch.setattr(ranking, "POOL", 8)
    monkeypatch.setattr(ranking_reference, "POOL", 8)
    monkeypatch.setattr(patch_classifier, "EXTRACT_BATCH", 16)
    for name, value in {
        "_PATCH_PX": 13,
        "_PATCHES": {"cpu": 24},
        "_IMAGE_PX": {"cpu": 16},
        "_WIDTH": 1,
        "_NUM_LABELS": 5,
    }.items():
        monkeypatch.setattr(refine, name, value)


@pytest.mark.slow
def test_rows_of_all_stages():
    settings = Settings(sizes=(20,), repeats=1, batch_size=16)
    said = []
    found = refine.run(settings, said.append)
    assert [row["task"] for row in found.rows] == TASKS
    assert [row["number"] for row in found.rows] == [2, 1, 24, 24, 20, 20]
    assert [row["batch"] for row in found.rows] == [2, 1, 16, 16, 20, 20]
    assert all(row["units_per_s"] > 0 for row in found.rows)
    assert all(row["peak_mib"] > 10 for row in found.rows)
    assert found.notes[0].startswith("alexnet skipped")
    assert found.notes[1].startswith("rank, 20 rows: SGD takes")
    assert said[-1] == "refine: ranking of 20 rows"


@pytest.mark.slow
def test_a_step_of_the_detector_is_the_method_s(monkeypatch):
    """Its loss counts pixels near labels alone: without labels nothing is learned."""
    compiled = {}
    once = timing.Timing(2.0, 1.0, 4.0, 3)

    def compile_call(function, *args):
        compiled.setdefault("train D", (function, args))

    monkeypatch.setattr(timing, "compile_call", compile_call)
    monkeypatch.setattr(timing, "compare", lambda calls, _: dict.fromkeys(calls, once))
    train, predict = refine._detector(Settings())
    assert (train["units_per_s"], predict["units_per_s"]) == (1.0, 0.5)
    assert train["peak_mib"] > 10
    step, (params, state, moments, batch) = compiled["train D"]
    assert batch.labels.tolist() == [[1, 0, 0, 0, 0]] * 2
    step = jax.jit(step, compiler_options={"xla_backend_optimization_level": 0})
    for labeled in (True, False):
        points_mask = jnp.full(batch.points_mask.shape, labeled)
        new, *_ = step(params, state, moments, batch._replace(points_mask=points_mask))
        changed = jax.tree.map(lambda a, b: bool((a != b).any()), params, new)
        assert any(jax.tree.leaves(changed)) == labeled


def test_ranking_counts_all_epochs(monkeypatch):
    once = timing.Timing(2.0, 1.0, 4.0, 3, compile_s=5.0)
    monkeypatch.setattr(timing, "compare", lambda calls, _: dict.fromkeys(calls, once))
    monkeypatch.setattr(timing, "compile_call", lambda *_: None)
    lbfgs, sgd = refine._ranking(ranking.solve_case(1500), 1500, Settings())
    assert (lbfgs["call_s"], lbfgs["batch"]) == (2.0, 1500)
    assert (sgd["call_s"], sgd["batch"]) == (1000.0, 1000)
    assert (sgd["call_iqr_s"], sgd["compile_s"]) == (1500.0, 5.0)
    assert sgd["units_per_s"] == 1.5


def test_presets_choose_the_classifier_and_memory_the_rows(monkeypatch):
    monkeypatch.setattr(refine, "_detector", lambda _: [])
    monkeypatch.setattr(refine, "_classifier", lambda kind, _: [{"what": kind}])
    monkeypatch.setattr(machine, "memory_bytes", lambda: 1000)
    chosen = {
        (): ["small"],
        ("alexnet",): ["alexnet"],
        ("demo",): ["small"],
        ("small", "alexnet"): ["alexnet", "small"],
    }
    for presets, kinds in chosen.items():
        settings = Settings(sizes=(2000,), presets=presets)
        found = refine.run(settings, lambda _: None)
        assert [row["what"] for row in found.rows] == kinds
        assert found.notes[-1] == "rank skipped: 2000 rows take too much memory"
