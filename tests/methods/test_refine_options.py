"""What does nothing in rounds of pseudo labels is refused, naming the key."""

import dataclasses

import pytest

from cellrec_jax import errors
from cellrec_jax.methods.refine_options import RefineOptions

BY_SCORE = {"rank": "score", "take": "threshold", "carry_over": False}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"top_share": 0.1}, r"top_share=0.1 does nothing"),
        ({"pooled": False}, r"pooled=false does nothing"),
        ({"carry_over": True}, r"carry_over=true does nothing"),
        ({"rank": "p_classification"}, r"candidate_threshold=0.01"),
    ],
)
def test_what_does_nothing_by_a_threshold_is_refused(keys, message):
    """Where there are rounds; and by shares it does something."""
    with pytest.raises(errors.ConfigError, match=message):
        RefineOptions(rounds=1, **BY_SCORE | keys)
    assert not RefineOptions(**BY_SCORE | keys).rounds
    assert RefineOptions(rounds=1, **BY_SCORE | keys | {"take": "share"}).rounds == 1


def test_labels_are_renewed_by_score_and_threshold_alone():
    assert RefineOptions(**BY_SCORE).renews
    assert not RefineOptions(**BY_SCORE | {"take": "share"}).renews
    ranked = dataclasses.replace(RefineOptions(**BY_SCORE), rank="p_classification")
    assert not ranked.renews
    assert not RefineOptions().renews
