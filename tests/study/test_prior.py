"""The judge, by hand and on a run of seconds."""

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.study import prior

TISSUE = np.array([[1, 1, 1, 0], [0, 0, 0, 0]], bool)
OWN = np.array([[1, 0, 0, 0], [0, 0, 0, 0]], bool)
OTHERS = np.array([[0, 1, 0, 0], [0, 0, 0, 1]], bool)


def test_agreement_by_hand():
    values = np.array([[0.9, 0.3, 0.6, 0.5], [0.1, 0.1, 0.1, 0.1]], np.float32)
    found = prior.agreement(values[None], [TISSUE], OWN[None], OTHERS[None])
    # Of 3 x 5 pairs all but 0.3 under 0.5 are right; the cut at 0.6 has 2 of 3.
    assert found["AUC"] == pytest.approx(14 / 15)
    assert found["AUC_low"] is None  # one image says nothing about images
    assert (found["IoU"], found["threshold"]) == pytest.approx((3 / 4, 0.3))
    assert found["share"] == pytest.approx(3 / 8)
    assert found["inside"] == pytest.approx(0.6)
    assert found["outside"] == pytest.approx(0.9 / 5)
    assert found["own_circles"] == pytest.approx(0.9)
    assert found["between"] == pytest.approx(0.6)
    assert found["other_circles"] == pytest.approx(0.2)


def test_the_interval_is_of_images():
    """AUC 1, 0 and 1 of three images."""
    values = np.stack([TISSUE, ~TISSUE, TISSUE]).astype(np.float32)
    three = np.stack([TISSUE] * 3)
    found = prior.agreement(values, list(three), three, ~three)
    assert found["AUC"] == pytest.approx(2 / 3)
    assert 0 <= found["AUC_low"] < 2 / 3 < found["AUC_high"] == 1


def test_an_image_without_tissue_has_no_auc_but_counts_elsewhere():
    values = np.stack([TISSUE * 1.0, np.full(TISSUE.shape, 0.5)]).astype(np.float32)
    nothing = np.zeros_like(TISSUE)
    tissue = [TISSUE, nothing]
    found = prior.agreement(values, tissue, np.stack(tissue), np.stack([nothing] * 2))
    assert found["AUC"] == 1
    assert found["outside"] == pytest.approx(8 * 0.5 / 13)
    assert found["other_circles"] is found["between"] is None


@pytest.mark.slow
def test_a_run(full):
    rows = prior.judge(str(full))
    assert [row["map"] for row in rows] == [
        "first network",
        "prior decoder",
        "annotated circles",
    ]
    assert all(tuple(row) == prior.COLUMNS and row["steps"] == 2 for row in rows)
    circles = rows[2]
    assert circles["own_circles"] == 1
    assert circles["between"] == circles["other_circles"] == 0
    assert circles["inside"] > circles["outside"]
    assert 0 < rows[0]["inside"] < 1
    fewer = prior.judge(str(full), num_images=1)
    assert fewer[0]["share"] != rows[0]["share"]


@pytest.mark.slow
def test_a_run_without_a_prior(ours):
    with pytest.raises(errors.ConfigError, match="has no prior"):
        prior.judge(str(ours))
