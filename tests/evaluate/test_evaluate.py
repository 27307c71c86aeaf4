"""Detections come back in px of the image on disk, judged where annotations count."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.config import EvalConfig
from cellrec_jax.data import arrays, example, sets
from cellrec_jax.data.record import Record
from cellrec_jax.evaluate import evaluate
from cellrec_jax.metrics import counting
from cellrec_jax.types import Decode, Detections, Method


def _eval_set() -> sets.EvalSet:
    """Two images 40 x 60 squeezed to 80 x 90; half of the first is ignored."""
    ignore = np.zeros((40, 60), bool)
    ignore[:, 30:] = True
    points = np.array([[10.5, 20.5], [30.5, 50.5]], np.float32)
    records = [
        Record("a", np.zeros((40, 60, 3), np.uint8), points, np.zeros(2, np.int32),
               ignore=ignore),
        Record("b", np.zeros((40, 60, 3), np.uint8), points[:1], np.zeros(1, np.int32)),
    ]  # fmt: skip
    spec = example.ExampleSpec(
        size_hw=(80, 90), max_cells=4, training=False, box_size=8
    )
    examples = [example.prepare(record, spec) for record in records]
    return sets.EvalSet(
        arrays.stack(examples),
        ("a", "b"),
        ("", ""),
        np.stack([e.scale_yx for e in examples]),
        np.array([[40, 60]] * 2),
        0.25,
    )


def _predict(params, model_state, batch, decode):
    """Finds each cell exactly, and one more at (70, 80) of the squeezed image."""
    del params, model_state, decode
    size = batch.image.shape[0]
    extra = jnp.tile(jnp.array([[[70.0, 80.0]]]), (size, 1, 1))
    points = jnp.concatenate([batch.points_yx, extra], axis=1)
    mask = jnp.concatenate([batch.points_mask, jnp.ones((size, 1), bool)], axis=1)
    boxes = jnp.concatenate([batch.boxes_yxyx, jnp.tile(extra, 2)], axis=1)
    return Detections(
        points,
        jnp.ones(mask.shape),
        jnp.zeros(mask.shape, jnp.int32),
        jnp.ones((*mask.shape, 1)),
        mask,
        boxes,
    )


def _results(batch_size):
    return evaluate.predict_set(
        jax.jit(_predict), {}, {}, _eval_set(), 1, batch_size=batch_size
    )


def test_frames_and_regions():
    first, second = _results(1)
    np.testing.assert_allclose(first.true_points_yx, [[10.5, 20.5]], rtol=1e-5)
    np.testing.assert_allclose(
        first.pred_points_yx, [[10.5, 20.5], [30.5, 50.5], [35, 160 / 3]], rtol=1e-5
    )
    assert first.pred_ignored.tolist() == [False, True, True]
    np.testing.assert_allclose(
        first.true_boxes_yxyx, [[6.5, 16.5, 14.5, 24.5]], rtol=1e-5
    )
    assert second.pred_ignored.tolist() == [False, False]
    assert second.image_id == "b"


def test_filler_images_are_left_out():
    results = _results(3)
    assert [r.image_id for r in results] == ["a", "b"]


def test_metrics_of_the_two_images():
    """Image a: 1 cell, found. Image b: 1 cell, found, and 1 false positive."""
    config = EvalConfig(bootstrap=0)
    fitted = counting.fit_operating_point(_results(1), 12.0, ("cell",), (0.0,))
    decode = evaluate.to_json(fitted)
    assert decode["num_labels"] == [2]
    assert decode["min_distance"] == 0
    found = evaluate.metrics(_results(1), ("cell",), config, 12.0, decode)
    assert found["precision@12px"]["value"] == 2 / 3
    assert found["recall@12px"]["value"] == 1.0
    assert found["count_mae"]["value"] == 0.5
    assert found["recall"]["value"] == 1.0


def test_a_shared_threshold_is_asked_for_by_the_config():
    """Scores 0.9 and 0.4 on cells of class 0, 0.6 beside those of class 1."""
    points_yx = np.array([[10.0, 10], [10, 60], [60, 10]])
    one = _results(1)[0]._replace(
        pred_points_yx=points_yx,
        pred_scores=np.array([0.9, 0.4, 0.6], np.float32),
        pred_labels=np.array([0, 0, 1]),
        pred_ignored=np.zeros(3, bool),
        true_points_yx=np.array([[10.0, 10], [10, 60], [90, 90]]),
        true_labels=np.array([0, 0, 1]),
    )
    own, shared = (
        evaluate.fit([one], ("a", "b"), EvalConfig(shared_threshold=yes), 0.0)
        for yes in (False, True)
    )
    np.testing.assert_allclose(own.thresholds, [0.2, 0.5], rtol=1e-6)
    np.testing.assert_allclose(shared.thresholds, [0.2, 0.2], rtol=1e-6)


def test_protocols_and_strictness_of_the_config():
    """Predictions lie exactly on the cells: at radius 0 only strict misses them."""
    decode = {"thresholds": [0.0], "num_labels": [2], "min_distance": 0.0}
    for strict, expected in {False: 0.8, True: 0.0}.items():
        config = EvalConfig(bootstrap=0, radius_px=0.0, strict=strict, beside="nearest")
        found = evaluate.metrics(_results(1), ("cell",), config, 0.0, decode)
        for name in ("F1@0px", "F1(nearest)@0px"):
            assert found[name]["value"] == pytest.approx(expected)
        fitted = evaluate.fit(_results(1), ("cell",), config, 0.0)
        assert fitted.f1 == pytest.approx(expected)


def test_radius_in_micrometres_needs_a_pixel_size():
    config = EvalConfig(radius_um=3.0)
    assert evaluate.radius_px(config, 0.25) == 12.0
    with pytest.raises(errors.ConfigError, match=r"--config\.data\.mpp"):
        evaluate.radius_px(config, 0.0)
    assert evaluate.radius_px(EvalConfig(radius_px=5.0), 0.25) == 5.0


def test_distances_in_micrometres_need_a_pixel_size():
    config = EvalConfig(min_distances_um=(0.0, 2.0))
    assert evaluate.min_distances_px(config, 0.25) == (0.0, 8.0)
    with pytest.raises(errors.ConfigError, match=r"min_distances_um .*data\.mpp"):
        evaluate.min_distances_px(config, 0.0)
    assert evaluate.min_distances_px(EvalConfig(), 0.25) == (0.0,)


def test_batches_are_not_held_for_the_progress_bar():
    """What is tracked has a length and holds no image."""
    seen = []

    def track(items, what):
        seen.append((what, len(items), *items))
        return iter(items)

    predict = jax.jit(_predict)
    evaluate.predict_set(predict, {}, {}, _eval_set(), 1, batch_size=2, track=track)
    assert seen == [("predicting", 1, 0)]


def _method(predict):
    return Method(init=None, loss_fn=None, predict=predict)


def test_validation_fits_the_distance_and_scores_by_f1_without_boxes():
    """A twin 3 px beside each cell goes when distances are tried, and F1 rises."""

    def twins(params, model_state, batch, decode):
        found = _predict(params, model_state, batch, decode)
        moved = found.points_yx + jnp.array([[[5.0, 3.0]]])  # of the squeezed image
        points = jnp.concatenate([found.points_yx, moved], axis=1)
        double = [jnp.concatenate([x, x], axis=1) for x in found[1:5]]
        return Detections(points, *double)

    state = SimpleNamespace(eval_params={}, model_state={})
    scores = {}
    for distances in ((0.0,), (0.0, 6.0)):
        config = EvalConfig(min_distances=distances)
        validate = evaluate.validator(config, _method(twins), _eval_set(), ("cell",))
        fitted, scores[distances] = validate(state)
        assert fitted.min_distance == distances[-1]
    assert list(scores[(0.0,)]) == ["F1@12px"]
    assert scores[(0.0, 6.0)]["F1@12px"] == pytest.approx(0.8)


def test_validation_scores_by_ap_with_boxes():
    state = SimpleNamespace(eval_params={}, model_state={})
    validate = evaluate.validator(
        EvalConfig(), _method(_predict), _eval_set(), ("cell",)
    )
    _, scores = validate(state)
    assert list(scores) == ["AP11"]
    assert scores["AP11"] > 0


def test_seconds_per_image_is_a_time():
    decode = Decode(jnp.zeros(1), jnp.zeros(()))
    seconds = evaluate.seconds_per_image(jax.jit(_predict), {}, {}, _eval_set(), decode)
    assert 0 < seconds < 10


def test_a_fixed_threshold_is_not_fitted():
    config = EvalConfig(threshold=0.5)
    fitted = evaluate.fit(_results(1), ("cell",), config, 0.0)
    assert evaluate.to_json(fitted) == {
        "thresholds": [0.5],
        "num_labels": [0],
        "min_distance": 0.0,
    }
    assert fitted.f1 == pytest.approx(0.8)
    assert evaluate.fit([], ("cell",), config, 0.0).thresholds.tolist() == [0.5]
