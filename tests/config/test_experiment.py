import dataclasses
import json
import subprocess
import sys

from ml_collections import ConfigDict
import numpy as np
import pytest

from cellrec_jax import config as config_lib
from cellrec_jax import errors, methods
from cellrec_jax.config import EvalConfig, overrides
from cellrec_jax.methods import calibrated_rcnn
from cellrec_jax.rounds import directory as round_directory


@pytest.fixture
def config() -> ConfigDict:
    return config_lib.base("calibrated_rcnn", calibrated_rcnn.Options())


def test_freeze_keeps_changes(config):
    config.seed = 5
    config.model.channels = 16
    config.data.size_hw = (40, 60)
    experiment = methods.freeze(config)
    assert (experiment.seed, experiment.options.model.channels) == (5, 16)
    assert experiment.data == config_lib.DataConfig(size_hw=(40, 60))
    with pytest.raises(dataclasses.FrozenInstanceError):
        experiment.seed = 6


def test_freeze_validates(config):
    config.batch_size = 0
    with pytest.raises(errors.ConfigError, match=r"--config\.batch_size=0"):
        methods.freeze(config)


def test_json_round_trip(config):
    config.model.anchor_ratios = (1.0, 2.0)
    config.optim.drops = ()
    experiment = methods.freeze(config)
    fields = config_lib.to_json(experiment)
    assert methods.from_json(fields) == experiment
    assert methods.from_json(json.loads(json.dumps(fields))) == experiment


def test_stored_configuration_of_another_version():
    fields = config_lib.to_json(methods.freeze({"method": "calibrated_rcnn"}))
    broken = [
        {**fields, "no_such_key": 1},
        {**fields, "data": {**fields["data"], "no_such_key": 1}},
        {**fields, "log": 3},
    ]
    for one in broken:
        with pytest.raises(errors.ConfigError, match="does not fit this version"):
            methods.from_json(one)
    older = {name: value for name, value in fields.items() if name != "optim"}
    assert methods.from_json(older) == methods.freeze({"method": "calibrated_rcnn"})


@pytest.mark.parametrize(
    "scales",
    [(), (1.0, 0.2), (4.5,), (0.0,), (-1.0,), (np.nan,), (np.inf,), (1.0, 0.5, 1.0)],
)
def test_view_scales_that_cannot_be_meant_are_refused(scales):
    with pytest.raises(
        errors.ConfigError, match=r"^--config\.eval\.view_scales[^\n]*$"
    ):
        EvalConfig(view_scales=scales)


def test_view_scales_at_their_limits():
    assert EvalConfig(view_scales=(0.25, 4.0)).has_views
    assert EvalConfig(views=2).has_views
    assert not EvalConfig().has_views


def test_keys_that_may_change_exist():
    fields = config_lib.to_json(methods.freeze({"method": "heatmap_pu"}))
    known = {*fields, *overrides.flatten(fields)}
    assert {*config_lib.MAY_CHANGE, *round_directory.MAY_CHANGE} <= known


def test_defaults_survive_the_command_line(config):
    """Every default can be written as a flag and comes back the same."""
    known = overrides.flatten(config.to_dict())
    for key, value in known.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        overrides.override(config, key, text)
    assert overrides.flatten(config.to_dict()) == known


def test_needs_neither_jax_nor_tensorflow():
    code = (
        "import sys, cellrec_jax.config.overrides; "
        "print(sorted({'jax', 'tensorflow'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
