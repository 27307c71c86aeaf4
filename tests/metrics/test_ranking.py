import itertools

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.metrics import ranking

COUNT = 6
SCORES = npst.arrays(np.int32, COUNT, elements=st.integers(0, 4))  # many ties
LABELS = npst.arrays(bool, COUNT).filter(lambda labels: 0 < labels.sum() < COUNT)


@given(scores=SCORES, positive=LABELS)
def test_auc_against_pairs(scores, positive):
    pairs = [
        np.sign(high - low) / 2 + 0.5
        for high, low in itertools.product(scores[positive], scores[~positive])
    ]
    assert ranking.auc(scores, positive) == pytest.approx(np.mean(pairs))
    assert ranking.auc(-scores, positive) == pytest.approx(1 - np.mean(pairs))


def test_by_hand():
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    positive = np.array([True, False, True, False])
    assert ranking.auc(scores, positive) == 0.75


def test_half_precision_of_jax():
    scores = jnp.array([3.0, 1.0, 1.0], jnp.bfloat16)
    positive = jnp.array([True, True, False])
    assert ranking.auc(scores, positive) == 0.75


@pytest.mark.parametrize(
    ("scores", "positive", "message"),
    [
        ([1.0, 2.0], [True, True], "AUC needs positives and negatives, not 2 and 0"),
        ([1.0, np.nan], [True, False], "NaN or infinite"),
        ([1.0, 2.0], [True], r"must both be \[N\]"),
        ([1.0, 2.0], [1, 0], "must be bool"),
    ],
)
def test_bad_input_is_named(scores, positive, message):
    with pytest.raises(ValueError, match=message):
        ranking.auc(np.array(scores), np.array(positive))


def test_best_iou_against_every_threshold():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = rng.integers(0, 6, 30) / 5
        positive = rng.random(30) < 0.4
        found, threshold = ranking.best_iou(scores, positive)
        overlaps = {
            cut: ((scores >= cut) & positive).sum() / ((scores >= cut) | positive).sum()
            for cut in np.unique(scores)
        }
        assert found == pytest.approx(max(overlaps.values()))
        assert overlaps[threshold] == pytest.approx(found)


def test_best_iou_needs_positives():
    with pytest.raises(ValueError, match="needs positives"):
        ranking.best_iou(np.zeros(2), np.zeros(2, bool))
    assert ranking.best_iou(np.array([2.0, 1.0]), np.ones(2, bool)) == (1.0, 1.0)
