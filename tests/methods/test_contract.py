"""What every method must do; a new one is tested by an entry in `CASES`."""

import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import methods
from cellrec_jax.types import Decode, Method, Progress


class Case(NamedTuple):
    """Options of a small network, at the defaults but for its size."""

    method: str
    sections: dict[str, Any]
    num_classes: int = 2
    slots: int = 24
    """M of predictions."""
    rtol: float = 1e-5
    """By which results on other numbers of devices may differ; 0 does not compare."""
    labeled: bool = False
    """Whether batches carry label maps."""


_BOXES = {
    **{"backbone": "tiny", "channels": 8, "rpn_channels": 8},
    **{"head_channels": 16, "min_level": 3, "merge": "add"},
    "anchor_sizes": (32.0, 48.0, 64.0, 96.0),
    "anchor_ratios": (1.0,),
    **{"rpn_batch": 32, "roi_batch": 16, "roi_size": 3},
    **{"pre_nms_train": 64, "post_nms_train": 32},
    **{"pre_nms_test": 64, "post_nms_test": 32, "max_detections": 12},
}
_MAP = {"width": 2, "window_px": 3, "max_detections": 24}
_PU = {"width": 2, "window_px": 3, "max_detections": 24, "patch_px": 13}
_PARTS = {"network": "fcrn_a", "width": 4, "max_detections": 24, "least_area": 1}
_LOW = {"radius_px": 5.0, "threshold": 0.005, "background": 0.02, "least_area": 1}
_DISCS = {"sigma_px": 2.0, "radius_px": 4.0}
CASES = {
    "calibrated_rcnn": Case("calibrated_rcnn", {"model": _BOXES}),
    "unlabelled_boxes": Case(
        "calibrated_rcnn",
        {"model": _BOXES, "loss": {"calibration": "pu", "scope": "both"}},
    ),
    "point_matching": Case(
        "point_matching",
        {"model": {"encoder": "tiny", "channels": 4, "max_detections": 24}},
    ),
    "p2pnet": Case(
        "point_matching",
        {
            "model": {
                **{"encoder": "vgg_small", "channels": 8, "aggregation": "fpn"},
                **{"level": 3, "head": "plain", "anchors": "2x2"},
                **{"class_head": False, "offset_scale": 100.0, "max_detections": 24},
            },
            "loss": {"classification": "cross_entropy", "normalizer": "weights"},
        },
        rtol=0,
    ),
    "density_map": Case("density_map", {"model": {**_MAP, "norm": "sync_batch"}}),
    "linear_map": Case(
        "density_map",
        {
            "model": {**_MAP, "network": "fcrn_a"},
            "loss": {"form": "squared", "target": "gaussian", "sigma_px": 3.0},
        },
        rtol=0,
    ),
    "multitask": Case(
        "multitask",
        {
            "model": {**_MAP, "network": "fcrn_a", "norm": "sync_batch"},
            "loss": {"radius_px": 5.0},
        },
    ),
    "multitask_deeplab": Case(
        "multitask",
        {
            "model": {**_MAP, "width": 8, "backbone": "tiny"},
            "loss": {"radius_px": 5.0, "norm": "absolute", "prior_class": 1},
            "prior": {"threshold": 0.02},
        },
        rtol=0,
    ),
    "estimate_mask": Case(
        "estimate_mask",
        {
            "model": {**_PARTS, "network": "unet", "norm": "sync_batch"},
            "loss": {"crf_from": 0.0, "crf_window_px": 1},
        },
        rtol=2e-3,  # a rounded ReLU more or less
        labeled=True,
    ),
    "mask_detector": Case(
        "estimate_mask",
        {"model": {**_PARTS, "part": "self_training"}, "detector": _LOW},
        rtol=0,
    ),
    "masked": Case(
        "heatmap_pu",
        {"model": {**_PU, "norm": "group"}, "loss": _DISCS},
        num_classes=1,
        rtol=0,
    ),
    "batch_norm": Case("heatmap_pu", {"model": _PU, "loss": _DISCS}, 1, rtol=5e-3),
    "pu": Case(
        "heatmap_pu",
        {
            "model": {**_PU, "norm": "group", "activation": "sigmoid"},
            "loss": {**_DISCS, "form": "pu"},
        },
        1,
    ),
}
WITHOUT_GRADIENTS = {"blob_filter", "vicar"}


class Built(NamedTuple):
    """A case, compiled once for all its tests."""

    case: Case
    method: Method
    params: Any
    state: Any
    call: Any
    predict: Any


def test_every_method_is_listed():
    listed = {case.method for case in CASES.values()} | WITHOUT_GRADIENTS
    assert listed == set(methods.METHODS)


@pytest.fixture(scope="module", params=list(CASES))
def built(request):
    case = CASES[request.param]
    experiment = methods.freeze({"method": case.method, **case.sections})
    method = methods.build(experiment, case.num_classes)
    params, state = method.init(jax.random.key(0), jnp.zeros((1, 64, 96, 3)))
    options = {"xla_backend_optimization_level": 0}  # compiles in half the time
    grad = jax.value_and_grad(method.loss_fn, has_aux=True)
    return Built(
        case,
        method,
        params,
        state,
        jax.jit(grad, compiler_options=options),
        jax.jit(method.predict, compiler_options=options),
    )


@pytest.fixture
def batch(built, tiny_batch):
    most = built.case.num_classes - 1
    batch = tiny_batch._replace(labels=np.minimum(tiny_batch.labels, most))
    if not built.case.labeled:
        return batch
    values = np.array([0, 1, most + 1, 255], np.uint8)
    shape = (*batch.valid.shape, 2)
    return batch._replace(maps=np.random.default_rng(3).choice(values, shape))


def _call(built, batch):
    progress = Progress(jnp.int32(0), 10)
    return built.call(built.params, built.state, batch, jax.random.key(0), progress)


def _keep(built, threshold=0.0, distance=0.0):
    return Decode(jnp.full(built.case.num_classes, threshold), jnp.float32(distance))


def test_weights_do_not_depend_on_the_size_of_the_image(built):
    other = jax.ShapeDtypeStruct((2, 96, 64, 3), jnp.float32)
    again = jax.eval_shape(built.method.init, jax.random.key(0), other)
    chex.assert_trees_all_equal_shapes_and_dtypes((built.params, built.state), again)


def _computing(built, **options):
    case = built.case
    fields = {"method": case.method, **case.sections, "compute": options}
    return methods.build(methods.freeze(fields), case.num_classes)


def test_blocks_are_computed_again_where_memory_is_short(built, batch):
    def traced(method):
        grad = jax.grad(method.loss_fn, has_aux=True)
        rest = batch, jax.random.key(0), Progress(jnp.int32(0), 10)
        jaxpr = jax.make_jaxpr(grad)(built.params, built.state, *rest)
        return str(jaxpr).count("remat2[")

    assert traced(_computing(built, remat=True)) > traced(built.method)


@pytest.mark.slow
def test_half_precision_is_of_activations_alone(built, batch):
    """Near the loss of float32, by parameters and gradients of that type."""
    method = _computing(built, dtype="bfloat16")
    params, state = jax.eval_shape(method.init, jax.random.key(0), batch.image)
    chex.assert_trees_all_equal_shapes_and_dtypes(params, built.params)
    call = jax.value_and_grad(method.loss_fn, has_aux=True)
    args = state, batch, jax.random.key(0), Progress(jnp.int32(0), 10)
    assert "bf16" in str(jax.make_jaxpr(call)(params, *args))
    _, grads = jax.eval_shape(call, params, *args)
    chex.assert_trees_all_equal_shapes_and_dtypes(grads, built.params)
    (exact, _), _ = _call(built, batch)
    loss, _ = jax.jit(method.loss_fn)(built.params, built.state, *args[1:])
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(loss, exact, rtol=0.05)


def test_weights_have_types_of_their_own(built):
    """Python numbers have weak ones, for which the second step compiles again."""
    leaves = jax.tree.leaves((built.params, built.state))
    assert not any(getattr(leaf, "weak_type", False) for leaf in leaves)


def test_loss_gradient_and_metrics_are_finite(built, batch):
    (loss, (state, metrics)), grads = _call(built, batch)
    assert loss.shape == ()
    assert loss > 0
    chex.assert_tree_all_finite((loss, state, metrics, grads))
    chex.assert_trees_all_equal_structs(state, built.state)
    assert all(len(pair) == 2 for pair in metrics.values())
    reached = jax.tree.map(lambda leaf: bool(np.any(leaf)), grads)
    if (trainable := built.method.traits.trainable) is not None:
        learns = trainable(built.params)
        frozen = jax.tree.map(lambda one, learns: one and not learns, reached, learns)
        assert not any(jax.tree.leaves(frozen))
        kept = [name for name in grads if all(jax.tree.leaves(learns[name]))]
        reached = {name: reached[name] for name in kept}
    assert np.mean(jax.tree.leaves(reached)) > 0.9


def test_garbage_in_padding_changes_nothing(built, batch):
    mask = batch.points_mask
    dirty = batch._replace(
        points_yx=np.where(mask[..., None], batch.points_yx, np.float32(1e6)),
        boxes_yxyx=np.where(mask[..., None], batch.boxes_yxyx, np.float32(-1e6)),
        labels=np.where(mask, batch.labels, 77),
    )
    chex.assert_trees_all_equal(_call(built, batch), _call(built, dirty))


def test_where_nothing_counts_nothing_costs(built, batch):
    nowhere = batch._replace(valid=np.zeros_like(batch.valid))
    (loss, _), grads = _call(built, nowhere)
    assert loss == 0
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(grads))


def test_filler_images_count_for_nothing(built, batch):
    filler = batch._replace(image_mask=np.array([False, True, True, True]))
    other = filler._replace(
        points_yx=filler.points_yx.copy(), boxes_yxyx=filler.boxes_yxyx.copy()
    )
    other.points_yx[0] += 7
    other.boxes_yxyx[0] += 7
    chex.assert_trees_all_close(
        _call(built, filler), _call(built, other), rtol=1e-5, atol=1e-8
    )
    found = built.predict(built.params, built.state, filler, _keep(built))
    assert not np.any(found.mask[0])
    assert np.any(found.mask[1:])


def test_draws_follow_the_example_not_its_place(built, batch):
    order = np.array([2, 0, 3, 1])
    shuffled = jax.tree.map(lambda leaf: leaf[order], batch)
    chex.assert_trees_all_close(
        _call(built, batch)[0][0], _call(built, shuffled)[0][0], rtol=1e-4
    )


def test_predictions_are_sorted_slots_inside_of_the_image(built, batch):
    found = built.predict(built.params, built.state, batch, _keep(built))
    slots, num_classes = built.case.slots, built.case.num_classes
    chex.assert_shape(found.points_yx, (4, slots, 2))
    chex.assert_shape([found.scores, found.labels, found.mask], (4, slots))
    chex.assert_shape(found.class_probs, (4, slots, num_classes))
    assert np.all(np.diff(found.scores, axis=1) <= 0)
    assert (found.boxes_yxyx is not None) is built.method.traits.has_boxes
    kept = np.asarray(found.mask)
    assert kept.any()
    points, labels = np.asarray(found.points_yx)[kept], np.asarray(found.labels)[kept]
    assert ((points >= 0) & (points <= (64, 96))).all()
    assert set(labels) <= set(range(num_classes))
    probs = np.asarray(found.class_probs)[kept]
    assert (probs.sum(axis=1) <= 1 + 1e-5).all()
    assert (np.asarray(found.scores)[kept] <= 1).all()


def test_thresholds_and_distances_drop_detections(built, batch):
    weights = built.params, built.state, batch
    everything = built.predict(*weights, _keep(built))
    assert not np.any(built.predict(*weights, _keep(built, threshold=1.1)).mask)
    apart = built.predict(*weights, _keep(built, distance=30.0))
    kept = np.asarray(apart.mask)
    assert 0 < kept.sum() < np.asarray(everything.mask).sum()
    for image, mask in zip(np.asarray(apart.points_yx), kept, strict=True):
        points = image[mask]
        gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)
        assert (gaps[~np.eye(len(points), dtype=bool)] >= 30).all()


def test_predictions_read_no_other_weights_than_they_say(built, batch):
    names = built.method.traits.predicts
    if not names:
        return
    weights = built.params, built.state
    needed = [{n: tree[n] for n in names if n in tree} for tree in weights]
    assert needed[0].keys() < built.params.keys()
    chex.assert_trees_all_equal(
        built.predict(*needed, batch, _keep(built)),
        built.predict(*weights, batch, _keep(built)),
    )


def test_predictions_read_no_annotation(built, batch):
    blind = batch._replace(
        points_yx=np.zeros_like(batch.points_yx),
        boxes_yxyx=np.zeros_like(batch.boxes_yxyx),
        labels=np.full_like(batch.labels, -1),
        points_mask=np.zeros_like(batch.points_mask),
    )
    weights = built.params, built.state
    chex.assert_trees_all_equal(
        built.predict(*weights, batch, _keep(built)),
        built.predict(*weights, blind, _keep(built)),
    )


def test_nothing_is_copied_to_the_device(built, batch):
    """The transfer guard sees copies from the host, on CPUs as well."""
    weights = jax.device_put((built.params, built.state))
    batch, rng = jax.device_put((batch, jax.random.key(0)))
    progress, keep = jax.device_put((Progress(jnp.int32(0), 10), _keep(built)))
    jax.block_until_ready(built.call(*weights, batch, rng, progress))  # compiles
    with jax.transfer_guard_host_to_device("disallow"):
        built.call(*weights, batch, rng, progress)
        built.predict(*weights, batch, keep)


@pytest.mark.slow
def test_steps_on_1x4_2x2_and_4x1_devices_agree(built, batch, check_devices_agree):
    """Numbers of cells differ from image to image; one image is a filler."""
    if not built.case.rtol:
        pytest.skip("another case of this method is compared")
    batch = batch._replace(image_mask=np.array([True, True, False, True]))
    weights = built.params, built.state
    check_devices_agree(built.method, weights, batch, built.case.rtol, atol=1e-5)


@pytest.mark.slow
def test_parts_of_a_batch_agree_with_the_whole(built, batch, check_devices_agree):
    """Also one without a cell and one that is a filler; batch norm sees one part."""
    batch = batch._replace(image_mask=np.array([True, True, False, True]))
    case, weights = built.case, (built.params, built.state)
    steps = 3 if case.rtol else 1  # those grow what is rounded, on devices as well
    agree = functools.partial(check_devices_agree, atol=1e-5, steps=steps)
    tolerance = case.rtol or 1e-4
    method = built.method
    if _norm(case) == "sync_batch":
        agree(method, weights, batch, tolerance, spreads=((1, 2), (2, 2)))
        model = {**case.sections["model"], "norm": "group"}
        sections = {**case.sections, "model": model}
        experiment = methods.freeze({"method": case.method, **sections})
        method = methods.build(experiment, case.num_classes)
        weights = method.init(jax.random.key(0), jnp.zeros((1, 64, 96, 3)))
    agree(method, weights, batch, tolerance, spreads=((1, 1), (1, 4), (2, 2)))


def _norm(case):
    experiment = methods.freeze({"method": case.method, **case.sections})
    return experiment.options.model.norm
