"""Rows of the stages of a round, at sizes that say nothing about speed."""

import pytest

from cellrec_jax.bench import draws, machine, refine, timing
from cellrec_jax.bench.report import Settings
from cellrec_jax.rounds import patch_classifier

TASKS = ["train D", "predict D", "train g", "extract", "rank", "rank"]


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(draws, "DIM", 6)
    monkeypatch.setattr(draws, "POOL", 8)
    monkeypatch.setattr(patch_classifier, "EXTRACT_BATCH", 16)
    sizes = {"patches": 24, "patch_batch": 16, "image_px": 16}
    for name in ("_SMALL", "_LARGE"):
        monkeypatch.setattr(refine, name, sizes)
    for name, value in {"_PATCH_PX": 13, "_WIDTH": 1, "_NUM_LABELS": 5}.items():
        monkeypatch.setattr(refine, name, value)


@pytest.mark.slow
def test_rows_of_all_stages():
    settings = Settings(sizes=(20,), repeats=1, presets=("small",))
    found = refine.run(settings, lambda _: None)
    assert [row["task"] for row in found.rows] == TASKS
    assert [row["number"] for row in found.rows] == [2, 1, 24, 24, 20, 20]
    assert [row["batch"] for row in found.rows] == [2, 1, 16, 16, 20, 20]
    assert all(row["units_per_s"] > 0 for row in found.rows)
    assert all(row["peak_mib"] > 10 for row in found.rows)


def test_labels_of_the_detector():
    """Its loss counts pixels near labels alone: without labels nothing is learned."""
    batch = refine._batch(16)
    assert batch.labels.tolist() == [[1, 0, 0, 0, 0]] * 2
    assert batch.points_mask.all()


def test_sgd_counts_all_its_epochs():
    timed = refine._times(timing.Timing(2.0, 1.0, 4.0, 3, 5.0), 500)
    assert (timed.median_s, timed.iqr_s, timed.compile_s) == (1000.0, 1500.0, 5.0)


def test_presets_choose_the_classifier_and_memory_the_rows(monkeypatch):
    monkeypatch.setattr(refine, "_detector", lambda _: [])
    monkeypatch.setattr(refine, "_classifier", lambda kind, _: [{"what": kind}])
    monkeypatch.setattr(machine, "memory_bytes", lambda: 1000)
    for presets, kinds in {
        ("alexnet",): ["alexnet"],
        ("small", "alexnet"): ["alexnet", "small"],
    }.items():
        settings = Settings(sizes=(2000,), presets=presets)
        found = refine.run(settings, lambda _: None)
        assert [row["what"] for row in found.rows] == kinds
        assert found.notes[-1] == "rank skipped: 2000 rows take too much memory"
