"""Every shipped configuration loads, validates, builds and survives JSON."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from cellrec_jax import config, main, overrides
from cellrec_jax.train import model, optim

FILES = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))
PRESETS = [f"{path.stem}" for path in FILES] + ["ki67_bde:demo", "ki67_bde:small"]


@pytest.mark.parametrize("name", PRESETS)
def test_config_builds_and_survives_json(name):
    experiment = config.freeze(main.load_config(name))
    stored = json.loads(json.dumps(config.to_json(experiment)))
    assert config.from_json(stored) == experiment
    method = model.build_method(experiment, num_classes=2)
    image = np.zeros((1, 64, 64, 3), np.float32)
    params, _ = jax.eval_shape(lambda: method.init(jax.random.key(0), image))
    assert params["roi_head"]["cls"]["kernel"].shape[1] == 3


def test_the_papers_setting():
    experiment = config.freeze(main.load_config("ki67_bde"))
    assert experiment.total_steps == 10_000
    assert experiment.data.size_hw == (800, 800)
    assert experiment.data.keep_rate == 0.1
    assert experiment.model["backbone"] == "resnet50"
    assert experiment.loss["calibration"] == "bde"
    mitos = config.freeze(main.load_config("mitos_bde"))
    assert mitos.data.keep_one
    assert mitos.data.num_folds == 4


def test_the_schedule_follows_an_overridden_length():
    settings = main.load_config("ki67_bde")
    overrides.override(settings, "total_steps", "100")
    experiment = config.freeze(settings)
    schedule = optim.make_schedule(experiment.optim, experiment.total_steps)
    np.testing.assert_allclose(
        [schedule(49), schedule(51), schedule(76)], [1e-3, 1e-4, 1e-5], rtol=1e-5
    )


def test_every_option_can_be_set_from_the_command_line():
    settings = main.load_config("ki67_bde")
    for key, value in overrides.flatten(settings.to_dict()).items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        overrides.override(settings, key, text)
    again = config.freeze(settings)
    assert again == config.freeze(main.load_config("ki67_bde"))
    assert dataclasses.is_dataclass(again.data)
