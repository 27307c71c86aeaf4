"""Options refuse what cannot work, naming the flag."""

import dataclasses

import pytest

from cellrec_jax import errors
from cellrec_jax.methods import rcnn_options


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("model", "norm", "batch", "model.norm=batch: choose one of frozen_batch"),
        ("model", "norm", "frozen_batch", "model.pretrained=FILE"),
        ("model", "merge", "concat", "half, add"),
        ("model", "dtype", "float16", "float32, bfloat16"),
        ("model", "min_level", 6, "choose 2, 3, 4 or 5"),
        ("model", "anchor_sizes", (32.0,), "1 sizes for 5 pyramid levels"),
        ("loss", "calibration", "bdi", "plain, bde"),
        ("loss", "scope", "first", "second, both"),
        ("loss", "epsilon", 1.0, r"\[0, 1\)"),
    ],
)
def test_impossible_options_name_the_flag(section, field, value, message):
    kind = {"model": rcnn_options.ModelOptions, "loss": rcnn_options.LossOptions}
    with pytest.raises(errors.ConfigError, match=message):
        dataclasses.replace(kind[section](), **{field: value})


def test_defaults_are_the_papers():
    model, loss = rcnn_options.Options().model, rcnn_options.Options().loss
    assert model.anchor_sizes == (32.0, 64.0, 128.0, 256.0, 512.0)
    assert (model.rpn_batch, model.roi_batch, model.roi_positive_fraction) == (
        256,
        256,
        0.25,
    )
    assert (model.nms_iou, model.max_detections) == (0.3, 100)
    assert (loss.calibration, loss.scope, loss.literal) == ("bde", "second", False)
