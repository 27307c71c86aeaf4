"""Golden: `tests/golden/p2p_case.npz`, outputs of P2PNet's own matcher and criterion.

Of github.com/TencentYoutuResearch/CrowdCounting-P2PNet at 5c91a81, run on the CPU:
`logits` [2, M, 2] (background first), `points` and `gt0`, `gt1` as (x, y), the matches
`i`, `j` of both images, the weighted-mean cross entropy `ce` (0.5 for background) and
the point error `pt`, squared and summed, over the number of points.
"""

import functools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
from jax.test_util import check_grads
import numpy as np
import pytest

from cellrec_jax import masking
from cellrec_jax.losses import points
from cellrec_jax.ops import matching

GOLDEN = Path(__file__).parents[1] / "golden" / "p2p_case.npz"
PROPOSALS, CELLS, CLASSES = 9, 4, 3

gce = jax.jit(points.generalized_cross_entropy)
matched_losses = jax.jit(points.matched_losses, static_argnames="options")
total_loss = jax.jit(points.total_loss, static_argnames="options")


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


def slow_total(case, options=points.PAPER_OPTIONS):
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
        matched = i in case["proposal_idx"]
        detection -= (
            np.log(p_object)
            if matched
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
        points.PAPER_OPTIONS,
        points.PointLossOptions(
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
    expected = gce(held, labels, q=0.4) + 0.1 * points.softmax_norm(held)
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


def test_golden():
    golden = dict(np.load(GOLDEN))
    logits = golden["logits"][..., ::-1]
    weighted = weights = error = 0.0
    for image in range(2):
        true_yx = golden[f"gt{image}"][:, ::-1]
        pred_yx = golden["points"][image, :, ::-1]
        object_prob = jax.nn.softmax(jnp.asarray(logits[image]))[:, :1]
        found = matching.match(
            pred_yx[None],
            jnp.zeros((1, len(pred_yx))),
            object_prob[None],
            true_yx[None],
            jnp.zeros((1, len(true_yx)), jnp.int32),
            jnp.ones((1, len(true_yx)), bool),
            backend="host",
        )
        order = np.argsort(golden[f"j{image}"])
        expected = golden[f"i{image}"][order]
        np.testing.assert_array_equal(found.proposal_idx[0], expected)
        labels = np.ones(len(pred_yx), np.int32)
        labels[expected] = 0
        cost = points.detection_cross_entropy(
            logits[image], labels, negative_weight=0.5
        )
        weighted += cost.sum()
        weights += points.detection_weights(labels, 1, negative_weight=0.5).sum()
        error += points.point_error(pred_yx[expected], true_yx).sum()
    assert weighted / weights == pytest.approx(golden["ce"], rel=1e-6)
    num_points = len(golden["gt0"]) + len(golden["gt1"])
    assert error / num_points == pytest.approx(golden["pt"], rel=1e-6)


def test_by_hand():
    # 3-4-5 triangles.
    pred_yx, true_yx = np.array([[3.0, 4.0], [1, 1]]), np.array([[0.0, 0.0], [1, 1]])
    assert points.point_error(pred_yx, true_yx).tolist() == [25, 0]
    assert points.point_error(pred_yx, true_yx, form="norm").tolist() == [5, 0]
    even = np.zeros((2, 2), np.float32)
    cost = points.detection_cross_entropy(even, np.array([0, 1]), negative_weight=0.25)
    np.testing.assert_allclose(cost, np.log(2) * np.array([1, 0.25]), rtol=1e-6)
    logits = np.log(np.array([[0.25, 0.75], [0.25, 0.75]], np.float32))
    labels = np.array([0, 1])
    np.testing.assert_allclose(gce(logits, labels, q=1.0), [0.75, 0.25], rtol=1e-6)
    np.testing.assert_allclose(
        gce(logits, labels, q=0.5), [1.0, 2 - 2 * np.sqrt(0.75)], rtol=1e-5
    )
    np.testing.assert_allclose(
        points.softmax_norm(logits), np.sqrt(0.625) * np.ones(2), rtol=1e-6
    )
    np.testing.assert_allclose(
        points.softmax_norm(logits, squared=True), [0.625] * 2, rtol=1e-6
    )


@given(
    logit=st.floats(-30, 30, width=32),
    q=st.sampled_from([1e-12, 1e-6, 1e-3, 0.1, 0.4, 0.7, 1.0]),
)
def test_gce_against_float64(logit, q):
    log_p = -np.logaddexp(0, -np.float64(logit))
    expected = -np.expm1(q * log_p) / q
    found = gce(np.array([[logit, 0.0]], np.float32), np.array([0]), q=q)[0]
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_gce_limits_are_cross_entropy_and_one_minus_p(rng):
    logits = rng.normal(size=(6, CLASSES)).astype(np.float32)
    labels = rng.integers(0, CLASSES, 6).astype(np.int32)
    p = np.take_along_axis(np.asarray(jax.nn.softmax(logits)), labels[:, None], 1)[:, 0]
    np.testing.assert_allclose(gce(logits, labels, q=1e-12), -np.log(p), rtol=1e-5)
    np.testing.assert_allclose(gce(logits, labels, q=0.0), -np.log(p), rtol=1e-5)
    np.testing.assert_allclose(gce(logits, labels, q=1.0), 1 - p, rtol=1e-5)


def test_gce_gradient_is_that_of_the_loss(rng):
    """dL/dlogit = p^q (p_k - [k = label]); a detached weight would give q times it."""
    logits = rng.normal(size=(1, CLASSES)).astype(np.float32)
    p = np.asarray(jax.nn.softmax(logits))[0]
    gradient = jax.grad(lambda z: gce(z, np.array([1]), q=0.4).sum())(logits)
    expected = p[1] ** 0.4 * (p - np.eye(CLASSES)[1])
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-5)
    check_grads(lambda z: gce(z, np.array([1]), q=0.4), (logits,), 1, ["rev"], 1e-2)


@pytest.mark.parametrize("q", [1e-6, 0.4, 1.0])
@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_gce_is_finite_at_the_ends(logit, q):
    logits = jnp.array([[logit, 0.0, 0.0]])
    value, gradient = jax.value_and_grad(lambda z: gce(z, jnp.array([0]), q=q).sum())(
        logits
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert value <= 1 / q * (1 + 1e-6)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30])
def test_garbage_in_padding_changes_nothing(case, garbage):
    def loss(pred_yx, objectness, logits, case):
        heads = {
            "pred_yx": pred_yx,
            "objectness_logits": objectness,
            "class_logits": logits,
        }
        losses = points.matched_losses(**{**case, **heads})
        return points.total_loss(losses)[0]

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
        losses = points.matched_losses(**{**case, **heads})
        return points.total_loss(losses)[0]

    names = ("pred_yx", "objectness_logits", "class_logits")
    heads = {name: jnp.asarray(case[name]) for name in names}
    gradient = jax.grad(loss)(heads)
    matched = np.isin(np.arange(PROPOSALS), case["proposal_idx"])
    for name in ("pred_yx", "class_logits"):
        np.testing.assert_array_equal(np.any(gradient[name] != 0, axis=1), matched)
    used = np.any(gradient["objectness_logits"] != 0, axis=1)
    np.testing.assert_array_equal(used, case["proposal_mask"])
    check_grads(loss, (heads,), 1, ["rev"], atol=2e-2, rtol=2e-2)


def test_vmap_is_a_loop_and_cells_weigh_the_same(case):
    second = {**case, "proposal_idx": np.array([0, -1, -1, -1], np.int32)}
    stacked = jax.tree.map(lambda *x: jnp.stack(x), case, second)
    losses = jax.vmap(lambda case: points.matched_losses(**case))(stacked)
    for index, one in enumerate((case, second)):
        expected = matched_losses(**one)
        for found, single in zip(losses, expected, strict=True):
            np.testing.assert_allclose(found[index], single, rtol=1e-6)
    _, terms = total_loss(losses)
    each = [np.asarray(matched_losses(**one).regression) for one in (case, second)]
    assert terms["regression"] == pytest.approx(np.concatenate(each).sum() / 4)


def test_devices_weigh_cells_the_same(case):
    """Two devices with three cells and one: the mean of their results is the mean."""
    second = {**case, "proposal_idx": np.array([0, -1, -1, -1], np.int32)}
    stacked = jax.tree.map(lambda *x: jnp.stack(x), case, second)
    losses = jax.vmap(lambda case: points.matched_losses(**case))(stacked)
    expected, _ = total_loss(losses)
    per_device = jax.pmap(
        lambda losses: points.total_loss(losses, axis_name="devices")[0], "devices"
    )(losses)
    assert np.mean(per_device) == pytest.approx(float(expected), rel=1e-6)


def test_bfloat16_accumulates_in_float32(case):
    names = ("objectness_logits", "class_logits")
    halves = {name: jnp.asarray(case[name], jnp.bfloat16) for name in names}
    same = {name: np.asarray(halves[name], np.float32) for name in names}
    losses = matched_losses(**{**case, **halves})
    assert all(x.dtype == jnp.float32 for x in losses[:3])
    assert total_loss(losses)[0] == pytest.approx(
        slow_total({**case, **same}), rel=1e-5
    )


def test_no_cells(case):
    case["proposal_idx"][:] = -1
    value, gradient = jax.value_and_grad(
        lambda z: points.total_loss(
            points.matched_losses(**{**case, "class_logits": z})
        )[0]
    )(case["class_logits"])
    assert value == pytest.approx(slow_total(case))
    assert not gradient.any()
    empty = points.generalized_cross_entropy(jnp.zeros((0, 2)), jnp.zeros(0, jnp.int32))
    assert masking.masked_mean(empty, jnp.zeros(0, bool)) == 0


def test_errors(case):
    logits, labels = np.zeros((1, 2), np.float32), np.zeros(1, np.int32)
    for q in (0.0, -0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"q must be in \(0, 1\]"):
            points.generalized_cross_entropy(logits, labels, q=q)
    with pytest.raises(ValueError, match="point error 'l2': use 'squared' or 'norm'"):
        points.point_error(logits, logits, form="l2")
    wrong = functools.partial(points.PointLossOptions, class_reduction="max")()
    with pytest.raises(ValueError, match="use 'mean' or 'sum'"):
        points.total_loss(matched_losses(**case), options=wrong)
