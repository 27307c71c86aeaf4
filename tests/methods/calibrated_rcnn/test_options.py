"""Options refuse what cannot work, naming the flag."""

import dataclasses

import pytest

from cellrec_jax import errors
from cellrec_jax.methods.calibrated_rcnn import options as rcnn_options
from cellrec_jax.methods.point_matching import options as point_options


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("model", "norm", "frozen_batch", "model.pretrained=FILE"),
        ("model", "anchor_sizes", (32.0,), "1 sizes for 5 pyramid levels"),
        ("model", "nms_iou", 7.0, r"model.nms_iou=7.0 must be in \[0, 1\]"),
        ("model", "anchor_ratios", (1.0, -2.0), "model.anchor_ratios=1.0,-2.0 must be"),
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


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"calibration": "constant", "energy_order": "inverse"}, "calibration=bde"),
        ({"literal": True, "energy_order": "inverse"}, "without loss.literal=false"),
        ({"energy": "kernel", "calibration": "plain", "kernel_px": 3.0}, "tion=bde"),
        ({"energy": "score", "energy_boxes": "proposals"}, "without loss.energy="),
        ({"kernel_px": 3.0}, "without loss.energy=kernel"),
        ({"soft_least": 0.1}, "without loss.calibration=soft_sampling"),
        (
            {"calibration": "soft_sampling", "soft_reach": 3.0},
            "without loss.soft_by=distance",
        ),
        ({"recalibrated_iou": 0.2}, "without loss.calibration=recalibrated"),
        ({"prior": 0.2}, "without loss.calibration=pu"),
        ({"calibration": "pu", "warmup": 0.1}, "loss.warmup=0.1 does nothing with"),
        ({"calibration": "plain", "warmup": 0.1}, "choose one of bde, constant"),
    ],
)
def test_options_of_what_is_not_chosen_are_refused(loss, message):
    with pytest.raises(errors.ConfigError, match=message):
        rcnn_options.LossOptions(**loss)


@pytest.mark.parametrize("name", ["soft_sampling", "recalibrated", "pu"])
def test_calibrations_of_boxes_are_not_those_of_points(name):
    assert rcnn_options.LossOptions(calibration=name).calibration == name
    with pytest.raises(errors.ConfigError, match="choose one of plain, bde, constant"):
        point_options.LossOptions(calibration=name)
