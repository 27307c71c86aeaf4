"""Masks to cells, the dense CRF's time, the detector's knowledge, and learning."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors, methods
from cellrec_jax.config import OptimConfig
from cellrec_jax.methods.estimate_mask import decode, labels
from cellrec_jax.metrics import matching
from cellrec_jax.types import FIRST, Decode, Progress

TINY = {"network": "fcrn_a", "width": 4, "max_detections": 20}


def build(**sections):
    sections["model"] = {**TINY, **sections.get("model", {})}
    return methods.build(methods.freeze({"method": "estimate_mask", **sections}), 2)


def experiment_of(**sections):
    return methods.freeze({"method": "estimate_mask", **sections}).options


def keep(threshold=0.0, distance=0.0):
    return Decode(jnp.full(2, threshold), jnp.float32(distance))


def test_cells_are_the_parts_of_each_classs_mask():
    """Three parts of class 0, of which one is too small, touching one of class 1."""
    probs = np.zeros((20, 30, 2), np.float32)
    masks = np.zeros((20, 30, 2), bool)
    for rows, columns, label, value in (
        (slice(2, 6), slice(2, 6), 0, 0.9),
        (slice(2, 6), slice(6, 10), 1, 0.6),
        (slice(10, 16), slice(10, 20), 0, 0.7),
        (slice(18, 19), slice(25, 27), 0, 1.0),
    ):
        masks[rows, columns, label] = True
        probs[rows, columns, label] = value
    probs[2:6, 2:6, 1] = 0.05
    probs[10:13, 10:20, 0] = 0.8

    def run(least, most, decoding):
        return decode.detect(
            probs,
            masks,
            decode=decoding,
            least_area=least,
            most_area=most,
            max_detections=6,
        )

    found = run(4, 100, keep())
    assert found.mask.tolist() == [True, True, True, False, False, False]
    np.testing.assert_allclose(found.points_yx[:3], [[4, 4], [13, 15], [4, 8]])
    np.testing.assert_allclose(found.scores[:3], [0.9, 0.75, 0.6], rtol=1e-5)
    assert found.labels[:3].tolist() == [0, 0, 1]
    np.testing.assert_allclose(found.class_probs[0], [0.9, 0.05], rtol=1e-5)
    assert run(4, 50, keep()).mask.sum() == 2
    assert run(1, 100, keep()).mask.sum() == 4
    assert run(4, 100, keep(0.7)).mask.sum() == 2
    near = run(4, 100, keep(0.0, 6.0))  # of the two touching the better stays
    assert near.mask.sum() == 2
    assert near.labels[:2].tolist() == [0, 0]


def test_label_maps_are_needed(tiny_batch):
    method = build()
    with pytest.raises(errors.ConfigError, match="learns from label maps"):
        jax.eval_shape(
            method.loss_fn,
            *jax.eval_shape(method.init, jax.random.key(0), tiny_batch.image),
            tiny_batch,
            jax.random.key(0),
            Progress(jnp.int32(0), 10),
        )


def test_losses_are_weighted_and_the_crf_waits_for_its_time(tiny_batch):
    shape = (*tiny_batch.valid.shape, 2)
    values = np.array([0, 1, 2, 255], np.uint8)
    batch = tiny_batch._replace(maps=np.random.default_rng(0).choice(values, shape))
    loss = {"voronoi_weight": 0.25, "crf_weight": 0.5, "crf_from": 0.6}
    method = build(loss={**loss, "crf_window_px": 1})
    params, state = method.init(jax.random.key(0), batch.image)
    call = jax.jit(method.loss_fn)
    for step, counts in ((5, False), (6, True)):
        progress = Progress(jnp.int32(step), 10)
        total, (_, metrics) = call(params, state, batch, jax.random.key(0), progress)
        costs = {name: float(pair[0]) for name, pair in metrics.items()}
        assert (costs["loss/crf"] > 0) == counts
        parts = (costs["loss/voronoi"], costs["loss/cluster"], costs["loss/crf"])
        np.testing.assert_allclose(total, np.dot((0.25, 0.5, 0.5), parts), rtol=1e-5)
    known, counted = metrics["known/cluster"]
    assert counted == batch.valid.sum()
    assert known == (batch.maps[..., 1] != 255).sum()


def test_the_detector_learns_nothing_of_what_is_not_known(tiny_batch):
    """Beyond the ring a pixel has no gradient, unless the network before is sure."""

    def build_with(background):
        detector = {"radius_px": 4.0, "ring_factor": 1.5, "background": background}
        return build(model={"part": "self_training"}, detector=detector)

    @functools.partial(jax.jit, static_argnums=0)
    def cost(method, points_mask, params):
        batch = tiny_batch._replace(points_mask=points_mask)
        progress = Progress(jnp.int32(0), 10)
        return method.loss_fn(params, state, batch, jax.random.key(0), progress)

    method = build_with(1e-6)
    params, state = method.init(jax.random.key(0), tiny_batch.image)
    nothing = np.zeros_like(tiny_batch.points_mask)
    total, (_, metrics) = cost(method, nothing, params)
    assert total == 0
    assert metrics["known"][0] == metrics["background"][0] == 0
    total, (_, metrics) = cost(method, tiny_batch.points_mask, params)
    centers = np.stack(np.indices(tiny_batch.valid.shape[1:]), axis=-1) + 0.5
    number = sum(
        (np.linalg.norm(centers[:, :, None] - points[mask], axis=-1) <= 6).any(2).sum()
        for points, mask in zip(
            tiny_batch.points_yx, tiny_batch.points_mask, strict=True
        )
        if mask.any()
    )
    assert metrics["known"][0] == number
    assert total > 0
    # A network before of no weights gives 0.018 anywhere: all of it is background.
    low = jax.tree.map(jnp.zeros_like, params[FIRST])
    sure, (_, metrics) = cost(build_with(0.02), nothing, {**params, FIRST: low})
    assert metrics["background"][0] == tiny_batch.valid.sum()
    assert sure > 0


@pytest.mark.slow
def test_overfits_one_image(overfit, one_image):
    """From points alone; every cell is found with its class."""
    prepared, batch = one_image
    options = experiment_of(masks={"least_px": 10, "dilate_px": 1, "erode_px": 2})
    maps = labels.label_maps(
        prepared.image,
        prepared.points_yx[prepared.points_mask],
        prepared.labels[prepared.points_mask],
        prepared.valid,
        num_classes=2,
        options=options.masks,
        seed=0,
    )
    method = build(model={"width": 8}, loss={"crf_window_px": 1})
    config = OptimConfig("adamw", 2e-3, schedule="cosine", clip_norm=1.0)
    batch = batch._replace(maps=maps[None])
    params, state, _ = overfit(method, batch, config, steps=200)
    found = jax.jit(method.predict)(params, state, batch, keep(0.5, 6.0))
    mask = np.asarray(found.mask[0])
    points, classes = np.asarray(found.points_yx[0])[mask], found.labels[0][mask]
    truth = prepared.points_yx[prepared.points_mask]
    pairs = matching.match_points(points, truth, 8.0)
    assert 2 * len(pairs) / (len(points) + len(truth)) >= 0.95
    np.testing.assert_array_equal(
        classes[pairs[:, 0]], prepared.labels[prepared.points_mask][pairs[:, 1]]
    )


def test_rounds_of_self_training_are_of_the_detector_alone():
    options = experiment_of(loss={"crf_weight": 0.5}, model={"width": 4})
    first, later = options.of_detector(0), options.of_detector(2)
    assert (first.model.part, later.model.part) == ("detector", "self_training")
    same = dataclasses.replace(first, model=later.model)
    assert same == later
    assert first.loss == type(first.loss)()
