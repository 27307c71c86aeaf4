"""Options refuse what cannot work, naming the flag."""

import dataclasses

import pytest

from cellrec_jax import errors
from cellrec_jax.methods.calibrated_rcnn import options as rcnn_options


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("model", "norm", "batch", "model.norm=batch: choose one of auto, frozen"),
        ("model", "norm", "frozen_batch", "model.pretrained=FILE"),
        ("model", "merge", "concat", "half, add"),
        ("model", "dtype", "float16", "float32, bfloat16"),
        ("model", "min_level", 6, "choose one of 2, 3, 4, 5"),
        ("model", "anchor_sizes", (32.0,), "1 sizes for 5 pyramid levels"),
        ("loss", "calibration", "bdi", "plain, bde"),
        ("loss", "scope", "first", "second, both"),
        ("model", "nms_iou", 7.0, r"model.nms_iou=7.0 must be in \[0, 1\]"),
        ("model", "channels", 0, "model.channels=0 must be more than 0"),
        ("model", "roi_batch", 0, "model.roi_batch=0 must be more than 0"),
        ("model", "max_detections", 0, "model.max_detections=0 must be more than 0"),
        ("model", "anchor_ratios", (1.0, -2.0), "model.anchor_ratios=1.0,-2.0 must be"),
        ("loss", "epsilon", 1.0, r"\[0, 1\)"),
        ("loss", "rpn_sigma", 0.0, "loss.rpn_sigma=0.0 must be more than 0"),
        ("loss", "roi_box_weight", -1.0, "loss.roi_box_weight=-1.0 must be 0 or more"),
    ],
)
def test_impossible_options_name_the_flag(section, field, value, message):
    kind = {"model": rcnn_options.ModelOptions, "loss": rcnn_options.LossOptions}
    with pytest.raises(errors.ConfigError, match=message):
        dataclasses.replace(kind[section](), **{field: value})


def test_literal_is_a_reading_of_bde_alone():
    assert rcnn_options.LossOptions(literal=True).literal
    with pytest.raises(errors.ConfigError, match=r"with loss\.calibration=plain"):
        rcnn_options.LossOptions(calibration="plain", literal=True)


def test_pretrained_weights_keep_their_norms_and_stem():
    """Kernels fitted to batch norm make no sense in a network of group norms."""
    fresh = rcnn_options.ModelOptions()
    assert (fresh.norm_kind, fresh.stem_is_frozen) == ("group", False)
    loaded = rcnn_options.ModelOptions(pretrained="weights.npz")
    assert (loaded.norm_kind, loaded.stem_is_frozen) == ("frozen_batch", True)
    asked = dataclasses.replace(loaded, norm="sync_batch", freeze_stem=False)
    assert (asked.norm_kind, asked.stem_is_frozen) == ("sync_batch", False)


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
