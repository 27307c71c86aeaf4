"""Options of mining that do nothing are refused, with their key."""

import pytest

from cellrec_jax import errors
from cellrec_jax.methods.calibrated_rcnn.options import LossOptions


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mining_at": 0.5}, r"mining_at=0\.5 does nothing with loss\.mining=none"),
        ({"mining": "teacher", "mining_consistency": 0.0}, "mining_consistency=0.0"),
        ({"mining": "pseudo_positive", "mining_weight": 0.5}, "mining_weight=0.5"),
        (
            {"mining": "pseudo_positive", "mining_negatives": "doubted"},
            "mining_negatives=doubted does nothing",
        ),
        (
            {"mining": "teacher", "mining_rule": "lee_liu", "mining_at": 0.5},
            r"does nothing with loss\.mining_rule=lee_liu",
        ),
        ({"mining": "teachers"}, "choose one of none, co_mining"),
        ({"mining": "teacher", "mining_boxes": 0}, "must be more than 0"),
    ],
)
def test_options_that_do_nothing_are_refused(fields, message):
    with pytest.raises(errors.ConfigError, match=message):
        LossOptions(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"mining": "pseudo_positive", "mining_consistency": 0.0, "mining_at": 0.5},
        {"mining": "teacher", "mining_rule": "lee_liu", "mining_weight": 0.5},
        {"mining": "co_mining", "mining_negatives": "focal_iou", "mining_boxes": 9},
    ],
)
def test_those_that_act_are_taken(fields):
    loss = LossOptions(**fields)
    assert {name: getattr(loss, name) for name in fields} == fields
