"""A run is done when its folder holds results of the configuration asked for."""

import json
from pathlib import Path

import pytest

from cellrec_jax import errors
from cellrec_jax.sweep import parse, plan, starts, state

SHIPPED = sorted((Path(__file__).parents[2] / "launch" / "sweeps").glob("*.toml"))


def job_of(tmp_path, **overrides):
    run = plan.Run("a", "ki67_bde:small", {}, 0, None, {"seed": "0", **overrides})
    return state.prepare(run, tmp_path)


def leave(job, changes, found="{}"):
    """The job's configuration with other values of some keys; None removes one."""
    stored = {}
    for key, value in {**job.settings, **changes}.items():
        *sections, name = key.split(".")
        place = stored
        for section in sections:
            place = place.setdefault(section, {})
        if value is not None:
            place[name] = value
    job.workdir.mkdir(parents=True)
    (job.workdir / "config.json").write_text(json.dumps(stored))
    (job.workdir / "results.json").write_text(found)


def test_settings_are_resolved(tmp_path):
    job = job_of(tmp_path, **{"data.crop_hw": "64,32"})
    assert job.workdir == tmp_path / "a" / "seed0"
    assert job.settings["data.crop_hw"] == [64, 32]
    assert job.settings["model.backbone"] == "small"


@pytest.mark.parametrize(
    ("key", "value"), [("loss.nothing", "1"), ("seed", "x"), ("loss.calibration", "x")]
)
def test_mistakes_name_the_run(tmp_path, key, value):
    with pytest.raises(errors.ConfigError, match=f"^a/seed0: .*{key}"):
        job_of(tmp_path, **{key: value})


def test_nothing_is_there(tmp_path):
    assert state.results(job_of(tmp_path)) is None


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"log.every": 999, "data.loader": "tf"}, True),
        ({"seed": 1}, False),
        ({"eval.radius_px": 3.0}, False),
        ({"data.root": "elsewhere"}, False),
        # Keys that an older version did not have: the default is meant, and is not.
        ({"data.jitter_px": None, "loss.rpn_sigma": None}, True),
        ({"data.crop_hw": None}, False),
        ({"data.removed_since": 1}, False),
        ({"loss.removed_since": 1}, False),
    ],
)
def test_results_of_this_configuration(tmp_path, changes, same):
    job = job_of(tmp_path)
    leave(job, changes)
    assert (state.results(job) == {}) == same


def test_keys_to_ignore(tmp_path):
    job = job_of(tmp_path)
    leave(job, {"data.root": "elsewhere"})
    assert state.results(job, ["data.root"]) == {}


def test_how_images_would_be_generated_does_not_matter(tmp_path):
    job = job_of(tmp_path, **{"data.root": "folder", "data.synthetic_kind": "hsc"})
    leave(job, {"data.synthetic_kind": "nuclei"})
    assert state.results(job) == {}
    generated = job_of(tmp_path / "b", **{"data.synthetic_kind": "hsc"})
    leave(generated, {"data.synthetic_kind": "nuclei"})
    assert state.results(generated) is None


def test_results_of_other_weights_at_the_start_are_not_taken(tmp_path):
    fresh = job_of(tmp_path)
    tuned = state.prepare(fresh.run, tmp_path, "weights a")
    leave(fresh, {})
    assert state.results(tuned) is None
    starts.remember(tuned.workdir, "a", "weights a")
    assert state.results(tuned) == {}
    assert state.results(fresh) is None
    assert state.results(tuned._replace(start="weights b")) is None


def test_half_written_results_are_none(tmp_path):
    job = job_of(tmp_path)
    leave(job, {}, found='{"metrics"')
    assert state.results(job) is None


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"log.every": "7"}, True),
        ({"data.root": "elsewhere"}, True),
        ({"data.synthetic_kind": "hsc"}, False),
        ({"data.root": "elsewhere", "data.synthetic_kind": "hsc"}, True),
        ({"seed": "1"}, False),
        ({"eval.radius_px": "3"}, False),
        ({"loss.rpn_sigma": "2"}, False),
    ],
)
def test_configurations_are_told_apart(tmp_path, changes, same):
    before, after = job_of(tmp_path), job_of(tmp_path, **changes)
    assert (before.digest == after.digest) == same


def test_keys_at_their_defaults_leave_the_digest_as_it_is():
    """As keys of later versions will be."""
    before, defaults = {"method": "a", "seed": 1}, {"method": "a", "seed": 0}
    later = {"later": 3}
    after = state.digest(before | later, defaults | later)
    assert after == state.digest(before, defaults)
    assert state.digest(before | {"later": 4}, defaults | later) != after
    assert state.digest(before | {"method": "b"}, defaults) != after
    assert state.digest(before, defaults, "") == after
    assert len({after, *(state.digest(before, defaults, one) for one in "ab")}) == 3


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_sweeps_have_valid_configurations(path, tmp_path):
    runs = plan.expand(parse.read(path), {})
    for run in runs[: len(runs) // 3]:  # seeds, of which there are three, come last
        state.prepare(run, tmp_path)
