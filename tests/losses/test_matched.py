import chex
import jax
import jax.numpy as jnp
from jax.test_util import check_grads
import numpy as np
import pytest

from cellrec_jax import masking
from cellrec_jax.losses import matched, points

PROPOSALS, CELLS, CLASSES = 9, 4, 3

matched_losses = jax.jit(matched.matched_losses, static_argnames="options")
total_loss = jax.jit(matched.total_loss, static_argnames="options")


@pytest.fixture
def case(rng):
    """One image with a padded cell, a masked proposal; matches 7, 2, 5."""
    return {
        "pred_yx": rng.uniform(0, (40, 60), (PROPOSALS, 2)).astype(np.float32),
        "objectness_logits": rng.normal(size=(PROPOSALS, 2)).astype(np.float32),
        "class_logits": rng.normal(size=(PROPOSALS, CLASSES)).astype(np.float32),
        "true_yx": rng.uniform(0, (40, 60), (CELLS, 2)).astype(np.float32),
        "labels": np.array([2, 0, 1, -1], np.int32),
        "proposal_idx": np.array([7, 2, 5, -1], np.int32),
        "proposal_mask": np.arange(PROPOSALS) != 4,
    }


def slow_total(case, options=matched.PAPER_OPTIONS):
    """Eq. 3-7 in loops, float64."""
    softmax = {}
    for name in ("objectness_logits", "class_logits"):
        e = np.exp(case[name].astype(np.float64))
        softmax[name] = e / e.sum(axis=1, keepdims=True)
    regression = classification = detection = count = 0.0
    for j, i in enumerate(case["proposal_idx"]):
        if i < 0:
            continue
        count += 1
        square = ((case["pred_yx"][i] - case["true_yx"][j]).astype(float) ** 2).sum()
        regression += square if options.point_error == "squared" else np.sqrt(square)
        p = softmax["class_logits"][i]
        norm = (p**2).sum() if options.squared_norm else np.sqrt((p**2).sum())
        classification += (1 - p[case["labels"][j]] ** options.q) / options.q
        classification += options.gamma * norm
    for i in np.flatnonzero(case["proposal_mask"]):
        p_object, p_background = softmax["objectness_logits"][i]
        detection -= (
            np.log(p_object)
            if i in case["proposal_idx"]
            else options.negative_weight * np.log(p_background)
        )
    if options.class_reduction == "mean":
        classification /= max(count, 1)
    detection /= case["proposal_mask"].sum()
    regression *= options.regression_weight / max(count, 1)
    return regression + detection + classification


@pytest.mark.parametrize(
    "options",
    [
        matched.PAPER_OPTIONS,
        matched.PointLossOptions(
            negative_weight=0.5,
            q=1.0,
            gamma=0.3,
            regression_weight=0.1,
            point_error="norm",
            squared_norm=True,
            class_reduction="sum",
        ),
    ],
)
def test_total_against_loops(case, options):
    losses = matched_losses(**case, options=options)
    total, terms = total_loss(losses, options=options)
    assert total == pytest.approx(slow_total(case, options), rel=1e-5)
    assert set(terms) == {"regression", "detection", "classification"}


def test_fused_equals_separate(case):
    losses = matched_losses(**case)
    rows = case["proposal_idx"][:3]
    labels = case["labels"][:3]
    held = jnp.asarray(case["class_logits"])[rows]
    expected = points.generalized_cross_entropy(held, labels)
    expected += 0.1 * points.softmax_norm(held)
    np.testing.assert_allclose(losses.classification[:3], expected, rtol=1e-6)
    error = points.point_error(case["pred_yx"][rows], case["true_yx"][:3])
    np.testing.assert_allclose(losses.regression[:3], error, rtol=1e-6)
    targets = np.ones(PROPOSALS, np.int32)
    targets[rows] = 0
    cost = points.detection_cross_entropy(case["objectness_logits"], targets)
    mask = case["proposal_mask"]
    np.testing.assert_allclose(losses.detection[mask], cost[mask], rtol=1e-6)
    assert losses.detection[~mask].tolist() == [0.0]
    assert losses.cell_mask.tolist() == [True, True, True, False]


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30])
def test_garbage_in_padding_changes_nothing(case, garbage):
    def loss(pred_yx, objectness, logits, case):
        heads = {
            "pred_yx": pred_yx,
            "objectness_logits": objectness,
            "class_logits": logits,
        }
        losses = matched.matched_losses(**{**case, **heads})
        return matched.total_loss(losses)[0]

    names = ("pred_yx", "objectness_logits", "class_logits")
    evaluate = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))
    expected = evaluate(*(case[name] for name in names), case)
    case["true_yx"][3] = garbage
    for name in names:
        case[name][4] = garbage
    result = evaluate(*(case[name] for name in names), case)
    jax.tree.map(np.testing.assert_array_equal, result, expected)


def test_gradient_reaches_every_head_and_only_matched_rows(case):
    def loss(heads):
        losses = matched.matched_losses(**{**case, **heads})
        return matched.total_loss(losses)[0]

    names = ("pred_yx", "objectness_logits", "class_logits")
    heads = {name: jnp.asarray(case[name]) for name in names}
    gradient = jax.grad(loss)(heads)
    held = np.isin(np.arange(PROPOSALS), case["proposal_idx"])
    for name in ("pred_yx", "class_logits"):
        np.testing.assert_array_equal(np.any(gradient[name] != 0, axis=1), held)
    used = np.any(gradient["objectness_logits"] != 0, axis=1)
    np.testing.assert_array_equal(used, case["proposal_mask"])
    check_grads(loss, (heads,), 1, ["rev"], atol=2e-2, rtol=2e-2)


def test_vmap_is_a_loop_and_cells_weigh_the_same(case):
    second = {**case, "proposal_idx": np.array([0, -1, -1, -1], np.int32)}
    stacked = jax.tree.map(lambda *x: jnp.stack(x), case, second)
    losses = jax.vmap(lambda case: matched.matched_losses(**case))(stacked)
    for index, one in enumerate((case, second)):
        expected = matched_losses(**one)
        for found, single in zip(losses, expected, strict=True):
            np.testing.assert_allclose(found[index], single, rtol=1e-6)
    _, terms = total_loss(losses)
    each = [np.asarray(matched_losses(**one).regression) for one in (case, second)]
    assert terms["regression"] == pytest.approx(np.concatenate(each).sum() / 4)


@pytest.mark.devices(2)
def test_devices_weigh_cells_the_same(case):
    """Two devices with three cells and one: the mean of their results is the mean."""
    second = {**case, "proposal_idx": np.array([0, -1, -1, -1], np.int32)}
    stacked = jax.tree.map(lambda *x: jnp.stack(x), case, second)
    losses = jax.vmap(lambda case: matched.matched_losses(**case))(stacked)
    expected, _ = total_loss(losses)
    per_device = jax.pmap(lambda losses: matched.total_loss(losses)[0], masking.AXIS)(
        losses
    )
    assert np.mean(per_device) == pytest.approx(float(expected), rel=1e-6)


def test_bfloat16_accumulates_in_float32(case):
    names = ("objectness_logits", "class_logits", "pred_yx")
    halves = {name: jnp.asarray(case[name], jnp.bfloat16) for name in names}
    same = {name: np.asarray(halves[name], np.float32) for name in names}
    losses = matched_losses(**{**case, **halves})
    assert all(x.dtype == jnp.float32 for x in losses[:4])
    assert total_loss(losses)[0] == pytest.approx(
        slow_total({**case, **same}), rel=1e-5
    )


def test_no_cells(case):
    case["proposal_idx"][:] = -1
    value, gradient = jax.value_and_grad(
        lambda z: matched.total_loss(
            matched.matched_losses(**{**case, "class_logits": z})
        )[0]
    )(case["class_logits"])
    assert value == pytest.approx(slow_total(case))
    assert not gradient.any()


def test_one_softmax_with_background_is_p2pnet(case):
    """K + 1 logits, weighted mean; the class head's options play no part."""
    logits = np.random.default_rng(1).normal(size=(PROPOSALS, CLASSES + 1))
    logits = logits.astype(np.float32)
    options = matched.PointLossOptions(negative_weight=0.5, normalizer="weights")
    joint = {**case, "objectness_logits": logits, "class_logits": None}
    losses = matched_losses(**joint, options=options)
    _, terms = total_loss(losses, options=options)
    log_p = np.asarray(jax.nn.log_softmax(logits))
    targets = np.full(PROPOSALS, CLASSES)
    targets[[7, 2, 5]] = [2, 0, 1]
    used = np.flatnonzero(case["proposal_mask"])
    weights = np.where(targets == CLASSES, 0.5, 1.0)[used]
    expected = -(weights * log_p[used, targets[used]]).sum() / weights.sum()
    assert terms["detection"] == pytest.approx(expected, rel=1e-5)
    assert terms["classification"] == 0


@pytest.mark.parametrize(
    "mapping", [jax.vmap, pytest.param(jax.pmap, marks=pytest.mark.devices(2))]
)
@pytest.mark.parametrize("normalizer", matched.NORMALIZERS)
def test_what_detection_is_divided_by(case, normalizer, mapping, rng):
    """Two images with three cells and one, in loops; weights 0.6 times the scale."""
    second = {**case, "proposal_idx": np.array([0, -1, -1, -1], np.int32)}
    images = [
        {**case, "negative_scale": np.float32(scale)}
        for case, scale in zip((case, second), rng.random((2, 9)), strict=True)
    ]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *images)
    losses = jax.vmap(lambda case: matched.matched_losses(**case))(stacked)
    options = matched.PointLossOptions(normalizer=normalizer)
    positive, negative, weights = [], [], 0.0
    for one in images:
        log_p = np.asarray(jax.nn.log_softmax(one["objectness_logits"]), np.float64)
        for i in np.flatnonzero(one["proposal_mask"]):
            if i in one["proposal_idx"]:
                positive.append(-log_p[i, 0])
                weights += 1
            else:
                weight = 0.6 * float(one["negative_scale"][i])
                negative.append(-weight * log_p[i, 1])
                weights += weight
    total = sum(positive) + sum(negative)
    expected = {
        "proposals": total / (len(positive) + len(negative)),
        "weights": total / weights,
        "cells": total / 4,
        "each": sum(positive) / 4 + sum(negative) / len(negative),
    }
    _, terms = total_loss(losses, options=options)
    assert terms["detection"] == pytest.approx(expected[normalizer], rel=1e-5)
    # Two devices of an image each.
    per_device = mapping(
        lambda losses: matched.total_loss(losses, options=options)[1]["detection"],
        axis_name=masking.AXIS,
    )(losses)
    assert np.mean(per_device) == pytest.approx(expected[normalizer], rel=1e-5)


@pytest.mark.parametrize("normalizer", matched.NORMALIZERS)
def test_without_cells_every_normalizer_is_finite(case, normalizer):
    case["proposal_idx"][:] = -1
    options = matched.PointLossOptions(normalizer=normalizer)
    _, terms = total_loss(matched_losses(**case), options=options)
    assert np.isfinite(terms["detection"])
    assert terms["detection"] > 0


def test_negative_scale_multiplies_proposals_without_a_cell(case):
    plain = matched_losses(**case)
    scale = np.linspace(0, 2, PROPOSALS, dtype=np.float32)
    found = matched_losses(**case, negative_scale=scale)
    np.testing.assert_array_equal(found.regression, plain.regression)
    np.testing.assert_array_equal(found.classification, plain.classification)
    scale[[7, 2, 5]] = 1
    np.testing.assert_allclose(found.detection, scale * plain.detection, rtol=1e-6)
    weight = scale * plain.detection_weight
    np.testing.assert_allclose(found.detection_weight, weight, rtol=1e-6)


def test_cross_entropy_in_place_of_gce(case):
    options = matched.PointLossOptions(classification="cross_entropy")
    found = matched_losses(**case, options=options).classification[:3]
    log_p = np.asarray(jax.nn.log_softmax(case["class_logits"]))
    np.testing.assert_allclose(found, -log_p[[7, 2, 5], [2, 0, 1]], rtol=1e-5)


def test_negative_scale_has_no_gradient(case):
    def loss(scale):
        losses = matched.matched_losses(**case, negative_scale=scale)
        return matched.total_loss(losses)[0]

    assert not np.any(jax.grad(loss)(jnp.ones(PROPOSALS)))


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize(("num_cells", "num_proposals"), [(0, 9), (4, 0), (0, 0)])
def test_no_cells_or_no_proposals_at_all(case, num_cells, num_proposals, joint):
    cells = ("true_yx", "labels", "proposal_idx")
    case = {
        name: array[: num_cells if name in cells else num_proposals]
        for name, array in case.items()
    }
    case["proposal_idx"] = np.full(num_cells, -1)
    if joint:
        case["class_logits"] = None

    def loss(logits):
        losses = matched.matched_losses(**{**case, "objectness_logits": logits})
        options = matched.PointLossOptions(class_reduction="sum")
        return matched.total_loss(losses, options=options)

    (value, terms), gradient = jax.value_and_grad(loss, has_aux=True)(
        case["objectness_logits"]
    )
    assert value == terms["detection"]
    assert np.isfinite(value)
    assert (value > 0) == (num_proposals > 0)
    assert np.isfinite(gradient).all()


def test_labels_out_of_range_inside_jit(case):
    plain = matched_losses(**case)
    case["labels"][1] = CLASSES
    found = matched_losses(**case)
    expected = np.where(np.arange(CELLS) == 1, 0.0, plain.classification)
    np.testing.assert_array_equal(found.classification, expected)
    np.testing.assert_array_equal(found.detection, plain.detection)
    logits = np.ones((PROPOSALS, CLASSES + 1), np.float32)
    joint = {**case, "objectness_logits": logits, "class_logits": None}
    assert np.flatnonzero(matched_losses(**joint).detection == 0).tolist() == [2, 4]


def test_trust_scales_what_a_matched_cell_costs(case):
    """Half of it at 0.5, nothing at 0; the other proposals, and counts, stay."""
    plain = matched_losses(**case)
    trust = np.array([0.5, 0.0, 1.0, 0.3], np.float32)
    found = matched_losses(**case, trust=trust)
    for name in ("regression", "classification"):
        expected = np.asarray(getattr(plain, name)) * [0.5, 0, 1, 0]
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-6)
    by_proposal = np.ones(PROPOSALS)
    by_proposal[[7, 2, 5]] = trust[:3]
    for name in ("detection", "detection_weight"):
        expected = np.asarray(getattr(plain, name)) * by_proposal
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-6)
    np.testing.assert_array_equal(found.cell_mask, plain.cell_mask)
    chex.assert_trees_all_close(
        matched_losses(**case, trust=np.ones(CELLS, np.float32)), plain
    )


def test_a_cell_of_trust_0_teaches_nothing_whatever_it_says(case):
    trust = np.array([1.0, 0.0, 1.0, 1.0], np.float32)

    def slopes(logits, classes, pred_yx, **changes):
        changed = {**case, **changes, "pred_yx": pred_yx, "class_logits": classes}
        changed["objectness_logits"] = logits
        return total_loss(matched_losses(**changed, trust=trust))[0]

    at = case["objectness_logits"], case["class_logits"], case["pred_yx"]
    plain = jax.grad(slopes, argnums=(0, 1, 2))(*at)
    labels, true_yx = case["labels"].copy(), case["true_yx"].copy()
    labels[1], true_yx[1] = 2, 1e4
    other = jax.grad(slopes, argnums=(0, 1, 2))(*at, labels=labels, true_yx=true_yx)
    chex.assert_trees_all_equal(plain, other)
    assert all(not np.asarray(slope)[2].any() for slope in plain)  # the proposal of it
    assert all(np.asarray(slope)[7].any() for slope in plain)
