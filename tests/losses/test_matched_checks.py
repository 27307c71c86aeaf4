import jax
import numpy as np
import pytest

from cellrec_jax.losses import matched_checks


def arrays(**change):
    """Five proposals, three cells, the last one padded, and two classes."""
    good = {
        "pred_yx": np.zeros((5, 2)),
        "objectness_logits": np.zeros((5, 2)),
        "class_logits": np.zeros((5, 2)),
        "true_yx": np.zeros((3, 2)),
        "labels": np.array([1, 0, -1]),
        "proposal_idx": np.array([4, 2, -1]),
        "proposal_mask": np.ones(5, bool),
        "negative_scale": np.ones(5),
    }
    return good | change


def test_number_of_classes():
    assert matched_checks.check_arrays(**arrays()) == 2
    joint = arrays(objectness_logits=np.zeros((5, 4)), class_logits=None)
    assert matched_checks.check_arrays(**joint) == 3
    optional = dict.fromkeys(("proposal_mask", "negative_scale"))
    assert matched_checks.check_arrays(**arrays(**optional)) == 2


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pred_yx", np.zeros((5, 3)), r"is \(5, 3\), should be \[5, 2\]"),
        ("objectness_logits", np.zeros(5), r"\(5,\), should be \[5, S\]"),
        ("class_logits", np.zeros((1, 2)), r"\(1, 2\), should be \[5, 2\]"),
        ("class_logits", np.zeros((5, 0)), "K >= 1"),
        ("objectness_logits", np.zeros((5, 3)), "need 2 columns"),
        ("true_yx", np.zeros((1, 2)), r"labels is \(3,\), should be \[1\]"),
        ("labels", np.zeros(3), "labels must be integers, not float64"),
        ("labels", np.array([1, 2, -1]), r"label 2 of cell 1 is not in 0\.\.1"),
        ("labels", np.array([-1, 1, -1]), "label -1 of cell 0"),
        ("proposal_idx", np.zeros(3), "proposal_idx must be integers"),
        ("proposal_mask", np.ones(1, bool), r"is \(1,\), should be \[5\]"),
        ("proposal_mask", np.ones(5), "proposal_mask must be bool, not float64"),
        ("negative_scale", np.ones(()), r"is \(\), should be \[5\]"),
    ],
)
def test_bad_arrays_are_named(name, value, message):
    with pytest.raises(ValueError, match=message):
        matched_checks.check_arrays(**arrays(**{name: value}))


def test_values_of_tracers_are_not_looked_at():
    def check(labels):
        return matched_checks.check_arrays(**arrays(labels=labels))

    assert jax.jit(check)(np.array([9, 9, 9])) == 2
