"""What every loss and operation must do; a new one is tested by an entry in `CASES`."""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax.test_util import check_grads
import numpy as np
import pytest

from cellrec_jax.losses import (
    calibration,
    density,
    detection,
    heatmap,
    multitask,
    points,
    pseudo_masks,
    pu,
    sparse_heatmap,
    unmatched,
)
from cellrec_jax.losses.ranking import objective
from cellrec_jax.ops import anchors, assign, boxes, heatmaps, nms, patches, peaks
from cellrec_jax.ops import roi_align as roi

N = 6
SIZE = (9, 11)


class Case(NamedTuple):
    """A function of one example, and arrays to call it with."""

    call: Callable[..., Any]
    draw: Callable[[np.random.Generator], tuple[Any, ...]]
    smooth: tuple[int, ...] = ()
    """Arguments whose gradients are compared with differences."""
    mask: int | None = None
    """The argument that says which of the N rows, or pixels, count."""
    masked: tuple[int, ...] = ()
    """Arguments that may hold anything where they do not."""


def _normal(*shape):
    return lambda rng: rng.normal(0, 1, shape).astype(np.float32)


def _points(rng):
    return rng.uniform(1, 8, (N, 2)).astype(np.float32)


def _boxes(rng, count=N):
    low = rng.uniform(0, 4, (count, 2))
    return np.concatenate([low, low + rng.uniform(2, 5, (count, 2))], 1).astype(
        np.float32
    )


def _mask(rng, *shape):
    mask = rng.uniform(size=shape or (N,)) < 0.7
    mask.flat[:2] = True, False
    return mask


def _labels(rng, count=3):
    return rng.integers(0, count, N).astype(np.int32)


def _share(rng, *shape):
    return rng.uniform(0.05, 0.95, shape).astype(np.float32)


def _logits_labels(rng):
    return _normal(N, 3)(rng), _labels(rng)


def _maps(rng):
    return _normal(*SIZE, 2)(rng), _share(rng, *SIZE, 2), _mask(rng, *SIZE)


def _shares(rng):
    return _share(rng, *SIZE, 2), _share(rng, *SIZE, 2), _mask(rng, *SIZE)


def _labelled(rng):
    logits, _, mask = _maps(rng)
    return logits, rng.choice([0, 1, pseudo_masks.IGNORE], SIZE).astype(np.uint8), mask


def _colored(rng):
    return _share(rng, *SIZE, 3), _share(rng, *SIZE, 2), _mask(rng, *SIZE)


def _sides(rng):
    positive = np.arange(N) % 3 == 0
    return _normal(N)(rng), positive, ~positive


def _painted(form):
    def call(pred, points_yx, is_cell, valid):
        painted = sparse_heatmap.paint(
            points_yx, is_cell, ~is_cell, SIZE, sigma_px=2.0, radius_px=3.0
        )
        return form(pred, painted, valid)

    return call


def _pixels(rng):
    return _share(rng, *SIZE), _points(rng), _mask(rng), np.ones(SIZE, bool)


def _nms(items, scores, mask):
    return nms.nms(items, scores, mask, iou_threshold=0.3, max_kept=4)


def _peaks(maps, valid):
    return peaks.find_peaks(maps, max_peaks=4, min_distance=2.0, valid=valid)


def _pool(features, items):
    level = jnp.zeros(len(items), jnp.int32)
    return roi.roi_align([features], items, [1], level, size=2)


TRIANGLES = np.tile(np.float32([[3.1, 0.3], [-2.2, 2.7], [-1.3, -3.4]]), (N, 1, 1))
SELF_LABELS = calibration.ProSelfLC(10, 4.0, 0.5, True)
CASES = {
    "box_density": Case(
        functools.partial(density.box_density, form="dense"),
        lambda rng: (_points(rng), _mask(rng)),
        *((0,), 1, (0,)),
    ),
    "sorted_density": Case(
        functools.partial(density.box_density, form="sorted"),
        lambda rng: (_points(rng), _mask(rng)),
        *((0,), 1, (0,)),
    ),
    "box_energy": Case(
        density.box_energy, lambda rng: (_points(rng), _mask(rng)), (), 1, (0,)
    ),
    "weighted_energy": Case(
        lambda at, mask, share: density.box_energy(at, mask, weights=share),
        lambda rng: (_points(rng), _mask(rng), _share(rng, N)),
        *((), 1, (0, 2)),
    ),
    "doubtful_energy": Case(
        lambda at, share, mask: calibration.doubtful_energy(at, share, mask),
        lambda rng: (_points(rng), _share(rng, N), _mask(rng)),
        *((), 2, (0, 1)),
    ),
    "neighbor_energy": Case(
        density.neighbor_energy, lambda rng: (_points(rng), _mask(rng)), (), 1, (0,)
    ),
    "kernel_energy": Case(
        functools.partial(density.kernel_energy, bandwidth_px=2.0),
        lambda rng: (_points(rng), _mask(rng)),
        *((0,), 1, (0,)),
    ),
    "inverse_energy": Case(
        lambda energy, mask: unmatched.reordered(energy, mask, "inverse"),
        lambda rng: (_share(rng, N), _mask(rng)),
    ),
    "permuted_energy": Case(
        lambda energy, mask: unmatched.reordered(
            energy, mask, "permuted", jax.random.key(3)
        ),
        lambda rng: (_share(rng, N), _mask(rng)),
    ),
    "soft_sampling": Case(unmatched.soft_sampling, lambda rng: (_share(rng, N),)),
    "nearness_by_distance": Case(
        lambda at, truth, sides, mask: unmatched.nearness_by_distance(
            at, truth, sides, mask
        ),
        lambda rng: (_points(rng), _points(rng), 3 * _share(rng, N), _mask(rng)),
        *((), 3, (1, 2)),
    ),
    "recalibrated_boxes": Case(
        lambda logits, labels, mask: unmatched.recalibrated(logits, labels, mask)[:2],
        lambda rng: (*_logits_labels(rng), _mask(rng)),
        (0,),
    ),
    "foreground_margin": Case(
        unmatched.foreground_margin, lambda rng: (_normal(N, 3)(rng),), (0,)
    ),
    "class_cross_entropy": Case(
        unmatched.class_cross_entropy,
        lambda rng: (_normal(N, 3)(rng), _labels(rng, 2), _mask(rng)),
        (0,),
    ),
    "weighted_cross_entropy": Case(
        calibration.weighted_cross_entropy,
        lambda rng: (*_logits_labels(rng), _share(rng, N)),
        (0,),
    ),
    "label_smoothing": Case(calibration.label_smoothing, _logits_labels, (0,)),
    "confidence_penalty": Case(calibration.confidence_penalty, _logits_labels, (0,)),
    "proselflc": Case(
        lambda logits, labels: calibration.proselflc(
            logits, labels, jnp.int32(4), SELF_LABELS
        ),
        _logits_labels,
    ),
    "smooth_l1": Case(
        detection.smooth_l1, lambda rng: (_normal(N, 4)(rng), _normal(N, 4)(rng)), (0,)
    ),
    "binary_cross_entropy": Case(heatmap.binary_cross_entropy, _maps, (0,), 2, (0, 1)),
    "soft_iou_loss": Case(heatmap.soft_iou_loss, _maps, (0,), 2, (0, 1)),
    "bce_iou_loss": Case(heatmap.bce_iou_loss, _maps, (0,), 2, (0, 1)),
    "squared_error": Case(
        functools.partial(heatmap.squared_error, height=3.0), _maps, (0,), 2, (0, 1)
    ),
    "main_loss": Case(multitask.main_loss, _maps, (0,), 2, (0, 1)),
    "main_loss_as_printed": Case(
        functools.partial(multitask.main_loss, literal=True), _maps, (0,), 2, (0, 1)
    ),
    "map_error": Case(multitask.map_error, _shares, (0, 1), 2, (0, 1)),
    "absolute_map_error": Case(
        functools.partial(multitask.map_error, norm="absolute"),
        *(_shares, (), 2, (0, 1)),
    ),
    "prior_error_as_printed": Case(
        functools.partial(multitask.prior_error, literal=True),
        *(_shares, (0,), 2, (0, 1)),
    ),
    "detection_error": Case(pseudo_masks.detection_error, _shares, (0, 1), 2, (0, 1)),
    "label_cost": Case(pseudo_masks.label_cost, _labelled, (0,), 2, (0,)),
    "dense_crf": Case(
        functools.partial(pseudo_masks.dense_crf, sigma_rgb=0.5, window_px=2),
        *(_colored, (0,), 2, (0, 1)),
    ),
    "point_error": Case(
        points.point_error, lambda rng: (_points(rng), _points(rng)), (0,)
    ),
    "cross_entropy": Case(points.cross_entropy, _logits_labels, (0,)),
    "detection_cross_entropy": Case(
        points.detection_cross_entropy, _logits_labels, (0,)
    ),
    "focal_cross_entropy": Case(points.focal_cross_entropy, _logits_labels, (0,)),
    "generalized_cross_entropy": Case(
        points.generalized_cross_entropy, _logits_labels, (0,)
    ),
    "softmax_norm": Case(points.softmax_norm, lambda rng: (_normal(N, 3)(rng),), (0,)),
    "pu_risk": Case(
        lambda scores, labeled, rest: pu.pu_risk(scores, labeled, rest, 0.4).risk,
        _sides,
        (0,),
    ),
    "log_p_classification": Case(objective.log_p_classification, _sides, (0,)),
    "masked": Case(_painted(sparse_heatmap.masked), _pixels),
    "plain": Case(_painted(sparse_heatmap.plain), _pixels),
    "constant": Case(_painted(sparse_heatmap.constant), _pixels),
    "energy_weighted": Case(_painted(sparse_heatmap.energy_weighted), _pixels),
    "recalibrated": Case(_painted(sparse_heatmap.recalibrated), _pixels),
    "outside_range": Case(
        sparse_heatmap.outside_range,
        lambda rng: (3 * _normal(*SIZE)(rng), _mask(rng, *SIZE)),
        *((), 1, (0,)),
    ),
    "iou_matrix": Case(boxes.iou_matrix, lambda rng: (_boxes(rng), _boxes(rng)), (0,)),
    "encode": Case(boxes.encode, lambda rng: (_boxes(rng), _boxes(rng)), (0,)),
    "decode": Case(
        boxes.decode, lambda rng: (0.3 * _normal(N, 4)(rng), _boxes(rng)), (0,)
    ),
    "clip": Case(
        functools.partial(boxes.clip, size_hw=SIZE), lambda rng: (2 * _boxes(rng),)
    ),
    "nms": Case(
        _nms, lambda rng: (_boxes(rng), _share(rng, N), _mask(rng)), (), 2, (0, 1)
    ),
    "point_nms": Case(
        lambda items, mask: nms.point_nms(items, mask, 2.0),
        lambda rng: (_points(rng), _mask(rng)),
        *((), 1, (0,)),
    ),
    "find_peaks": Case(
        _peaks, lambda rng: (_share(rng, *SIZE), _mask(rng, *SIZE)), (), 1, (0,)
    ),
    "rescale": Case(
        peaks.rescale,
        lambda rng: (_share(rng, *SIZE), _mask(rng, *SIZE)),
        *((), 1, (0,)),
    ),
    "position_map": Case(
        lambda at, mask: heatmaps.position_map(at, mask, SIZE),
        lambda rng: (_points(rng), _mask(rng)),
        *((), 1, (0,)),
    ),
    "disc_mask": Case(
        lambda at, mask: heatmaps.disc_mask(at, mask, SIZE, radius_px=2.0),
        lambda rng: (_points(rng), _mask(rng)),
        *((), 1, (0,)),
    ),
    "disc_maps": Case(
        lambda at, mask: heatmaps.disc_maps(
            at, mask, jnp.zeros(N, jnp.int32), SIZE, 2, radius_px=2.0
        ),
        lambda rng: (_points(rng), _mask(rng)),
        *((), 1, (0,)),
    ),
    "polygon_maps": Case(
        lambda at, mask: heatmaps.polygon_maps(
            at, mask, jnp.zeros(N, jnp.int32), TRIANGLES, SIZE, 2, reach_px=4.0
        ),
        lambda rng: (_points(rng), _mask(rng)),
        *((), 1, (0,)),
    ),
    "patches": Case(
        functools.partial(patches.cut, side_px=3),
        lambda rng: (_share(rng, *SIZE, 1), _points(rng)),
    ),
    "match_truth": Case(
        lambda iou, mask: assign.match_truth(iou.T, mask),
        lambda rng: (_share(rng, N, 4), _mask(rng)),
        *((), 1, (0,)),
    ),
    "roi_align": Case(_pool, lambda rng: (_share(rng, *SIZE, 2), _boxes(rng)), (0,)),
    "anchor_points": Case(
        lambda at: at + anchors.anchor_points((64, 64), 32, "five")[: len(at)],
        lambda rng: (_points(rng),),
        (0,),
    ),
}


@pytest.fixture(params=list(CASES))
def case(request):
    return CASES[request.param]


def test_jit_is_eager(case, rng):
    arrays = case.draw(rng)
    chex.assert_trees_all_close(
        case.call(*map(jnp.asarray, arrays)),
        jax.jit(case.call)(*arrays),
        rtol=1e-5,
        atol=1e-6,
    )


def test_vmap_is_one_by_one(case, rng):
    draws, alone = [case.draw(rng) for _ in range(2)], jax.jit(case.call)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *draws)
    both = jax.jit(jax.vmap(case.call))(*stacked)
    for index, arrays in enumerate(draws):
        one = jax.tree.map(lambda leaf, i=index: leaf[i], both)
        chex.assert_trees_all_close(one, alone(*arrays), rtol=1e-5, atol=1e-6)


def test_float64_gives_the_same(case, rng):
    arrays = case.draw(rng)
    single = jax.jit(case.call)(*arrays)
    with jax.enable_x64(True):
        wide = [a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays]
        double = jax.device_get(jax.jit(case.call)(*wide))
    for one, other in zip(
        jax.tree.leaves(single), jax.tree.leaves(double), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_differences(case, rng):
    arrays = list(map(jnp.asarray, case.draw(rng)))
    for index in case.smooth:

        def call(value, index=index):
            return case.call(*arrays[:index], value, *arrays[index + 1 :])

        check_grads(call, (arrays[index],), 1, ["rev"], atol=2e-2, rtol=2e-2, eps=1e-2)


def test_garbage_where_nothing_counts_changes_nothing(case, rng):
    if case.mask is None:
        return
    arrays = case.draw(rng)
    mask = np.asarray(arrays[case.mask])
    dirty = list(arrays)
    for index in case.masked:
        shape = mask.shape + (1,) * (arrays[index].ndim - mask.ndim)
        dirty[index] = np.where(mask.reshape(shape), arrays[index], np.float32(1e6))
    clean, other = jax.jit(case.call)(*arrays), jax.jit(case.call)(*dirty)
    chex.assert_trees_all_equal(clean, other)

    def total(value, others):
        rest = [*others[: case.masked[0]], value, *others[case.masked[0] + 1 :]]
        leaves = jax.tree.leaves(case.call(*rest))
        return sum(jnp.sum(leaf * 1.0) for leaf in leaves)

    if case.smooth:
        first = case.masked[0]
        grads = [jax.grad(total)(jnp.asarray(a[first]), a) for a in (arrays, dirty)]
        np.testing.assert_array_equal(*grads)
