import dataclasses
from pathlib import Path
import sys
import time
import tomllib

import jax
import numpy as np
import pytest

from cellrec_jax import errors, methods
from cellrec_jax.bench import predict, timing
from cellrec_jax.bench.report import Settings

SWEEP = Path(__file__).parents[2] / "launch/sweeps/point_table1.toml"
SETUPS = [*predict.SMALL.values(), *predict.FULL.values()]


def _fake(seconds=0.003, held_bytes=2**20):
    call = timing.Call(lambda: time.sleep(seconds), 1.5, held_bytes)
    return predict.Ready(call, parameters=5, peak_mib=7.0)


def test_prepared_call_goes_from_host_to_host():
    setup = predict.SMALL["fcrn_a"]
    model = dataclasses.replace(setup.options.model, width=2, max_detections=8)
    options = dataclasses.replace(setup.options, model=model)
    ready = predict.prepare(setup._replace(options=options), (32, 48))
    found = ready.call.run()
    assert found.points_yx.shape == (1, 8, 2)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(found))
    assert ready.call.compile_s > 0
    assert ready.parameters > 100
    assert 0.01 < ready.call.held_bytes / 2**20 < ready.peak_mib


def test_rows_are_set_against_ours(monkeypatch):
    seconds = {"pdl1_point:small": 0.003, "pdl1_map:small_unet": 0.03}
    monkeypatch.setattr(
        predict, "prepare", lambda setup, _: _fake(seconds[setup.config])
    )
    said = []
    settings = Settings(presets=("unet", "ours"), sizes_hw=((32, 48),), repeats=3)
    ours, unet = predict.run(settings, said.append).rows
    assert said == ["predict: ours, 32x48", "predict: unet, 32x48"]
    assert ours["ratio"] == 1.0
    assert unet["ratio"] == unet["median_ms"] / ours["median_ms"] > 1
    for row in (ours, unet):
        assert row["image_px"] == "32x48"
        assert row["repeats"] == 3
        assert 3 <= row["low_ms"] <= row["median_ms"] <= row["high_ms"]
        assert (row["compile_s"], row["parameters"]) == (1.5, 5)
        assert (row["call_mib"], row["peak_mib"]) == (1.0, 7.0)
        assert row["paper_ms"] is None  # of other networks, at another size


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.config)
def test_options_are_those_of_the_config_file(setup):
    pytest.importorskip("ml_collections")
    from cellrec_jax import main

    experiment = methods.freeze(main.load_config(setup.config))
    assert experiment.method == setup.method
    assert experiment.options == setup.options


def test_rows_are_those_of_the_sweep():
    rows = tomllib.loads(SWEEP.read_text())["rows"]
    del rows["ours_1500"]  # the same network
    found = {name: setup.config for name, setup in predict.SMALL.items()}
    assert found == {name: row["config"] for name, row in rows.items()}
    assert list(predict.FULL) == list(predict.SMALL) == list(predict.PAPER_MS)


def test_full_rows_stand_beside_the_papers(monkeypatch):
    opened = []
    monkeypatch.setattr(predict, "prepare", lambda *a: opened.append(a) or _fake())
    settings = Settings(full=True, presets=("unet", "ours"), repeats=1)
    rows = predict.run(settings, lambda _: None).rows
    assert opened == [
        (predict.FULL[name], predict.PAPER_HW) for name in ("ours", "unet")
    ]
    assert [row["paper_ms"] for row in rows] == [110, 2460]


def test_what_does_not_fit_is_left_out_and_named(monkeypatch):
    def prepare(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no room\nat all")

    monkeypatch.setattr(predict, "prepare", prepare)
    found = predict.run(Settings(presets=("ours",)), lambda _: None)
    assert found.rows == ()
    assert found.notes == ("skipped: ours, 640x640: RESOURCE_EXHAUSTED: no room",)


def test_rows_after_the_budget_are_left_out():
    found = predict.run(Settings(budget_s=-1.0, presets=("ours",)), lambda _: None)
    assert found.notes == ("skipped: ours, 640x640: no time left",)


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cellrec_jax.predict.compiled", None)
    found = predict.run(Settings(), lambda _: None)
    assert found.rows == ()
    assert found.notes == ("skipped: cellrec_jax.predict.compiled is not installed",)


def test_unknown_row_is_refused():
    with pytest.raises(errors.ConfigError, match="--presets our: choose among ours, "):
        predict.run(Settings(presets=("our",)), lambda _: None)
