"""Position heat maps as a method: losses, peaks, masks, devices, and learning."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors, methods
from cellrec_jax.config import OptimConfig
from cellrec_jax.losses import sparse_heatmap
from cellrec_jax.methods import heatmap_forms
from cellrec_jax.methods.heatmap_pu import method as heatmap_pu
from cellrec_jax.methods.heatmap_pu.options import FORMS, LossOptions, ModelOptions
from cellrec_jax.metrics import matching
from cellrec_jax.nn import unet
from cellrec_jax.ops import heatmaps
from cellrec_jax.types import Decode, Progress

TINY = {"width": 2, "window_px": 3, "max_detections": 30, "patch_px": 13}
RADII = {"sigma_px": 2.0, "radius_px": 4.0}
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""Compiles in half the time."""
HALF = Decode(jnp.full(1, 0.5), jnp.zeros(()))


def build(model, loss, num_classes=1):
    experiment = methods.freeze({"method": "heatmap_pu", "model": model, "loss": loss})
    return methods.build(experiment, num_classes)


@pytest.fixture(scope="module")
def built():
    """Method, weights and a compiled gradient of the masked loss."""
    method = build(TINY, RADII)
    params, state = method.init(jax.random.key(0), jnp.zeros((1, 64, 96, 3)))
    grad = jit(jax.value_and_grad(method.loss_fn, has_aux=True))
    return method, params, state, grad


def _call(built, batch, step=0):
    _, params, state, grad = built
    return grad(params, state, batch, jax.random.key(0), Progress(jnp.int32(step), 10))


def test_published_detector_has_its_parameters():
    method = build({}, {})
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    params, _ = jax.eval_shape(method.init, jax.random.key(0), image)
    assert sum(x.size for x in jax.tree.leaves(params)) == 13_394_177


def test_masked_loss_is_the_mean_over_the_pixels_of_all_discs(built, tiny_batch):
    _, params, state, _ = built
    (total, (_, metrics)), _ = _call(built, tiny_batch)
    net = unet.UNet(num_outputs=1, width=2, norm="sync_batch")
    grey = tiny_batch.image.mean(axis=-1, keepdims=True)
    image = grey / grey.max(axis=(1, 2, 3), keepdims=True)
    variables = {"params": params["detector"], **state}
    outputs, _ = jit(
        lambda x: net.apply(variables, x, train=True, mutable=["batch_stats"])
    )(image)
    squares, count = 0.0, 0
    for i, mask in enumerate(tiny_batch.points_mask):
        points, labels = tiny_batch.points_yx[i][mask], tiny_batch.labels[i][mask]
        for y, x in np.ndindex(64, 96):
            squared = ((points - np.array([y + 0.5, x + 0.5])) ** 2).sum(axis=1)
            if not (squared <= 16).any():
                continue
            cells = squared[labels == 0]
            cells = cells[cells <= 64]  # Gaussians end at 4 sigma
            target = np.exp(-cells / 8).max(initial=0.0)
            squares += (float(outputs[i, y, x, 0]) - target) ** 2
            count += 1
    np.testing.assert_allclose(total, squares / count, rtol=1e-4)
    assert metrics["counted"][0] == count


def test_a_window_is_measured_by_its_image():
    """Of an image with a bright cell one window has its rim alone: 0.2 stays 0.2."""
    image = np.zeros((1, 8, 12, 3), np.float32)
    image[0, 3:6, 3:6], image[0, 4, 4] = 0.1, 0.5
    whole = np.asarray(heatmap_pu.normalize(image))
    np.testing.assert_allclose(whole[0, 4, 3:6, 0], [0.2, 1, 0.2], rtol=1e-6)
    rim = image[:, :, 5:]
    found = heatmap_pu.normalize(rim, jnp.array([0.5]))
    np.testing.assert_array_equal(found, whole[:, :, 5:])
    assert heatmap_pu.normalize(rim).max() == 1
    assert not np.any(heatmap_pu.normalize(0 * rim, jnp.zeros(1)))


def test_the_network_sees_windows_measured_by_their_image(built, tiny_batch):
    highest = tiny_batch.image.mean(axis=-1).max(axis=(1, 2))
    (alone, _), _ = _call(built, tiny_batch)
    losses = []
    for factor in (1.0, 4.0):
        (loss, _), _ = _call(built, tiny_batch._replace(highest=factor * highest))
        losses.append(loss)
    np.testing.assert_allclose(losses[0], alone, rtol=1e-5)
    assert not np.isclose(losses[1], alone, rtol=1e-3)


@pytest.mark.parametrize(
    "form",
    [pytest.param(f, marks=[] if f == "bde" else pytest.mark.slow) for f in FORMS],
)
def test_forms_give_finite_gradients(form, tiny_batch):
    model = {**TINY, "activation": "sigmoid" if form == "pu" else "linear"}
    method = build(model, {**RADII, "form": form})
    params, state = method.init(jax.random.key(0), tiny_batch.image)
    grad = jit(jax.value_and_grad(method.loss_fn, has_aux=True))
    for step in (0, 9):
        (loss, (new_state, _)), grads = grad(
            params,
            state,
            tiny_batch,
            jax.random.key(0),
            Progress(step, 10),
            averaged=(params, state),
        )
        assert np.isfinite(loss)
        chex.assert_trees_all_equal_structs(state, new_state)
        for path, leaf in jax.tree_util.tree_flatten_with_path(grads)[0]:
            assert np.all(np.isfinite(leaf)), path
        assert any(np.any(leaf) for leaf in jax.tree.leaves(grads))


def test_running_prior_follows_the_pixels_taken_for_cells(monkeypatch, tiny_batch):
    """16 rows of one image of three, neither the filler nor columns from 70 on."""
    method = build({**TINY, "activation": "sigmoid"}, {**RADII, "form": "pu"})
    valid, image_mask = tiny_batch.valid.copy(), np.array([True, True, False, True])
    valid[:, :, 70:] = False
    batch = tiny_batch._replace(valid=valid, image_mask=image_mask)
    logits = np.full((4, 64, 96), -0.1, np.float32)
    logits[0, :16], logits[2], logits[:, :, 70:] = 0.1, 9.0, 9.0

    def apply(detector, state, *_, **__):
        del detector
        return jnp.asarray(logits), state

    monkeypatch.setattr(heatmap_pu, "_apply", apply)
    state = {"prior": {"value": jnp.array(0.1)}}
    _, (new_state, metrics) = jax.jit(method.loss_fn)(
        {"detector": {}}, state, batch, jax.random.key(0), 0
    )
    share = 16 * 70 / (3 * 64 * 70)  # 1 / 12
    wanted = pytest.approx(0.9 * 0.1 + 0.1 * share, rel=1e-6)
    assert new_state["prior"]["value"] == wanted
    assert metrics["prior"][0] == wanted


def test_as_many_peaks_may_be_unlabelled_cells_as_asked():
    """Three peaks in a row: one alone has no neighbour that makes it dense."""
    points = jnp.array([[10.5, 10.5], [10.5, 26.5], [10.5, 42.5]])
    heights = 0.9 * heatmaps.position_map(points, jnp.ones(3, bool), (24, 56))
    none = jnp.zeros(heights.shape)
    painted = sparse_heatmap.Painted(none, none.astype(bool))
    valid = jnp.ones(heights.shape, bool)

    def weights(most):
        loss = LossOptions(form="bde", max_peaks=most, **RADII)
        return np.asarray(heatmap_forms.form(loss, 3)(heights, painted, valid).weights)

    np.testing.assert_array_equal(weights(1), 1)
    # Equal heights: densities are 16, 32/3 and 16 px, the largest distance is 32 px.
    three = weights(3)[10, [10, 26, 42]]
    np.testing.assert_allclose(three, [1 / 2, 1 / 3, 1 / 2], rtol=1e-5)
    assert weights(3)[0, 0] == 1


def test_teacher_is_asked_after_burn_in(tiny_batch):
    method = build(TINY, {**RADII, "form": "mean_teacher", "burn_in": 0.5})
    params, state = method.init(jax.random.key(0), tiny_batch.image)
    masked = build(TINY, RADII)
    call = (params, state, tiny_batch, jax.random.key(0))
    before, _ = jit(method.loss_fn)(*call, Progress(4, 10), averaged=(params, state))
    after, _ = jit(method.loss_fn)(*call, Progress(5, 10), averaged=(params, state))
    alone, _ = jit(masked.loss_fn)(*call, Progress(4, 10))
    np.testing.assert_allclose(before, alone, rtol=1e-6)
    assert not np.isclose(after, alone, rtol=1e-3)


def detect(heights, decode=HALF, valid=None, **model):
    options = ModelOptions(**{**TINY, **model})
    valid = jnp.ones(heights.shape, bool) if valid is None else jnp.asarray(valid)
    found = heatmap_pu._detect(
        jnp.asarray(heights), valid, decode=decode, model=options
    )
    return np.asarray(found.points_yx)[np.asarray(found.mask)].tolist(), found.scores


def test_relative_peaks_are_measured_by_the_image_itself():
    points = jnp.array([[10.5, 10.5], [10.5, 30.5], [30.5, 20.5]])
    full = heatmaps.position_map(points[:1], jnp.ones(1, bool), (40, 48))
    low = heatmaps.position_map(points, jnp.ones(3, bool), (40, 48))
    heights = np.maximum(0.2 * full, 0.11 * np.asarray(low)) - 0.02
    found, scores = detect(heights)
    assert found == [[10.5, 10.5], [10.5, 30.5], [30.5, 20.5]]
    assert scores[0] == 1.0
    assert detect(heights, peak_rule="absolute")[0] == []
    assert detect(5 * heights, peak_rule="absolute")[0][0] == [10.5, 10.5]
    assert detect(np.full((40, 48), 0.7))[0] == []  # a map of one value


@pytest.mark.parametrize("peak_rule", ["relative", "absolute"])
def test_garbage_outside_of_the_valid_region_makes_no_peaks(peak_rule, rng):
    """It neither sets the range nor hides the peak at its border, nor is one."""
    valid = np.ones((40, 48), bool)
    valid[:, 30:] = valid[0] = False
    heights = np.zeros((40, 48), np.float32)
    heights[10, 10], heights[20, 29] = 1.0, 0.7
    clean, scores = detect(heights, valid=valid, peak_rule=peak_rule)
    assert clean == [[10.5, 10.5], [20.5, 29.5]]
    for scale in (100.0, -100.0):
        garbage = np.where(valid, heights, scale * rng.uniform(size=valid.shape))
        found, other = detect(garbage, valid=valid, peak_rule=peak_rule)
        assert found == clean
        np.testing.assert_array_equal(scores, other)


def test_classifier_decides_and_is_not_trained_here(tiny_batch):
    method = build({**TINY, "classifier": "small"}, RADII)
    params, state = method.init(jax.random.key(0), tiny_batch.image)
    trainable = method.traits.trainable(params)
    assert all(jax.tree.leaves(trainable["detector"]))
    assert not any(jax.tree.leaves(trainable["classifier"]))
    predict = jit(method.predict)
    *_, last = params["classifier"]
    for sign in (-1.0, 1.0):
        sure = jax.tree.map(jnp.zeros_like, params["classifier"])
        sure[last]["bias"] = sign * jnp.ones_like(sure[last]["bias"])
        found = predict({**params, "classifier": sure}, state, tiny_batch, HALF)
        assert bool(found.mask.any()) == (sign > 0)


def test_more_than_one_class_is_refused():
    with pytest.raises(errors.ConfigError, match=r"data.classes"):
        methods.build(
            methods.freeze({"method": "heatmap_pu", "model": {}, "loss": {}}), 2
        )


def test_teacher_needs_averaged_weights(tiny_batch):
    method = build(TINY, {"form": "mean_teacher"})
    params, state = method.init(jax.random.key(0), tiny_batch.image)
    with pytest.raises(errors.ConfigError, match=r"optim.ema"):
        method.loss_fn(params, state, tiny_batch, jax.random.key(0), Progress(0, 10))


@pytest.mark.slow
def test_overfits_one_image(overfit, one_image):
    """Every cell is found when all are labelled."""
    prepared, batch = one_image
    batch = batch._replace(labels=np.minimum(batch.labels, 0))
    loss = {"form": "plain", "sigma_px": 3.0, "radius_px": 6.0}
    method = build({**TINY, "width": 8, "norm": "group"}, loss)
    config = OptimConfig("adam", 1e-2, schedule="cosine", weight_decay=0.0)
    params, state, _ = overfit(method, batch, config, steps=300)
    found = jax.jit(method.predict)(params, state, batch, HALF)
    points = np.asarray(found.points_yx[0])[np.asarray(found.mask[0])]
    truth = prepared.points_yx[prepared.points_mask]
    pairs = matching.match_points(points, truth, 8.0)
    assert len(pairs) == len(points) == len(truth)


@pytest.mark.parametrize(
    ("cut", "in_candidates", "in_prediction"),
    [("candidates", True, False), ("always", True, True), ("never", False, False)],
)
def test_where_negative_heights_are_cut(
    monkeypatch, tiny_batch, cut, in_candidates, in_prediction
):
    """A map from -1 to 1 with a bump of 0.2: above half of its range, not of [0, 1]."""
    one = jax.tree.map(lambda part: part[:1], tiny_batch)
    heights = np.zeros((1, 64, 96), np.float32)
    heights[0, 5, 5], heights[0, 40, 60], heights[0, 20, 30] = -1.0, 1.0, 0.2
    monkeypatch.setattr(heatmap_pu, "_heights", lambda *_: jnp.asarray(heights))
    method = build({**TINY, "cut_negative": cut}, {})
    for call, is_cut in (
        (method.traits.candidates, in_candidates),
        (method.predict, in_prediction),
    ):
        found = call({"detector": {}}, {}, one, HALF)
        points = np.asarray(found.points_yx[0])[np.asarray(found.mask[0])].tolist()
        assert points[0] == [40.5, 60.5]
        assert ([20.5, 30.5] in points) == (not is_cut)


@pytest.mark.slow
def test_range_term_counts_pixels_far_from_labels(tiny_batch):
    nothing = tiny_batch._replace(points_mask=np.zeros_like(tiny_batch.points_mask))
    method = build(TINY, {**RADII, "range_weight": 2.0})
    params, state = method.init(jax.random.key(0), tiny_batch.image)
    call = (params, state, nothing, jax.random.key(0), Progress(0, 10))
    loss, (_, metrics) = jit(method.loss_fn)(*call)
    assert metrics["loss/map"][0] == 0.0
    np.testing.assert_allclose(loss, 2 * metrics["loss/range"][0])
    assert loss > 0
