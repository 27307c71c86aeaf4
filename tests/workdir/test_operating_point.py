"""Operating points chosen after training; `test_run` has a whole run."""

import dataclasses

import jax
from jax.experimental import multihost_utils
import pytest

from cellrec_jax import errors
from cellrec_jax.config import EvalConfig
from cellrec_jax.workdir import operating_point

META = {
    "config": {"seed": 3, "eval": {"threshold": 0.0, "overlays": 2}},
    "decode": {"thresholds": [0.5]},
    "fit_pending": True,
}


@pytest.fixture
def workdir(tmp_path):
    """Holds operating points of steps 3 and 4."""
    for step, threshold in ((3, 0.75), (4, 0.75), (4, 0.25)):
        rule = operating_point.rule(EvalConfig(threshold=threshold))
        chosen = operating_point.Chosen(rule, {"thresholds": [threshold]})
        operating_point.save(tmp_path, step, chosen)
    return tmp_path


def test_metadata_have_what_was_chosen_last(workdir):
    found = operating_point.updated(META, workdir, 4)
    assert found["decode"] == {"thresholds": [0.25]}
    assert found["config"]["eval"]["threshold"] == 0.25
    assert found["config"]["eval"]["overlays"] == 2
    assert found["config"]["seed"] == 3
    assert not found["fit_pending"]
    assert META["config"]["eval"]["threshold"] == 0.0


def test_it_belongs_to_one_checkpoint(workdir):
    assert operating_point.updated(META, workdir, 2) == META
    third = operating_point.updated(META, workdir, 3)
    assert third["decode"] == {"thresholds": [0.75]}
    operating_point.forget(workdir)
    operating_point.forget(workdir)
    assert operating_point.updated(META, workdir, 4) == META


def test_other_processes_wait_until_the_first_has_written(tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr(multihost_utils, "sync_global_devices", waited.append)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    rule = operating_point.rule(EvalConfig())
    operating_point.save(tmp_path, 4, operating_point.Chosen(rule, {}))
    assert not list(tmp_path.iterdir())
    assert len(waited) == 1


def test_other_cuts_are_refused_where_nothing_is_fitted(tmp_path):
    """The radius may differ: it says what is right, not what is found."""
    trained = EvalConfig()
    other = dataclasses.replace(trained, radius_px=6.0, strict=True)
    operating_point.require_same_cuts(trained, other, tmp_path)
    for name, value in {"threshold": 0.3, "min_distances": (4.0,)}.items():
        wanted = dataclasses.replace(trained, **{name: value})
        with pytest.raises(errors.ConfigError, match=rf"eval\.{name}=.*training comm"):
            operating_point.require_same_cuts(trained, wanted, tmp_path)


def test_a_fixed_threshold_is_not_shared():
    fixed = EvalConfig(threshold=0.5)
    shared = dataclasses.replace(fixed, shared_threshold=True, threshold_rule="lee_liu")
    assert operating_point.rule(fixed) == operating_point.rule(shared)
    fitted = dataclasses.replace(shared, threshold=0.0)
    assert operating_point.rule(fitted)["shared_threshold"]
    assert operating_point.rule(fitted)["threshold_rule"] == "lee_liu"
