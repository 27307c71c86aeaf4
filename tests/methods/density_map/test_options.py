"""Options refuse what cannot work, naming the flag."""

import pytest

from cellrec_jax import errors
from cellrec_jax.methods.density_map.options import LossOptions, ModelOptions, Options
from cellrec_jax.ops import heatmaps


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("model", {"network": "segnet"}, "model.network=segnet.*fcrn_a"),
        ("model", {"backbone": "vgg16"}, "model.backbone=vgg16.*resnet101"),
        ("model", {"norm": "frozen_batch"}, "model.norm=frozen_batch.*sync_batch"),
        ("model", {"dtype": "float16"}, "model.dtype=float16.*bfloat16"),
        ("model", {"width": -1}, "model.width=-1"),
        ("model", {"max_detections": 0}, "model.max_detections=0 must be more than 0"),
        ("model", {"window_px": 0}, "model.window_px=0 must be more than 0"),
        ("loss", {"target": "square"}, "loss.target=square.*stamp"),
        ("loss", {"iou_form": "jaccard"}, "loss.iou_form=jaccard.*dice"),
        ("loss", {"sigma_px": 0.0}, "loss.sigma_px=0.0 must be more than 0"),
        ("loss", {"radius_px": float("nan")}, "loss.radius_px=nan"),
        ("loss", {"side_px": 8}, "loss.side_px=8 must be odd"),
        ("loss", {"side_px": -1}, "loss.side_px=-1"),
        ("loss", {"bce_weight": -0.1}, "loss.bce_weight"),
        ("loss", {"iou_weight": -0.1}, "iou_weight"),
    ],
)
def test_impossible_options_name_the_flag(section, changes, message):
    kind = {"model": ModelOptions, "loss": LossOptions}[section]
    with pytest.raises(errors.ConfigError, match=message):
        kind(**changes)


def test_defaults_are_the_papers():
    loss = Options().loss
    assert (loss.bce_weight, loss.iou_weight) == (0.8, 0.2)
    assert loss.maps() == heatmaps.MapOptions(form="stamp")
    assert LossOptions(target="gaussian").maps() == heatmaps.GAUSSIAN
    assert Options().model.norm == "group"
