"""The risk of positive and unlabelled boxes, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.methods.calibrated_rcnn import forward, risk, stages
from cellrec_jax.methods.calibrated_rcnn.options import LossOptions

PU = LossOptions(calibration="pu")
# Two images of three boxes: one positive, three unlabelled (two of them taken for
# cells), and two that are padding.
MARGIN = jnp.array([[2.0, 1.0, 99.0], [-1.0, 3.0, 99.0]])
MASK = jnp.array([[True, True, False], [True, True, False]])
POSITIVE = jnp.array([[True, False, False], [False, False, True]])
STAGE = stages.StageLoss(
    cls=jnp.zeros((2, 3)),
    box=jnp.zeros((2, 3)),
    mask=MASK,
    positive=POSITIVE,
    weight=jnp.ones((2, 3)),
    margin=MARGIN,
)


def _add(loss, prior=0.1, stage=STAGE):
    stages = {"rpn": stage, "roi": stage}
    terms = {"roi_cls": jnp.float32(0.5)}
    state = {forward.PRIOR: {"roi": jnp.float32(prior)}}
    terms, after, metrics = risk.add(terms, stages, state, loss)
    return terms, after[forward.PRIOR], metrics


def _softplus(x):
    return np.log1p(np.exp(x))


def test_the_risk_of_a_given_prior():
    terms, _, metrics = _add(LossOptions(calibration="pu", prior=0.2))
    positive = 0.2 * _softplus(-2)
    negative = np.mean([_softplus(m) for m in (1, -1, 3)]) - 0.2 * _softplus(2)
    np.testing.assert_allclose(terms["roi_cls"], 0.5 + positive + negative, rtol=1e-5)
    np.testing.assert_allclose(metrics["negative_risk"][0], negative, rtol=1e-5)
    np.testing.assert_allclose(metrics["prior"][0], 0.2)


def test_less_than_no_risk_of_unlabelled_boxes_is_cut_off():
    sure = STAGE._replace(margin=jnp.where(POSITIVE, 5.0, -5.0))
    terms, _, metrics = _add(LossOptions(calibration="pu", prior=0.2), stage=sure)
    assert metrics["negative_risk"][0] < 0
    np.testing.assert_allclose(terms["roi_cls"], 0.5 + 0.2 * _softplus(-5), rtol=1e-5)


def test_the_prior_follows_what_is_taken_for_cells():
    terms, after, metrics = _add(PU)
    np.testing.assert_allclose(after["roi"], 0.9 * 0.1 + 0.1 * 2 / 3, rtol=1e-6)
    np.testing.assert_allclose(metrics["prior"][0], after["roi"])
    given, _, _ = _add(LossOptions(calibration="pu", prior=float(after["roi"])))
    np.testing.assert_allclose(terms["roi_cls"], given["roi_cls"], rtol=1e-6)
    _, most, _ = _add(PU, prior=0.5)
    assert most["roi"] == 0.5
    none = STAGE._replace(margin=MARGIN - 50.0)
    _, least, _ = _add(PU, prior=0.01, stage=none)
    np.testing.assert_allclose(least["roi"], 0.01)


def test_no_gradient_reaches_the_prior():
    """That of an unlabelled margin is sigmoid / 3, whatever it does to the prior."""

    def total(margin):
        return _add(PU, stage=STAGE._replace(margin=margin))[0]["roi_cls"]

    slope = jax.grad(total)(MARGIN)
    np.testing.assert_allclose(slope[0, 1], jax.nn.sigmoid(1.0) / 3, rtol=1e-5)
    assert slope[0, 2] == slope[1, 2] == 0


@pytest.mark.parametrize(
    ("loss", "names"),
    [
        (LossOptions(), []),
        (PU, ["roi"]),
        (LossOptions(calibration="pu", scope="both"), ["rpn", "roi"]),
    ],
)
def test_stages_with_a_prior(loss, names):
    assert list(risk.begin(loss).get(forward.PRIOR, {})) == names


def test_without_a_prior_nothing_changes():
    terms, after, metrics = risk.add({"roi_cls": 1.0}, {}, {}, LossOptions())
    assert (terms, after, metrics) == ({"roi_cls": 1.0}, {}, {})
