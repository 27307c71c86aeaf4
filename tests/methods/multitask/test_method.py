"""Decoders, their targets, peaks of several maps, and learning."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import methods
from cellrec_jax.config import OptimConfig
from cellrec_jax.methods.multitask import decode, targets
from cellrec_jax.methods.multitask import method as multitask
from cellrec_jax.methods.multitask.options import LossOptions, ModelOptions
from cellrec_jax.metrics import matching
from cellrec_jax.nn.maps import NETWORKS
from cellrec_jax.ops import heatmaps
from cellrec_jax.types import FIRST, Decode, Progress

TINY = {"network": "fcrn_a", "width": 2, "backbone": "tiny", "max_detections": 20}
OURS = {"dynamic_weight": 0.0, "consistency_weight": 0.0, "prior_weight": 0.0}
START = Progress(jnp.int32(0), 10)


read_prior = jax.jit(multitask.prior_map, static_argnums=(2, 3))


def build(model=TINY, loss=None, num_classes=2, **sections):
    fields = {"method": "multitask", "model": model, "loss": loss or {}, **sections}
    return methods.build(methods.freeze(fields), num_classes)


def loss_of(method, batch, seed=0):
    params, state = method.init(jax.random.key(0), batch.image)
    call = jax.jit(jax.value_and_grad(method.loss_fn, has_aux=True))
    return call(params, state, batch, jax.random.key(seed), START)


def test_decoders_are_those_that_have_a_weight():
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)

    def shapes(**loss):
        return jax.eval_shape(build(loss=loss).init, jax.random.key(0), image)[0]

    whole = shapes()
    assert set(whole) == {"encoder", "main", "dynamic", "prior", FIRST}
    chex.assert_trees_all_equal_shapes_and_dtypes(whole["main"], whole["dynamic"])
    assert whole["prior"]["output"]["kernel"].shape[-1] == 1
    assert set(whole[FIRST]["params"]) == {"encoder", "main"}
    assert set(shapes(prior_weight=0.0)) == {"encoder", "main", "dynamic"}
    assert set(shapes(**OURS)) == {"encoder", "main"}
    assert not build(loss=OURS).stages
    assert [stage.kind for stage in build().stages] == ["prior"]


def test_consistency_reaches_both_decoders(tiny_batch):
    """The gradient of Eq. 5 alone: that with it less that without."""
    grads = [
        loss_of(build(loss={"consistency_weight": weight}), tiny_batch)[1]
        for weight in (1.0, 0.0)
    ]
    for name in ("main", "dynamic"):
        parts = [jax.tree.leaves(one[name]["output"]) for one in grads]
        for a, b in zip(*parts, strict=True):
            assert np.abs(a - b).max() > 1e-6, name
    chex.assert_trees_all_close(*[one["prior"]["output"] for one in grads], atol=1e-6)


def test_the_log_tells_where_the_prior_is_high(tiny_batch):
    """Means of its map in the class's circles and elsewhere, where it is known."""
    valid = tiny_batch.valid.copy()
    valid[:, :30] = False
    batch = tiny_batch._replace(valid=valid)
    second = {"prior_class": 1}
    experiment = methods.freeze({"method": "multitask", "model": TINY, "loss": second})
    method = methods.build(experiment, 2)
    params, _ = method.init(jax.random.key(0), batch.image)
    (_, (_, metrics)), _ = loss_of(method, batch)
    options = experiment.options
    high = read_prior(params[FIRST], batch.image, options, 2)[..., 0]
    painted = targets.paint(batch, 2, options.loss)[..., 1] > 0
    for name, where in (("inside", painted), ("outside", ~painted)):
        total, count = metrics[f"prior_{name}"]
        chosen = np.asarray(where) & valid
        assert count == chosen.sum() > 0
        np.testing.assert_allclose(total, np.asarray(high)[chosen].sum(), rtol=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
def test_any_network_of_maps_takes_the_decoders(network, tiny_batch):
    """Sides that are no multiple of anything, by shapes alone."""
    method = build({**TINY, "network": network, "norm": "sync_batch"})
    odd = tiny_batch._replace(
        image=tiny_batch.image[:, :45, :70], valid=tiny_batch.valid[:, :45, :70]
    )
    params, state = jax.eval_shape(method.init, jax.random.key(0), odd.image)
    loss, (new_state, _) = jax.eval_shape(
        method.loss_fn, params, state, odd, jax.random.key(0), START
    )
    assert loss.shape == ()
    chex.assert_trees_all_equal_shapes_and_dtypes(new_state, state)
    point = Decode(jnp.zeros(2), jnp.zeros(()))
    found = jax.eval_shape(method.predict, params, state, odd, point)
    assert found.points_yx.shape == (4, TINY["max_detections"], 2)


@pytest.fixture(scope="module")
def paint_polygons():
    return jax.jit(
        functools.partial(
            targets.paint_polygons, num_classes=2, loss=LossOptions(radius_px=6.0)
        )
    )


def test_polygons_are_new_in_each_step_and_follow_the_image(paint_polygons, tiny_batch):
    first, again, other = (
        np.asarray(paint_polygons(tiny_batch, jax.random.key(seed)))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    filled = tiny_batch.points_mask.any(axis=1)
    changed = (first != other).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(changed, filled)
    order = np.array([2, 0, 3, 1])
    moved = jax.tree.map(lambda leaf: leaf[order], tiny_batch)
    np.testing.assert_array_equal(
        paint_polygons(moved, jax.random.key(0)), first[order]
    )
    # Another place in the batch is another draw, a slot without a cell is none.
    place = tiny_batch._replace(example_index=tiny_batch.example_index + 4)
    assert (np.asarray(paint_polygons(place, jax.random.key(0))) != first).any()
    spare = tiny_batch._replace(labels=np.where(tiny_batch.points_mask, 0, -1))
    assert not np.asarray(paint_polygons(spare, jax.random.key(0)))[..., 1].any()


def test_losses_are_those_of_the_equations(tiny_batch):
    """Of the maps that the decoders give, weighted; the first one has no gradient."""
    loss = {"radius_px": 6.0, "prior_class": 1}
    method = build(loss=loss)
    options = methods.freeze({"method": "multitask", "model": TINY, "loss": loss})
    options = options.options
    params, state = method.init(jax.random.key(0), tiny_batch.image)
    (total, (_, metrics)), grads = loss_of(method, tiny_batch)
    parts = {name: float(pair[0]) for name, pair in metrics.items()}
    weights = {"map": 1.0, "dynamic": 1.0, "consistency": 0.5, "prior": 0.5}
    expected = sum(w * parts[f"loss/{name}"] for name, w in weights.items())
    assert total == pytest.approx(expected, rel=1e-5)
    assert parts["polygons_differ"] > 0
    maps, _ = jax.jit(
        functools.partial(
            multitask._logits,
            names=("main", "dynamic", "prior"),
            train=True,
            options=options,
            num_classes=2,
        )
    )(params, state, tiny_batch.image)
    p = {name: jax.nn.sigmoid(logits) for name, logits in maps.items()}
    polygons = jax.jit(targets.paint_polygons, static_argnums=(2, 3))(
        tiny_batch, jax.random.key(0), 2, options.loss
    )
    target = read_prior(params[FIRST], tiny_batch.image, options, 2)
    for name, value in {
        "dynamic": np.mean((p["dynamic"] - polygons) ** 2),
        "consistency": np.mean((p["main"] - p["dynamic"]) ** 2),
        "prior": np.mean((p["prior"] - target) ** 2),
    }.items():
        assert parts[f"loss/{name}"] == pytest.approx(float(value), rel=1e-4), name
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(grads[FIRST]))


def test_the_prior_is_a_map_of_its_class(tiny_batch):
    options = methods.freeze({"method": "multitask", "model": TINY}).options
    params, _ = build().init(jax.random.key(0), tiny_batch.image)
    first = params[FIRST]
    kernel = first["params"]["main"]["output"]["kernel"]
    low = jnp.zeros_like(kernel).at[..., 0].set(kernel[..., 0])
    first["params"]["main"]["output"]["kernel"] = low

    def read(label, threshold=0.0):
        changed = methods.changed(
            methods.freeze({"method": "multitask", "model": TINY}),
            {"loss.prior_class": label, "prior.threshold": threshold},
        )
        return np.asarray(read_prior(first, tiny_batch.image, changed.options, 2))

    assert options.loss.prior_class == 0
    assert np.ptp(read(0)) > 0
    np.testing.assert_allclose(read(1), 1 / (1 + np.exp(4.0)), rtol=1e-5)
    middle = float(np.median(read(0)))
    np.testing.assert_array_equal(read(0, middle), read(0) >= middle)


@pytest.mark.parametrize("labels", [0, 1])
def test_a_class_that_is_absent_costs_and_is_finite(labels, tiny_batch):
    """With all decoders, of which the prior's may have no cell to lie at."""
    one = tiny_batch._replace(labels=np.where(tiny_batch.points_mask, labels, -1))
    (loss, (_, metrics)), grads = loss_of(build(loss={"radius_px": 5.0}), one)
    assert np.isfinite(loss)
    chex.assert_tree_all_finite(grads)
    assert (metrics["prior_inside"][1] > 0) == (labels == 0)
    assert metrics["prior_outside"][1] > 0


def test_circles_and_polygons_may_reach_beyond_the_image(tiny_batch):
    """Up to what is refused: a polygon's corners are 1.68 times as far."""
    options = LossOptions(radius_px=63.0)
    seed = jax.random.key(0)
    for maps in (
        jax.jit(targets.paint, static_argnums=(1, 2))(tiny_batch, 2, options),
        jax.jit(targets.paint_polygons, static_argnums=(2, 3))(
            tiny_batch, seed, 2, options
        ),
    ):
        painted = np.asarray(maps)
        assert set(np.unique(painted)) == {0.0, 1.0}
        share = painted.max(axis=-1).mean(axis=(1, 2))
        filled = tiny_batch.points_mask.any(axis=1)
        assert (share[filled] > 0.3).all()
        assert not share[~filled].any()


def test_cells_nearer_than_the_least_distance(tiny_batch):
    """Of one class and one place: painted once, found once or by the distance."""
    twice = tiny_batch._replace(
        points_yx=np.repeat(tiny_batch.points_yx[:, :1], 5, axis=1),
        labels=np.where(tiny_batch.points_mask, 0, -1),
    )
    options = LossOptions(radius_px=6.0)
    once = twice._replace(points_mask=twice.points_mask & (np.arange(5) < 1))
    maps = [np.asarray(targets.paint(batch, 2, options)) for batch in (twice, once)]
    np.testing.assert_array_equal(*maps)
    assert maps[0].max() == 1

    near = np.zeros((12, 20, 2), np.float32)
    near[4, 5, 0], near[4, 8, 0] = 0.6, 0.9
    assert len(_found(near, distance=2.5)) == 2
    assert _found(near, distance=3.5) == [(4.5, 8.5, 0, 0.9)]


@functools.partial(jax.jit, static_argnames="slots")
def _detect(maps, thresholds, distance, slots=4):
    point = Decode(thresholds, distance)
    return decode.detect(maps, decode=point, model=ModelOptions(max_detections=slots))


def _found(maps, distance=0.0, thresholds=(0.0, 0.0), slots=4):
    thresholds = jnp.asarray(thresholds, jnp.float32)
    found = _detect(maps, thresholds, jnp.float32(distance), slots)
    kept = np.asarray(found.mask)
    return [
        (*np.asarray(p).tolist(), int(k), round(float(s), 4))
        for p, k, s, real in zip(
            found.points_yx, found.labels, found.scores, kept, strict=True
        )
        if real
    ]


def test_of_two_maps_the_higher_peak_stays_within_the_distance():
    maps = np.zeros((12, 20, 2), np.float32)
    maps[4, 5, 0], maps[4, 8, 1], maps[9, 15, 1] = 0.6, 0.9, 0.7
    every = [(4.5, 8.5, 1, 0.9), (9.5, 15.5, 1, 0.7), (4.5, 5.5, 0, 0.6)]
    assert _found(maps) == every
    assert _found(maps, distance=3.0) == every
    assert _found(maps, distance=3.5) == every[:2]
    assert _found(maps, thresholds=(0.0, 0.8)) == [every[0], every[2]]
    assert _found(maps, slots=2) == every[:2]


def test_a_peak_that_is_dropped_drops_no_other():
    """At 5, 9 and 13 px: the second goes by the first, so the third stays."""
    maps = np.zeros((12, 20, 2), np.float32)
    maps[4, 5, 1], maps[4, 9, 0], maps[4, 13, 0] = 0.95, 0.9, 0.8
    expected = [(4.5, 5.5, 1, 0.95), (4.5, 13.5, 0, 0.8)]
    assert _found(maps, distance=5.0) == expected


def test_touching_cells_of_two_classes_stay_two():
    """Their circles overlap: the highest of both maps has one top only."""
    grid = np.stack(np.mgrid[:20, :30], axis=-1) + 0.5
    points = np.array([[9.5, 10.5], [9.5, 15.5]])
    squared = np.sum((grid[:, :, None] - points) ** 2, axis=-1)
    maps = np.minimum(np.exp(-squared / 50), 0.8).astype(np.float32) + (
        0.05 * np.exp(-squared / 8)
    ).astype(np.float32)
    assert [cell[:3] for cell in _found(maps, 4.0, (0.5, 0.5))] == [
        (9.5, 10.5, 0),
        (9.5, 15.5, 1),
    ]


@pytest.mark.slow
def test_overfits_one_image(overfit, one_image):
    """All three decoders; every cell is found with its class by the main one."""
    prepared, batch = one_image
    method = build({**TINY, "width": 8}, {"radius_px": 6.0})
    config = OptimConfig("adamw", 2e-3, schedule="cosine", clip_norm=1.0)
    params, state, metrics = overfit(method, batch, config, steps=250)
    assert metrics["loss/consistency"][0] < 0.02
    found = jax.jit(method.predict)(
        params, state, batch, Decode(jnp.full(2, 0.5), jnp.float32(10))
    )
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
    """All three decoders, DeepLab; the first network is as it was drawn."""
    model = {"backbone": "small", "width": 24, "max_detections": 200}
    method = build(model, {"radius_px": 8.0})
    config = OptimConfig("adam", 3e-3, schedule="cosine", clip_norm=10.0)
    decode_at = Decode(jnp.full(2, 0.5), jnp.float32(8))
    fresh = method.init(jax.random.key(0), real_image.image)
    assert f1_on(method, fresh, real_image, decode_at) < 0.1
    params, state, _ = overfit(method, real_image, config, steps=40)
    assert f1_on(method, (params, state), real_image, decode_at) >= 0.95


@pytest.mark.slow
def test_the_dynamic_decoder_learns_the_mean_of_polygons(overfit, one_image):
    """What no map can foresee it answers with its chance: between 0 and 1."""
    prepared, batch = one_image
    loss = {"radius_px": 6.0, "prior_weight": 0.0, "consistency_weight": 0.0}
    method = build({**TINY, "width": 8}, loss)
    config = OptimConfig("adamw", 2e-3, schedule="cosine", clip_norm=1.0)
    params, state, _ = overfit(method, batch, config, steps=250)
    options = methods.freeze({"method": "multitask", "model": {**TINY, "width": 8}})
    logits, _ = multitask._logits(
        params,
        state,
        batch.image,
        ("main", "dynamic"),
        train=False,
        options=options.options,
        num_classes=2,
    )
    main, dynamic = (
        np.asarray(jax.nn.sigmoid(logits[name][0])) for name in ("main", "dynamic")
    )
    law = heatmaps.PolygonOptions(radius_px=6.0)
    circles = np.asarray(targets.paint(batch, 2, LossOptions(radius_px=6.0))[0])
    assert prepared.points_mask.any()
    assert law.reach_px > 10
    unsure = ((dynamic > 0.2) & (dynamic < 0.8)).sum()
    assert unsure > 1.5 * ((main > 0.2) & (main < 0.8)).sum()
    assert dynamic[circles > 0].mean() > 4 * dynamic[circles == 0].mean()
