"""What is refused, by the flag to change."""

import pytest

from cellrec_jax import errors, methods
from cellrec_jax.methods.compute_options import ComputeOptions
from cellrec_jax.methods.multitask import Options


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("loss", {"corners": (12, 5)}, r"loss\.corners=12,5.*smaller first"),
        ("loss", {"corners": (3, 5)}, r"loss\.corners=3,5"),
        ("loss", {"cell_factor": (1.4, 0.6)}, r"loss\.cell_factor=1\.4,0\.6"),
        ("loss", {"corner_factor": (0.0, 1.0)}, r"loss\.corner_factor"),
        ("loss", {"dynamic_weight": 0.0}, r"consistency_weight=0\.5 does nothing"),
        ("loss", {"radius_px": 0.0}, r"loss\.radius_px=0\.0"),
        ("loss", {"prior_class": -1}, r"loss\.prior_class=-1"),
        ("loss", {"iou_form": "min_max"}, r"loss\.iou_form=min_max"),
        ("prior", {"steps": 0}, r"prior\.steps=0"),
        ("prior", {"threshold": 1.0}, r"prior\.threshold=1\.0"),
        ("model", {"network": "segnet"}, r"model\.network=segnet.*deeplab"),
    ],
)
def test_values_outside_their_limits_are_refused(section, values, message):
    with pytest.raises(errors.ConfigError, match=message):
        methods.freeze({"method": "multitask", section: values})


def test_the_papers_weights():
    loss = methods.freeze({"method": "multitask"}).options.loss
    assert (loss.bce_weight, loss.iou_weight) == (0.8, 0.2)
    weights = loss.dynamic_weight, loss.consistency_weight, loss.prior_weight
    assert weights == (1.0, 0.5, 0.5)
    assert not loss.literal


def test_the_first_network_computes_as_the_second():
    half = ComputeOptions(dtype="bfloat16", remat=True)
    assert Options(compute=half).circles_alone.compute == half
