"""Options refuse what cannot work, naming the flag."""

import pytest

from cellrec_jax import errors
from cellrec_jax.methods.density_map.options import LossOptions, ModelOptions


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("model", {"network": "segnet"}, "model.network=segnet.*fcrn_a"),
        ("model", {"norm": "frozen_batch"}, "model.norm=frozen_batch.*sync_batch"),
        ("loss", {"form": "mse"}, "loss.form=mse.*squared"),
        ("loss", {"height": 0.0}, "loss.height=0.0 must be more than 0"),
        ("loss", {"side_px": 8}, "loss.side_px=8 must be odd"),
    ],
)
def test_impossible_options_name_the_flag(section, changes, message):
    kind = {"model": ModelOptions, "loss": LossOptions}[section]
    with pytest.raises(errors.ConfigError, match=message):
        kind(**changes)
