"""Rounds of a detector whose own score and threshold tell which cells it takes."""

import dataclasses
import shutil

import chex
import numpy as np
import pytest

from cellrec_jax import config as config_lib
from cellrec_jax import errors, methods, run
from cellrec_jax.data import arrays, sets
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds import rounds as refine
from cellrec_jax.rounds.files import RoundFiles
from cellrec_jax.workdir import model as model_lib

SIZE_HW = (64, 96)
CELLS = np.array([[16, 16], [16, 48], [18, 80], [46, 20], [48, 52], [46, 82]])


def _image(seed: int) -> np.ndarray:
    """Discs of 8 px at CELLS + seed, on noise; [H, W, 3] uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(*(np.arange(n) + 0.5 for n in SIZE_HW), indexing="ij")
    near = [np.hypot(y - py, x - px) < 8 for py, px in CELLS + seed % 3]
    image = 40 + 160 * np.any(near, axis=0)[..., None] + rng.normal(0, 4, (*SIZE_HW, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


def _experiment(**sections) -> config_lib.Experiment:
    base = {
        "method": "calibrated_rcnn",
        "total_steps": 60,
        "batch_size": 4,
        "model": {
            **{"backbone": "tiny", "channels": 8, "rpn_channels": 8},
            **{"head_channels": 16, "min_level": 3, "merge": "add"},
            "anchor_sizes": (20.0, 32.0, 48.0, 64.0),
            "anchor_ratios": (1.0,),
            **{"rpn_batch": 32, "roi_batch": 16, "roi_size": 3},
            **{"pre_nms_train": 64, "post_nms_train": 32},
            **{"pre_nms_test": 96, "post_nms_test": 48, "max_detections": 24},
        },
        "refine": {"rounds": 1, "match_px": 6.0, "first_share": 0.667},
        "data": {
            **{"size_hw": SIZE_HW, "keep_rate": 0.5, "max_cells": 16, "box_size": 20.0},
            "flip": False,
        },
        "optim": {"name": "adam", "learning_rate": 1e-2, "schedule": "constant"},
        "eval": {"radius_px": 6.0, "bootstrap": 10},
        "checkpoint": {"every": 30},
    }
    changed = {name: {**base[name], **change} for name, change in sections.items()}
    return methods.freeze({**base, **changed})


def _data(experiment: config_lib.Experiment) -> sets.Sets:
    """Four images to train on, two that choose the threshold, one to test."""
    source = arrays.from_arrays(
        [_image(seed) for seed in range(7)], [CELLS + seed % 3 for seed in range(7)]
    )
    spec = sets.evaluation_spec(experiment.data)
    training = dataclasses.replace(
        spec, training=True, keep_rate=experiment.data.keep_rate
    )
    ids = source.image_ids
    return sets.Sets(
        sets.Split(source, ids[:4], training),
        sets.Split(source, ids[4:6], spec),
        sets.Split(source, ids[6:], spec),
        (),
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of one round; tests must not write there."""
    workdir = tmp_path_factory.mktemp("rounds")
    experiment = _experiment()
    assert run.train_and_evaluate(experiment, workdir, data=_data(experiment)) == 0
    return workdir, experiment


@pytest.mark.slow
def test_all_detections_above_the_fitted_threshold_are_taken(finished):
    """The others stay out, the given ones in; of 24 cells 12 are given."""
    workdir, _ = finished
    files = RoundFiles(workdir, dict.fromkeys(map("{:06d}".format, range(4)), SIZE_HW))
    before, after = files.read_labels(0), files.read_labels(1)
    model = model_lib.restore(workdir / "rounds" / "0" / "seed_0")
    (threshold,) = model.meta["decode"]["thresholds"]
    ranks = np.concatenate([one.ranks for one in after.values()])
    taken = ranks[np.isfinite(ranks)]
    assert len(taken) >= 1
    assert (taken >= np.float32(threshold)).all()
    candidates = files.read_candidates(0)
    assert (candidates.heights >= np.float32(threshold)).all()
    for old, new in zip(before.values(), after.values(), strict=True):
        kept = round_labels.only_given(new)
        np.testing.assert_array_equal(kept.points_yx, old.points_yx)
    first, second = files.read_summaries()
    assert first["selected"]["threshold"] == threshold
    assert first["selected"]["positive"] == len(taken)
    found = first["selected"]["positive_purity"] * len(taken)
    assert found >= 6  # of 12 cells without a label
    assert first["selected"]["positive_recall"] == pytest.approx(found / 12)
    assert second["labels"]["pseudo_positive"] == len(taken)
    assert "selected" not in second
    ours = model_lib.restore(workdir).params
    assert model.step == 40
    assert model_lib.restore(workdir).step == 60
    last = model_lib.restore(workdir / "rounds" / "1" / "seed_0").params
    chex.assert_trees_all_equal(ours, last)


@pytest.mark.slow
def test_a_run_that_was_killed_ends_with_the_same_bits(finished, tmp_path):
    """Killed before its labels were chosen, round 0 is not trained again."""
    workdir, experiment = finished
    copy = shutil.copytree(workdir, tmp_path / "copy")
    for folder in ("checkpoints", "rounds/1", "labels/round_1"):
        shutil.rmtree(copy / folder)
    for file in ("labels/round_1.json", "rounds/0/summary.json"):
        (copy / file).unlink()
    metrics = (copy / "rounds" / "0" / "seed_0" / "metrics.jsonl").read_bytes()
    assert run.train_and_evaluate(experiment, copy, data=_data(experiment)) == 0
    first = copy / "rounds" / "0" / "seed_0"
    assert (first / "metrics.jsonl").read_bytes() == metrics
    last = "labels/round_1.json"
    assert (copy / last).read_bytes() == (workdir / last).read_bytes()
    ours, theirs = (model_lib.restore(folder).params for folder in (copy, workdir))
    chex.assert_trees_all_equal(ours, theirs)


def test_rounds_by_a_threshold_need_images_that_choose_it(tmp_path):
    """Refused before a detector is trained."""
    experiment = _experiment()
    data = _data(experiment)
    data = data._replace(val=data.val._replace(image_ids=()))
    with pytest.raises(errors.ConfigError, match=r"data\.threshold_share=0\.5"):
        run.train_and_evaluate(experiment, tmp_path, data=data)
    assert not (tmp_path / "labels").exists()
    refine._check_threshold(_experiment(eval={"threshold": 0.2}), data)
    refine._check_threshold(_experiment(refine={"take": "share"}), data)


def test_a_threshold_of_too_few_labels_is_told():
    decode = {"scope": "default", "thresholds": [0.5]}
    (note,) = refine._threshold_notes(decode)
    assert "default of 0.5" in note
    assert refine._threshold_notes({**decode, "scope": "own"}) == []


def test_patches_of_no_ranking_may_be_of_any_size():
    refine.check(_experiment(refine={"patch_px": 65}))
    classified = {"patch_px": 65, "rank": "p_classification", "take": "share"}
    with pytest.raises(errors.ConfigError, match=r"refine.patch_px=65: .*64,96"):
        refine.check(_experiment(refine=classified))
