import dataclasses
import json
import subprocess
import sys

from ml_collections import ConfigDict
import pytest

from cellrec_jax import config as config_lib
from cellrec_jax import errors, overrides


@dataclasses.dataclass(frozen=True)
class Model:
    width: int = 8
    strides: tuple[int, ...] = (4, 8)


@dataclasses.dataclass(frozen=True)
class Loss:
    calibration: str = "bde"


@dataclasses.dataclass(frozen=True)
class Options:
    model: Model = Model()
    loss: Loss = Loss()


@pytest.fixture
def config() -> ConfigDict:
    return config_lib.base("calibrated_rcnn", Options())


def changed(**fields) -> config_lib.Experiment:
    """Defaults with `section__key=value` or `key=value` replaced."""
    experiment = config_lib.Experiment()
    for name, value in fields.items():
        section, _, key = name.rpartition("__")
        if section:
            part = dataclasses.replace(getattr(experiment, section), **{key: value})
            experiment = dataclasses.replace(experiment, **{section: part})
        else:
            experiment = dataclasses.replace(experiment, **{key: value})
    return experiment


def test_base_holds_the_defaults(config):
    experiment = config_lib.freeze(config)
    assert experiment.model == {"width": 8, "strides": (4, 8)}
    assert experiment.loss == {"calibration": "bde"}
    plain = dataclasses.replace(experiment, model={}, loss={})
    assert plain == config_lib.Experiment(method="calibrated_rcnn")


def test_base_is_locked(config):
    for section in (config, config.data, config.model):
        with pytest.raises(AttributeError):
            section.no_such_key = 1


def test_freeze_keeps_changes(config):
    config.seed = 5
    config.model.width = 16
    config.data.size_hw = (40, 60)
    experiment = config_lib.freeze(config)
    assert (experiment.seed, experiment.model["width"]) == (5, 16)
    assert experiment.data == config_lib.DataConfig(size_hw=(40, 60))
    with pytest.raises(dataclasses.FrozenInstanceError):
        experiment.seed = 6


def test_freeze_validates(config):
    config.batch_size = 0
    with pytest.raises(errors.ConfigError, match=r"--config\.batch_size=0"):
        config_lib.freeze(config)


def test_json_round_trip(config):
    config.model.strides = (2, 4, 8)
    config.optim.drops = ()
    experiment = config_lib.freeze(config)
    fields = config_lib.to_json(experiment)
    assert config_lib.from_json(fields) == experiment
    assert config_lib.from_json(json.loads(json.dumps(fields))) == experiment


def test_stored_configuration_of_another_version():
    fields = config_lib.to_json(config_lib.Experiment())
    broken = [
        {**fields, "no_such_key": 1},
        {**fields, "data": {**fields["data"], "no_such_key": 1}},
        {name: value for name, value in fields.items() if name != "optim"},
        {**fields, "log": 3},
    ]
    for one in broken:
        with pytest.raises(errors.ConfigError, match="does not fit this version"):
            config_lib.from_json(one)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"total_steps": 0}, "total_steps=0 must be more than 0"),
        ({"batch_size": -1}, "batch_size=-1 must be more than 0"),
        ({"data__max_cells": 0}, "data.max_cells=0 must be more than 0"),
        ({"data__box_size": 0.0}, "data.box_size=0.0 must be more than 0"),
        ({"eval__batch_size": 0}, "eval.batch_size=0 must be more than 0"),
        ({"eval__radius_px": -2.0}, "eval.radius_px=-2.0 must be more than 0"),
        ({"checkpoint__every": 0}, "checkpoint.every=0 must be more than 0"),
        ({"checkpoint__keep": 0}, "checkpoint.keep=0 must be more than 0"),
        ({"log__every": 0}, "log.every=0 must be more than 0"),
        ({"optim__learning_rate": 0.0}, "optim.learning_rate=0.0 must be more than 0"),
        ({"optim__learning_rate": float("nan")}, "optim.learning_rate=nan must be"),
        ({"data__size_hw": (800,)}, "data.size_hw=(800,) must be height,width"),
        ({"data__size_hw": (0, 800)}, "data.size_hw=(0, 800) must be height,width"),
        ({"data__crop_hw": (-1, 8)}, "data.crop_hw=(-1, 8) must be height,width"),
        ({"data__crop_hw": ()}, "data.crop_hw=() must be height,width"),
        ({"data__synthetic_hw": (31, 64)}, "must be height,width of at least 32"),
        ({"data__keep_rate": 0.0}, "data.keep_rate=0.0 must be in (0, 1]"),
        ({"data__keep_rate": 2.0}, "--config.data.keep_one=true"),
        ({"data__num_folds": 1}, "at least 2"),
        ({"data__num_folds": 3, "data__fold": 3}, "data.fold=3 must be in 0..2"),
        ({"data__num_folds": 3, "data__fold": -1}, "data.fold=-1 must be in 0..2"),
        ({"data__num_folds": 3, "data__test_ids": "0-3"}, "exclude each other"),
        ({"data__fold_by": "cell"}, "data.fold_by=cell: choose group or image"),
        ({"data__loader": "torch"}, "choose auto or arrays or tf"),
        ({"data__resize": "crop"}, "choose squeeze or pad"),
        ({"data__boxes": "none"}, "choose points or annotated"),
        ({"data__intensity": "log"}, "choose auto or percentile or full"),
        ({"optim__name": "sgd"}, "choose momentum or adam or adamw"),
        ({"optim__schedule": "step"}, "choose piecewise or cosine or constant"),
        ({"eval__weights": "mean"}, "choose last or best"),
    ],
)
def test_impossible_values(fields, message):
    with pytest.raises(errors.ConfigError) as caught:
        config_lib.validate(changed(**fields))
    assert str(caught.value).startswith("--config.")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"data__keep_rate": 1e-3},
        {"data__num_folds": 2, "data__fold": 1},
        {"data__crop_hw": (0, 0)},
        {"data__train_ids": "0-3", "data__test_ids": "4"},
    ],
)
def test_possible_values(fields):
    config_lib.validate(changed(**fields))


def test_keys_that_may_change_exist():
    fields = config_lib.to_json(config_lib.Experiment())
    known = {*fields, *overrides.flatten(fields)}
    assert set(config_lib.MAY_CHANGE) <= known


def test_defaults_survive_the_command_line(config):
    """Every default can be written as a flag and comes back the same."""
    known = overrides.flatten(config.to_dict())
    for key, value in known.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        overrides.override(config, key, text)
    assert overrides.flatten(config.to_dict()) == known


def test_needs_neither_jax_nor_tensorflow():
    code = (
        "import sys, cellrec_jax.config, cellrec_jax.overrides; "
        "print(sorted({'jax', 'tensorflow'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
