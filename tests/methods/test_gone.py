"""Configurations of older versions are read where they hold what is done now."""

import pytest

from cellrec_jax import config, errors, methods


def _stored(**sections):
    fields = config.to_json(methods.freeze({"method": "calibrated_rcnn"}))
    return {**fields, **{k: {**fields.get(k, {}), **v} for k, v in sections.items()}}


def test_a_default_is_passed_over():
    fields = _stored(
        model={"box_scales": [10.0, 10.0, 5.0, 5.0], "roi_canonical": 224.0},
    )
    # Once all methods had this section, and only one of them had rounds.
    fields["refine"] = {"rounds": 0, "match_px": 15.0, "ridge": 10.0}
    assert methods.from_json(fields) == methods.freeze({"method": "calibrated_rcnn"})
    del fields["refine"]
    assert methods.from_json(fields) == methods.freeze({"method": "calibrated_rcnn"})


def test_rounds_of_before_are_ranked_by_classification():
    fields = config.to_json(methods.freeze({"method": "heatmap_pu"}))
    fields["refine"] = {"rounds": 2, "match_px": 7.5}
    refine = methods.from_json(fields).options.refine
    assert (refine.rounds, refine.match_px) == (2, 7.5)
    assert (refine.rank, refine.take) == ("p_classification", "share")


def test_a_key_that_moved_keeps_its_value():
    fields = _stored(model={"dtype": "bfloat16", "remat": True})
    del fields["compute"]
    wanted = {"compute.dtype": "bfloat16", "compute.remat": True}
    plain = methods.freeze({"method": "calibrated_rcnn"})
    assert methods.from_json(fields) == methods.changed(plain, wanted)


@pytest.mark.parametrize(
    ("method", "chosen"),
    [
        ("point_matching", {"calibration": "bde"}),
        ("heatmap_pu", {"form": "bde"}),
        ("heatmap_pu", {"form": "recalibrated"}),
    ],
)
def test_runs_of_before_have_energy_above_a_half_alone(method, chosen):
    fields = config.to_json(methods.freeze({"method": method, "loss": chosen}))
    assert methods.from_json(fields).options.loss.doubtful == "weighted"
    del fields["loss"]["doubtful"]
    assert methods.from_json(fields).options.loss.doubtful == "confident"
    plain = config.to_json(methods.freeze({"method": method}))
    del plain["loss"]["doubtful"]
    assert methods.from_json(plain) == methods.freeze({"method": method})


def test_masks_of_before_had_background_at_points():
    fields = config.to_json(methods.freeze({"method": "estimate_mask"}))
    assert methods.from_json(fields).options.masks.clear_px == 10
    del fields["masks"]["clear_px"]
    assert methods.from_json(fields).options.masks.clear_px == 0


def test_another_value_is_refused():
    with pytest.raises(errors.ConfigError, match=r"loss\.roi_box_weight=2\.0"):
        methods.from_json(_stored(loss={"roi_box_weight": 2.0}))
    with pytest.raises(errors.ConfigError, match="refine"):
        methods.from_json({"method": "point_matching", "refine": {"rounds": 2}})
