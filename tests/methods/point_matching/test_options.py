"""Options refuse what cannot work, naming the flag."""

import dataclasses

import pytest

from cellrec_jax import errors
from cellrec_jax.losses import matched
from cellrec_jax.methods.point_matching import options as point_options
from cellrec_jax.methods.point_matching.options import (
    LossOptions,
    ModelOptions,
    Options,
)


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("model", {"encoder": "resnet51"}, "model.encoder=resnet51.*resnet50"),
        ("model", {"norm": "batch"}, "model.norm=batch.*sync_batch"),
        ("model", {"norm": "frozen_batch"}, "model.pretrained=FILE"),
        ("model", {"aggregation": "pfa"}, "model.aggregation=pfa.*concat"),
        ("model", {"head": "mlp"}, "model.head=mlp.*residual"),
        ("model", {"dtype": "float16"}, "model.dtype=float16.*bfloat16"),
        ("model", {"level": 6}, "model.level=6: resnet50 has 2, 3, 4, 5"),
        ("model", {"encoder": "vgg16"}, "model.level=5: vgg16 has 2, 3, 4"),
        ("model", {"channels": 0}, "model.channels=0 must be more than 0"),
        ("model", {"max_detections": 0}, "model.max_detections=0"),
        ("model", {"offset_scale": float("nan")}, "model.offset_scale=nan"),
        ("model", {"anchors": "six"}, "model.anchors: .*'six'"),
        (
            "model",
            {"encoder": "vgg16", "level": 3, "pretrained": "vgg.npz"},
            "model.pretrained is for ResNets, not vgg16",
        ),
        ("loss", {"matcher": "gpu"}, "loss.matcher=gpu.*host"),
        ("loss", {"normalizer": "cells"}, "loss.normalizer=cells.*weights"),
        ("loss", {"classification": "mae"}, "loss.classification=mae.*gce"),
        ("loss", {"class_reduction": "max"}, "loss.class_reduction=max.*sum"),
        ("loss", {"point_error": "l1"}, "loss.point_error=l1.*norm"),
        ("loss", {"calibration": "bdi"}, "loss.calibration=bdi.*bde"),
        ("loss", {"density_form": "fast"}, "loss.density_form=fast.*sorted"),
        ("loss", {"epsilon": 1.0}, r"loss.epsilon=1.0 must be in \[0, 1\)"),
        ("loss", {"proselflc_steepness": 0.0}, "loss.proselflc_steepness=0.0"),
        ("loss", {"q": 0.0}, r"loss.q=0.0 must be in \(0, 1\]"),
        ("loss", {"q": 1.5}, "loss.q=1.5"),
        ("loss", {"distance_cost": -1.0}, "loss.distance_cost=-1.0 must be 0 or more"),
        ("loss", {"gamma": float("nan")}, "loss.gamma=nan"),
    ],
)
def test_impossible_options_name_the_flag(section, changes, message):
    kind = {"model": ModelOptions, "loss": LossOptions}[section]
    with pytest.raises(errors.ConfigError, match=message):
        kind(**changes)


def test_robust_classification_needs_a_class_head():
    model = ModelOptions(class_head=False)
    with pytest.raises(errors.ConfigError, match=r"classification=gce.*class_head"):
        Options(model=model)
    Options(model=model, loss=LossOptions(classification="cross_entropy"))


def test_defaults_are_the_papers():
    model, loss = Options().model, Options().loss
    assert (model.encoder, model.aggregation, model.head) == (
        "resnet50",
        "concat",
        "residual",
    )
    assert (model.level, model.anchors, model.class_head) == (5, "five", True)
    assert loss.distance_cost == 0.05
    assert loss.calibration == "plain"
    assert loss.terms() == matched.PAPER_OPTIONS


def test_every_term_reaches_the_loss():
    changes = {
        "negative_weight": 0.25,
        "q": 0.75,
        "gamma": 0.5,
        "regression_weight": 0.125,
        "point_error": "norm",
        "squared_norm": True,
        "class_reduction": "sum",
        "classification": "cross_entropy",
        "normalizer": "weights",
    }
    assert LossOptions(**changes).terms() == matched.PointLossOptions(**changes)
    assert set(changes) == set(matched.PointLossOptions._fields)


@pytest.mark.parametrize("kind", [ModelOptions, LossOptions])
def test_options_are_plain_values(kind):
    """They go through JSON and the command line."""
    for field in dataclasses.fields(kind):
        assert isinstance(field.default, bool | int | float | str), field.name
    assert point_options.Options().model == ModelOptions()
