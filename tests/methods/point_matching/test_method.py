"""Matched points as a method: contract, masks, devices, and that it can learn."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors, methods
from cellrec_jax.config import OptimConfig
from cellrec_jax.methods.point_matching.options import LossOptions
from cellrec_jax.metrics import matching
from cellrec_jax.nn import resnet
from cellrec_jax.types import Decode, Progress

TINY = {"encoder": "tiny", "channels": 4, "max_detections": 100}
P2P = {
    **{"encoder": "vgg_small", "channels": 8, "aggregation": "fpn", "level": 3},
    **{"head": "plain", "anchors": "2x2", "class_head": False, "offset_scale": 100.0},
}
P2P_LOSS = {
    **{"classification": "cross_entropy", "normalizer": "weights"},
    **{"negative_weight": 0.5, "regression_weight": 2e-4},
}
IMAGE = jax.ShapeDtypeStruct((1, 64, 96, 3), jnp.float32)
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""Compiles in half the time."""
KEEP_ALL = Decode(jnp.zeros(2), jnp.zeros(()))


def build(model, loss, num_classes=2):
    experiment = methods.freeze(
        {"method": "point_matching", "model": model, "loss": loss}
    )
    return methods.build(experiment, num_classes)


def _weights(method, rng):
    """Weights of about the size that `init` draws, which takes long to compile."""
    params, state = jax.eval_shape(method.init, jax.random.key(0), IMAGE)

    def draw(path, leaf):
        if path[-1].key == "kernel":
            spread = (2 / np.prod(leaf.shape[:-1])) ** 0.5
            return rng.normal(0, spread, leaf.shape).astype(np.float32)
        return np.full(leaf.shape, path[-1].key == "scale", np.float32)

    assert not state
    return jax.tree_util.tree_map_with_path(draw, params), state


@pytest.fixture(scope="module")
def built():
    """Method, weights, a compiled gradient and prediction of a two-class network."""
    method = build(TINY, {}, num_classes=2)
    params, state = _weights(method, np.random.default_rng(3))
    grad = jit(jax.value_and_grad(method.loss_fn, has_aux=True))
    return method, params, state, grad, jit(method.predict)


def _call(built, batch):
    _, params, state, grad, _ = built
    return grad(params, state, batch, jax.random.key(0), Progress(jnp.int32(0), 10))


@pytest.mark.slow
@pytest.mark.parametrize("calibration", ["label_smoothing", "proselflc"])
def test_other_calibrations_train(tiny_batch, calibration, rng):
    """They change the detection loss alone; ProSelfLC's by how far training is."""
    method = build(TINY, {"calibration": calibration}, num_classes=2)
    plain = build(TINY, {}, num_classes=2)
    params, state = _weights(method, rng)
    losses = []
    for one, step in ((plain, 0), (method, 0), (method, 9)):
        _, (_, metrics) = jit(one.loss_fn)(
            params, state, tiny_batch, jax.random.key(0), Progress(jnp.int32(step), 10)
        )
        losses.append({key: float(value[0]) for key, value in metrics.items()})
    first, calibrated, late = losses
    assert calibrated["loss/regression"] == first["loss/regression"]
    assert calibrated["loss/classification"] == first["loss/classification"]
    assert late["loss/detection"] != pytest.approx(first["loss/detection"], rel=1e-4)
    moved = late["loss/detection"] != calibrated["loss/detection"]
    assert moved == (calibration == "proselflc")


def test_centred_points_lie_on_what_the_features_saw(built, tiny_batch, rng):
    """54 x 87 px go to 64 x 96: 5 rows and 4 columns of mean colour come first."""
    _, params, state, _, predict = built
    centred = build({**TINY, "origin": "center"}, {}, num_classes=2)
    image = rng.uniform(size=(1, 54, 87, 3)).astype(np.float32)
    mean = np.asarray(resnet.IMAGENET_MEAN, np.float32)
    around = np.broadcast_to(mean, (1, 64, 96, 3)).copy()
    around[:, 5:59, 4:91] = image
    one = jax.tree.map(lambda leaf: leaf[:1], tiny_batch)
    small = one._replace(image=image, valid=np.ones((1, 54, 87), bool))
    found = jit(centred.predict)(params, state, small, KEEP_ALL)
    whole = predict(params, state, one._replace(image=around), KEEP_ALL)
    points_yx = np.asarray(found.points_yx[0])[found.mask[0]] + (5, 4)
    assert len(points_yx)
    apart = np.abs(points_yx[:, None] - np.asarray(whole.points_yx)).max(axis=-1)
    np.testing.assert_allclose(apart.min(axis=1), 0, atol=1e-3)
    same = np.asarray(whole.scores)[0, apart.argmin(axis=1)]
    np.testing.assert_allclose(found.scores[0][found.mask[0]], same, atol=1e-4)


def test_every_parameter_receives_gradient(built, tiny_batch):
    (_, (_, metrics)), grads = _call(built, tiny_batch)
    assert metrics["left_over"] == (0, 6)
    for path, leaf in jax.tree_util.tree_flatten_with_path(grads)[0]:
        assert np.any(leaf != 0), path


def test_class_probabilities_sum_to_the_score(built, tiny_batch):
    _, params, state, _, predict = built
    found = predict(params, state, tiny_batch, KEEP_ALL)
    assert found.points_yx.shape == (4, 2 * 3 * 5, 2)  # all proposals
    mask, probs = np.asarray(found.mask), np.asarray(found.class_probs)
    scores = np.asarray(found.scores)
    np.testing.assert_allclose(probs.sum(axis=-1)[mask], scores[mask], rtol=1e-5)
    np.testing.assert_array_equal(found.labels, np.argmax(probs, axis=-1))


def test_the_loss_is_the_weighted_sum_of_its_terms(built, tiny_batch):
    (loss, (_, metrics)), _ = _call(built, tiny_batch)
    terms = {name: float(total / count) for name, (total, count) in metrics.items()}
    expected = LossOptions().regression_weight * terms["loss/regression"]
    expected += terms["loss/detection"] + terms["loss/classification"]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_more_cells_than_proposals_are_left_over(built, tiny_batch):
    """Four cells in a region with one anchor point, at (16, 16)."""
    points = np.array([[14, 14], [14, 18], [18, 14], [18, 18], [0, 0]], np.float32)
    valid = np.zeros_like(tiny_batch.valid)
    valid[0, 12:20, 12:20] = True
    crowd = tiny_batch._replace(
        points_yx=np.broadcast_to(points, (4, 5, 2)),
        points_mask=np.broadcast_to(np.arange(5) < 4, (4, 5)),
        labels=np.ones((4, 5), np.int32),
        valid=valid,
    )
    (loss, (_, metrics)), grads = _call(built, crowd)
    assert metrics["left_over"] == (3, 4)
    assert metrics["matched_px"][1] == 1
    assert np.isfinite(loss)
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(grads))


def test_a_class_without_cells_is_no_error(built, tiny_batch):
    """Its probability only falls; every head is still trained."""
    labels = np.where(tiny_batch.points_mask, 1, -1).astype(np.int32)
    (loss, _), grads = _call(built, tiny_batch._replace(labels=labels))
    assert np.isfinite(loss)
    for path, leaf in jax.tree_util.tree_flatten_with_path(grads)[0]:
        assert np.all(np.isfinite(leaf)), path
        assert np.any(leaf != 0), path
    absent, present = grads["classes"]["output"]["bias"].reshape(-1, 2).sum(axis=0)
    assert absent > 0 > present  # descent goes the other way


def _small(batch):
    """Images of 7 x 5 px, less than a quarter of a cell of the grid."""
    return batch._replace(image=batch.image[:, :7, :5], valid=batch.valid[:, :7, :5])


def test_training_on_less_than_a_cell_of_the_grid_is_refused(built, tiny_batch):
    method, params, state, _, _ = built
    rng, step = jax.random.key(0), Progress(jnp.int32(0), 10)
    with pytest.raises(errors.ConfigError, match=r"7 x 5 px .*data.crop_hw"):
        method.loss_fn(params, state, _small(tiny_batch), rng, step)


@pytest.mark.slow
def test_nothing_is_found_in_less_than_a_cell_of_the_grid(built, tiny_batch):
    _, params, state, _, predict = built
    found = predict(params, state, _small(tiny_batch), KEEP_ALL)
    assert not np.any(found.mask)
    assert np.all(np.isfinite(found.points_yx))


def test_sides_of_any_length_are_padded_as_by_hand(built, tiny_batch):
    """44 x 76 px is 64 x 96 with the mean colour outside, less the outer anchors."""
    small = tiny_batch._replace(
        image=tiny_batch.image[:, :44, :76], valid=tiny_batch.valid[:, :44, :76]
    )
    by_hand = np.broadcast_to(np.float32(resnet.IMAGENET_MEAN), (4, 64, 96, 3)).copy()
    by_hand[:, :44, :76] = small.image
    _, params, state, _, predict = built
    found = predict(params, state, small, KEEP_ALL)
    padded = predict(params, state, tiny_batch._replace(image=by_hand), KEEP_ALL)
    for i in range(4):
        # Untrained offsets are less than the 2 px from the border to an anchor.
        inside = np.all(np.asarray(padded.points_yx[i]) < (44, 76), axis=-1)
        kept = inside & np.asarray(padded.mask[i])
        assert kept.sum() > 10
        for name in ("points_yx", "scores", "labels", "class_probs"):
            np.testing.assert_allclose(
                np.asarray(getattr(found, name)[i])[np.asarray(found.mask[i])],
                np.asarray(getattr(padded, name)[i])[kept],
                rtol=1e-4,
                atol=1e-4,
            )


def test_frozen_norms_are_those_of_the_encoder(tmp_path):
    weights = tmp_path / "weights.npz"
    weights.touch()
    model = {"pretrained": str(weights), "norm": "frozen_batch"}
    method = build(model, {}, num_classes=1)
    params, _ = jax.eval_shape(method.init, jax.random.key(0), IMAGE)
    trained = method.traits.trainable(params)
    chex.assert_trees_all_equal_structs(params, trained)
    assert sum(jax.tree.leaves(trained["encoder"])) == 53  # its convolutions
    rest = {name: part for name, part in trained.items() if name != "encoder"}
    assert all(jax.tree.leaves(rest))


def test_everything_is_trained_from_scratch():
    method = build(P2P, P2P_LOSS, num_classes=2)
    params, _ = jax.eval_shape(method.init, jax.random.key(0), IMAGE)
    assert all(jax.tree.leaves(method.traits.trainable(params)))
    assert method.traits.load_pretrained(params, {}) == (params, {}, ())


@pytest.mark.slow
def test_p2pnets_choice_trains_every_parameter(tiny_batch):
    """The regression head too, which the public code leaves as it was drawn."""
    method = build(P2P, P2P_LOSS, num_classes=2)
    params, state = method.init(jax.random.key(0), tiny_batch.image)
    grad = jax.jit(jax.value_and_grad(method.loss_fn, has_aux=True))
    (loss, (_, metrics)), grads = grad(
        params, state, tiny_batch, jax.random.key(0), Progress(jnp.int32(0), 10)
    )
    assert np.isfinite(loss)
    assert metrics["loss/classification"][0] == 0
    for path, leaf in jax.tree_util.tree_flatten_with_path(grads)[0]:
        assert np.any(leaf != 0), path


ADAMW = OptimConfig("adamw", 2e-3, schedule="cosine", clip_norm=1.0)


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["shui", "p2pnet"])
def test_overfits_one_image(choice, overfit, one_image):
    """Matching, targets, decoding and metric agree: every cell with its class."""
    prepared, batch = one_image
    model, loss = {"encoder": "tiny", "channels": 32}, {}
    if choice == "p2pnet":
        model, loss = {**P2P, "channels": 16}, P2P_LOSS
    method = build(model, loss, num_classes=2)
    steps = 300 if choice == "shui" else 500
    params, state, metrics = overfit(method, batch, ADAMW, steps)
    assert metrics["matched_px"][0] / metrics["matched_px"][1] < 1
    decode = Decode(jnp.full(2, 0.5), jnp.zeros(()))
    found = jax.jit(method.predict)(params, state, batch, decode)
    mask = np.asarray(found.mask[0])
    points, labels = np.asarray(found.points_yx[0])[mask], found.labels[0][mask]
    truth = prepared.points_yx[prepared.points_mask]
    pairs = matching.match_points(points, truth, 8.0)
    assert len(pairs) == len(points) == len(truth)
    np.testing.assert_array_equal(
        labels[pairs[:, 0]], prepared.labels[prepared.points_mask][pairs[:, 1]]
    )


@pytest.mark.slow
def test_overfits_one_real_image(overfit, real_image, f1_on):
    model = {"encoder": "small", "channels": 64, "level": 4, "anchors": "1x1"}
    method = build({**model, "offset_scale": 8.0}, {}, num_classes=2)
    config = dataclasses.replace(ADAMW, learning_rate=3e-3)
    params, state, _ = overfit(method, real_image, config, steps=250)
    decode = Decode(jnp.full(2, 0.5), jnp.zeros(()))
    assert f1_on(method, (params, state), real_image, decode) >= 0.95


def test_weights_of_points_warm_up_but_those_of_known_background(rng, tiny_batch):
    """Three cells are given, two predicted, one is none: a label there says nothing."""
    trust = np.ones((4, 5), np.float32)
    trust[0, 2], trust[3] = -1, 0.25
    loss = {"calibration": "constant", "constant_weight": 0.2, "warmup": 0.5}
    method = build(TINY, loss)
    weights = _weights(method, rng)

    @jit
    def run(step, labels):
        batch = tiny_batch._replace(trust=trust, labels=labels)
        return method.loss_fn(*weights, batch, jax.random.key(0), Progress(step, 8))

    labels = tiny_batch.labels
    for step, expected in ((0, 1.0), (2, 0.6), (4, 0.2), (7, 0.2)):
        found, (_, metrics) = run(jnp.int32(step), labels)
        total, count = metrics["negative_weight"]
        known, images = metrics["known_background"]
        assert 0 < known < count
        assert images == 4
        np.testing.assert_allclose(total, expected * (count - known) + known, rtol=1e-4)
    assert metrics["trust"] == (3 + 2 * 0.25, 5)
    other = labels.copy()
    other[0, 2] = 1 - other[0, 2]
    assert run(jnp.int32(7), other)[0] == found
