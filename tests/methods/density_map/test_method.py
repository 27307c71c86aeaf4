"""Regressed maps as a method: targets, networks, peaks, devices, and learning."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import methods
from cellrec_jax.config import OptimConfig
from cellrec_jax.methods.density_map import method as density_map
from cellrec_jax.methods.density_map.options import NETWORKS, LossOptions, ModelOptions
from cellrec_jax.metrics import matching
from cellrec_jax.types import Decode, Progress

TINY = {"network": "fcrn_a", "width": 2, "backbone": "tiny", "max_detections": 20}
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""Compiles in half the time."""


START = Progress(jnp.int32(0), 10)


def build(model, loss, num_classes=2):
    experiment = methods.freeze({"method": "density_map", "model": model, "loss": loss})
    return methods.build(experiment, num_classes)


@pytest.fixture(scope="module")
def built():
    """Method, weights and a compiled gradient of a two-class network."""
    method = build(TINY, {})
    params, state = method.init(jax.random.key(0), jnp.zeros((1, 64, 96, 3)))
    return (
        method,
        params,
        state,
        jit(jax.value_and_grad(method.loss_fn, has_aux=True)),
    )


def _call(built, batch):
    _, params, state, grad = built
    return grad(params, state, batch, jax.random.key(0), START)


POINTS = np.array([[4.5, 5.5], [4.5, 9.0], [10.2, 14.7], [1e6, np.nan]], np.float32)
LABELS = np.array([0, 1, 1, 0], np.int32)


_paint = jax.jit(
    density_map.target_maps, static_argnames=("size_hw", "num_classes", "loss")
)


def _targets(**changes):
    return np.asarray(
        _paint(
            POINTS,
            np.array([True, True, True, False]),
            LABELS,
            size_hw=(16, 20),
            num_classes=2,
            loss=LossOptions(**changes),
        )
    )


def test_stamps_are_7_px_wide_and_of_their_class():
    maps = _targets()
    first = np.zeros((16, 20), bool)
    first[1:8, 2:9] = True
    np.testing.assert_array_equal(maps[..., 0] > 0, first)
    assert maps[4, 5, 0] == 1
    np.testing.assert_allclose(maps[1, 2, 0], np.exp(-18 / 72), rtol=1e-6)
    assert maps[4, 9, 1] == maps[10, 14, 1] == 1


def test_gaussians_are_not_cut_to_the_stamp():
    maps = _targets(target="gaussian", sigma_px=2.0)
    distance = np.hypot(7 + 0.5 - 4.5, 9 + 0.5 - 5.5)  # pixel (7, 9) from cell 0
    np.testing.assert_allclose(maps[7, 9, 0], np.exp(-(distance**2) / 8), rtol=1e-5)


def test_discs_hold_the_pixels_within_the_radius():
    maps = _targets(target="disc", radius_px=3.0)
    grid = np.stack(np.mgrid[:16, :20], axis=-1) + 0.5
    near = np.linalg.norm(grid[:, :, None] - POINTS[:3], axis=-1) <= 3
    np.testing.assert_array_equal(maps[..., 0], near[..., 0])
    np.testing.assert_array_equal(maps[..., 1], near[..., 1] | near[..., 2])
    assert maps.dtype == np.float32


def test_garbage_in_padding_and_invalid_regions_changes_nothing(built, tiny_batch):
    tiny_batch = tiny_batch._replace(
        points_yx=np.where(np.arange(2) == 1, 30, tiny_batch.points_yx)
    )
    valid = np.arange(96)[None, None] < np.full((4, 64, 1), 60)
    mask = tiny_batch.points_mask
    clean = tiny_batch._replace(valid=valid, points_yx=np.float32(tiny_batch.points_yx))
    far = np.float32([20, 90])  # 30 px from what counts
    dirty = clean._replace(
        points_yx=np.where(mask[..., None], clean.points_yx, np.float32(np.nan)),
        labels=np.where(mask, clean.labels, 77),
    )
    extra = np.zeros_like(mask)
    extra[1, 0] = True
    dirty = dirty._replace(
        points_yx=np.where(extra[..., None], far, dirty.points_yx),
        labels=np.where(extra, 0, dirty.labels),
        points_mask=mask | extra,
    )
    chex.assert_trees_all_equal(_call(built, clean), _call(built, dirty))


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_give_a_map_a_class(network, tiny_batch):
    """Sides that are no multiple of anything, by shapes alone."""
    method = build({**TINY, "network": network, "norm": "sync_batch"}, {})
    odd = tiny_batch._replace(
        image=tiny_batch.image[:, :45, :70], valid=tiny_batch.valid[:, :45, :70]
    )
    params, state = jax.eval_shape(method.init, jax.random.key(0), odd.image)
    loss, (new_state, _) = jax.eval_shape(
        method.loss_fn,
        params,
        state,
        odd,
        jax.random.key(0),
        START,
    )
    assert loss.shape == ()
    chex.assert_trees_all_equal_shapes_and_dtypes(new_state, state)


def test_width_0_is_the_published_network():
    """FCRN-A with two classes: 32 weights more than the published one-map network."""
    method = build({"network": "fcrn_a", "norm": "sync_batch"}, {})
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    params, _ = jax.eval_shape(method.init, jax.random.key(0), image)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 1_366_784 + 32


def _maps():
    """Peaks 0.9 and 0.6 of class 0, 0.8 of class 1, the last two 5 px apart."""
    maps = np.zeros((12, 18, 2), np.float32)
    maps[2, 3] = [0.9, 0.4]
    maps[8, 7] = [0.6, 0.1]
    maps[8, 12] = [0.3, 0.8]
    return maps


@functools.partial(jax.jit, static_argnames="model")
def _detect(maps, thresholds, min_distance, model):
    return density_map.detect(
        maps, decode=Decode(thresholds, min_distance), model=model
    )


def _found(thresholds=(0.0, 0.0), min_distance=0.0):
    thresholds = jnp.array(thresholds, jnp.float32)
    return _detect(
        _maps(), thresholds, jnp.float32(min_distance), ModelOptions(max_detections=4)
    )


def test_peaks_take_the_class_of_the_highest_map():
    found = _found()
    assert found.mask.tolist() == [True, True, True, False]
    np.testing.assert_allclose(
        found.points_yx[:3], [[2.5, 3.5], [8.5, 12.5], [8.5, 7.5]]
    )
    np.testing.assert_allclose(found.scores[:3], [0.9, 0.8, 0.6])
    assert found.labels[:3].tolist() == [0, 1, 0]
    np.testing.assert_allclose(found.class_probs[0], [0.9 / 1.3, 0.4 / 1.3])
    np.testing.assert_allclose(found.class_probs[2], [0.6, 0.1])


@pytest.mark.parametrize(
    ("thresholds", "min_distance", "scores"),
    [
        ((0.7, 0.0), 0.0, [0.9, 0.8]),
        ((0.0, 0.85), 0.0, [0.9, 0.6]),
        ((0.0, 0.0), 5.5, [0.9, 0.8]),
        ((0.0, 0.0), 4.5, [0.9, 0.8, 0.6]),
        ((1.0, 1.0), 0.0, []),
    ],
)
def test_thresholds_and_distance(thresholds, min_distance, scores):
    found = _found(thresholds, min_distance)
    np.testing.assert_allclose(found.scores[found.mask], scores)


def test_linear_maps_above_1_have_one_peak_of_score_1():
    maps = _maps()
    maps[2, 2:5] = [[1.1, 0.4], [1.5, 1.3], [1.2, 0.4]]
    maps[8, 12] = [-0.3, 0.8]
    found = _detect(
        maps, jnp.ones(2) / 2, jnp.float32(0), ModelOptions(max_detections=4)
    )
    np.testing.assert_allclose(found.points_yx[0], [2.5, 3.5])
    np.testing.assert_allclose(found.scores[found.mask], [1.0, 0.8, 0.6])
    np.testing.assert_allclose(found.class_probs[:2], [[0.5, 0.5], [0.0, 0.8]])


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_networks_give_finite_gradients(network, tiny_batch):
    method = build({**TINY, "network": network}, {"target": "disc"})
    params, state = method.init(jax.random.key(0), tiny_batch.image)
    grad = jax.jit(jax.value_and_grad(method.loss_fn, has_aux=True))
    (loss, _), grads = grad(params, state, tiny_batch, jax.random.key(0), START)
    assert np.isfinite(loss)
    for path, leaf in jax.tree_util.tree_flatten_with_path(grads)[0]:
        assert np.all(np.isfinite(leaf)), path
        assert np.any(leaf != 0), path


def test_training_starts_from_low_maps(built, tiny_batch):
    """Background is nearly all there is; see `density_map._START`."""
    (_, (_, metrics)), _ = _call(built, tiny_batch)
    assert metrics["highest"][0] / metrics["highest"][1] < 0.2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "config"),
    [
        ({}, OptimConfig("adamw", 1e-3, schedule="cosine", clip_norm=1.0)),
        (
            {"form": "squared", "target": "gaussian"},
            OptimConfig("momentum", 1e-2, schedule="cosine", clip_norm=10.0),
        ),
    ],
    ids=["bce_iou", "squared"],
)
def test_overfits_one_image(overfit, one_image, loss, config):
    """Maps, loss, peaks and metric agree: every cell with its class."""
    prepared, batch = one_image
    method = build({**TINY, "width": 8}, loss)
    params, state, _ = overfit(method, batch, config, steps=200)
    decode = Decode(jnp.full(2, 0.5), jnp.float32(6))
    found = jax.jit(method.predict)(params, state, batch, decode)
    mask = np.asarray(found.mask[0])
    points, labels = np.asarray(found.points_yx[0])[mask], found.labels[0][mask]
    truth = prepared.points_yx[prepared.points_mask]
    pairs = matching.match_points(points, truth, 8.0)
    assert len(pairs) == len(points) == len(truth)
    np.testing.assert_array_equal(
        labels[pairs[:, 0]], prepared.labels[prepared.points_mask][pairs[:, 1]]
    )
