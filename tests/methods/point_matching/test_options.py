"""Options refuse what cannot work, naming the flag."""

import pytest

from cellrec_jax import errors
from cellrec_jax.losses import matched
from cellrec_jax.methods.point_matching.options import (
    LossOptions,
    ModelOptions,
    Options,
)


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("model", {"encoder": "resnet51"}, "model.encoder=resnet51.*resnet50"),
        ("model", {"norm": "frozen_batch"}, "model.pretrained=FILE"),
        ("model", {"level": 6}, "model.level=6: resnet50 has 2, 3, 4, 5"),
        ("model", {"encoder": "vgg16"}, "model.level=5: vgg16 has 2, 3, 4"),
        ("model", {"offset_scale": float("nan")}, "model.offset_scale=nan"),
        ("model", {"anchors": "six"}, "model.anchors: .*'six'"),
        (
            "model",
            {"encoder": "vgg16", "level": 3, "pretrained": "vgg.npz"},
            "model.pretrained is for ResNets, not vgg16",
        ),
        ("loss", {"calibration": "bdi"}, "loss.calibration=bdi.*bde"),
        (
            "loss",
            {"focal": 2.0, "calibration": "proselflc"},
            "focal=2.0 and loss.calibration=proselflc are two losses",
        ),
        ("loss", {"doubtful": "top"}, "loss.doubtful=top does nothing with loss.cal"),
        (
            "loss",
            {"calibration": "bde", "doubtful_share": 0.2},
            "doubtful_share=0.2 does nothing with loss.doubtful=weighted: set ",
        ),
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
