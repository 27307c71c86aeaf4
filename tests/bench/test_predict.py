from pathlib import Path
import time
import tomllib

import jax
import numpy as np
import pytest

from cellrec_jax.bench import experiments, predict, timing
from cellrec_jax.bench.report import Settings

pytest.importorskip("ml_collections")
SWEEP = Path(__file__).parents[2] / "launch/sweeps/point_table1.toml"


@pytest.mark.slow
def test_what_is_timed_goes_from_host_to_host():
    tiny = {"model.width": "2", "model.max_detections": "8"}
    experiment = experiments.load(predict.ROWS["fcrn_a"].small, tiny)
    call, columns = predict.ready(experiment, (32, 48))
    found = call.run()
    assert found.points_yx.shape == (1, 8, 2)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(found))
    assert call.compile_s > 0
    assert columns["parameters"] > 100
    assert 0.01 < columns["call_mib"] < columns["peak_mib"]


def test_rows_are_set_against_ours_and_the_papers(monkeypatch):
    def ready(experiment, _):
        seconds = 0.003 if experiment.method == "point_matching" else 0.03
        call = timing.Call(lambda: time.sleep(seconds), 1.5, 2**20)
        return call, {"parameters": 5}

    monkeypatch.setattr(predict, "ready", ready)
    chosen = {"presets": ("unet", "ours"), "repeats": 3}
    settings = Settings(sizes_hw=((32, 48),), **chosen)
    ours, unet = predict.run(settings, lambda _: None).rows
    assert unet["ratio"] == unet["median_ms"] / ours["median_ms"] > ours["ratio"] == 1
    assert (unet["image_px"], unet["parameters"], unet["paper_ms"]) == (
        "32x48",
        5,
        None,
    )
    rows = predict.run(Settings(full=True, **chosen), lambda _: None).rows
    assert [row["paper_ms"] for row in rows] == [110, 2460]
    assert [row["config"] for row in rows] == ["pdl1_point", "pdl1_map:unet"]


def test_rows_are_those_of_the_sweep():
    rows = tomllib.loads(SWEEP.read_text())["rows"]
    del rows["ours_1500"]  # the same network
    found = {name: row.small for name, row in predict.ROWS.items()}
    assert found == {name: row["config"] for name, row in rows.items()}


def test_what_cannot_be_is_left_out_and_named(monkeypatch):
    def ready(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no room\nat all")

    monkeypatch.setattr(predict, "ready", ready)
    found = predict.run(Settings(presets=("ours",)), lambda _: None)
    assert found.rows == ()
    assert found.notes == ("skipped: ours, 640x640: RESOURCE_EXHAUSTED: no room",)
    found = predict.run(Settings(budget_s=-1.0, presets=("ours",)), lambda _: None)
    assert found.notes == ("skipped: ours, 640x640: no time left",)
