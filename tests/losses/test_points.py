"""Golden: `tests/golden/p2p_case.npz`, outputs of P2PNet's own matcher and criterion.

Of github.com/TencentYoutuResearch/CrowdCounting-P2PNet at 5c91a81, run on the CPU:
`logits` [2, M, 2] (background first), `points` and `gt0`, `gt1` as (x, y), the matches
`i`, `j` of both images, the weighted-mean cross entropy `ce` (0.5 for background) and
the point error `pt`, squared and summed, over the number of points.
"""

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
CLASSES = 3

gce = jax.jit(points.generalized_cross_entropy)


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


def test_another_cost_of_proposals():
    """It is weighted as cross entropy is, and sees no label of padding."""
    labels = np.array([0, 1, -1])

    def cost(logits, labels):
        return logits[:, 0] + 10.0 + labels + jnp.where(labels < 0, jnp.nan, 0.0)

    detection = points.detection_cross_entropy(
        np.zeros((3, 2), np.float32), labels, negative_weight=0.5, cost=cost
    )
    assert detection.tolist() == [10, 5.5, 0]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_against_float64(rng, gamma):
    logits = (2 * rng.normal(size=(6, CLASSES))).astype(np.float32)
    labels = np.array([0, 2, 1, -1, 0, 2])
    wide = logits.astype(np.float64)
    p = np.exp(wide) / np.exp(wide).sum(axis=1, keepdims=True)
    p = p[np.arange(6), labels]
    expected = np.where(labels < 0, 0, -((1 - p) ** gamma) * np.log(p))
    found = points.focal_cross_entropy(logits, labels, gamma=gamma)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_focal_by_hand():
    """p = 0.75 counts a quarter of log(4/3) at gamma 1, a sixteenth at gamma 2."""
    logits = np.log(np.array([[0.75, 0.25]], np.float32))
    for gamma, share in [(1.0, 1 / 4), (2.0, 1 / 16)]:
        found = points.focal_cross_entropy(logits, np.array([0]), gamma=gamma)
        np.testing.assert_allclose(found, share * np.log(4 / 3), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_focal_gradients(rng, gamma):
    def total(z):
        return points.focal_cross_entropy(z, np.array([0, 1, 1]), gamma=gamma).sum()

    logits = rng.normal(size=(3, 2)).astype(np.float32)
    check_grads(total, (logits,), 1, ["rev"], 1e-2)
    ends = jnp.array([[100.0, -100.0], [100.0, -100.0], [0.0, 1e4]])
    assert np.isfinite(total(ends))
    assert np.isfinite(jax.grad(total)(ends)).all()


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
    """dL/dlogit = p^q (p_k - [k = label]).

    That is what cross entropy times a detached p^q has, too; times q p^q, q times it.
    """
    logits = rng.normal(size=(1, CLASSES)).astype(np.float32)
    label, q = np.array([1]), 0.4
    p = np.asarray(jax.nn.softmax(logits))[0]
    gradient = jax.grad(lambda z: gce(z, label, q=q).sum())(logits)
    expected = p[1] ** q * (p - np.eye(CLASSES)[1])
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-5)
    check_grads(lambda z: gce(z, label, q=q), (logits,), 1, ["rev"], 1e-2)
    for weight, ratio in [(p[1] ** q, 1.0), (q * p[1] ** q, q)]:
        weighted = jax.grad(lambda z, w=weight: w * points.cross_entropy(z, label)[0])
        np.testing.assert_allclose(weighted(logits), ratio * gradient, rtol=1e-5)


def test_gce_of_a_traced_q_out_of_range(rng):
    logits = rng.normal(size=(4, CLASSES)).astype(np.float32)
    labels = np.array([0, 1, 2, -1])
    for wrong, right in [(1.5, 1.0), (np.inf, 1.0), (-0.5, 0.0), (np.nan, 0.0)]:
        found, expected = (gce(logits, labels, q=q) for q in (wrong, right))
        np.testing.assert_array_equal(found, expected)
        assert (found >= 0).all()


def test_gradients_against_differences(rng):
    far = 1.0 + rng.random((4, 2), np.float32)
    for form in ("squared", "norm"):
        check_grads(
            lambda x, form=form: points.point_error(x, jnp.zeros((4, 2)), form=form),
            *((far,), 1, ["rev"], 1e-2),
        )
    logits = rng.normal(size=(2, CLASSES)).astype(np.float32)
    for squared in (False, True):
        check_grads(
            lambda z, squared=squared: points.softmax_norm(z, squared=squared),
            *((logits,), 1, ["rev"], 1e-2),
        )


def test_ends_of_the_softmax_norm():
    logits = jnp.array([[0.0, 0.0, 0.0, 0.0], [99.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(points.softmax_norm(logits), [0.5, 1.0])
    np.testing.assert_allclose(points.softmax_norm(logits, squared=True), [0.25, 1.0])


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


@pytest.mark.parametrize("num_classes", [1, 4, 40])
def test_cross_entropy_of_few_and_many_classes(rng, num_classes):
    logits = (9 * rng.normal(size=(5, num_classes))).astype(np.float32)
    labels = rng.integers(0, num_classes, 5).astype(np.int32)
    labels[3] = -1
    wide = logits.astype(np.float64)
    expected = np.log(np.exp(wide).sum(axis=1)) - wide[np.arange(5), labels]
    expected[3] = 0
    value, pull = jax.vjp(lambda z: points.cross_entropy(z, labels), logits)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
    (gradient,) = pull(jnp.ones(5))
    p = np.exp(wide) / np.exp(wide).sum(axis=1, keepdims=True)
    wanted = p - np.eye(num_classes)[labels]
    wanted[3] = 0
    np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_classes", [3, 40])  # both branches
def test_labels_out_of_range(num_classes):
    logits = np.ones((4, num_classes), np.float32)
    labels = np.array([0, num_classes, -2, 10**6])
    value, pull = jax.vjp(jax.jit(points.cross_entropy), logits, labels)
    np.testing.assert_allclose(value, [np.log(num_classes), 0, 0, 0], rtol=1e-6)
    assert np.any(pull(jnp.ones(4))[0] != 0, axis=1).tolist() == [True] + 3 * [False]


def test_no_rows_and_padded_rows():
    empty = points.generalized_cross_entropy(jnp.zeros((0, 2)), jnp.zeros(0, jnp.int32))
    assert masking.masked_mean(empty, jnp.zeros(0, bool)) == 0
    padded = np.array([-1])
    assert points.cross_entropy(np.ones((1, 2), np.float32), padded).tolist() == [0]
    assert gce(np.ones((1, 2), np.float32), padded, q=0.4).tolist() == [0]
