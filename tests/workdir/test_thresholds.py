"""Words on thresholds: which numbers and names are in them."""

import pytest

from cellrec_jax.workdir import thresholds

LABELS = {"thresholds": [0.3, 0.4], "num_labels": [31, 120]}


def _sources(scope, shared=False, **changes):
    decode = {**LABELS, "scope": scope, **changes}
    return thresholds.sources(decode, ["a", "b"], shared=shared, without_labels="none")


def test_each_class_has_its_own_labels():
    first, second = _sources("own")
    assert ("31" in first, "120" in second) == (True, True)
    assert _sources("own", num_labels=[31, 0])[1] == "none"
    assert _sources("default", num_labels=[0, 0]) == ["none", "none"]


@pytest.mark.parametrize("shared", [True, False])
def test_one_threshold_names_the_class_that_has_few_unless_it_was_asked_for(shared):
    first, second = _sources("shared", shared)
    assert first == second
    assert "151" in first
    assert ("31 of a" in first) is not shared


def test_rule_and_origin_of_the_labels_are_named():
    (first, _) = _sources("own", rule="lee_liu", withheld=True)
    assert first == "fitted on 31 withheld labels by lee_liu"


def test_too_few_labels_name_the_flag():
    assert all("--threshold" in one for one in _sources("default"))
    assert "10 validation" in _sources("default", num_labels=[4, 6])[0]


def test_a_fixed_threshold_keeps_the_distance():
    decode = {**LABELS, "scope": "own", "min_distance": 3.0}
    found = thresholds.fixed(decode, 0.25)
    assert found["thresholds"] == [0.25, 0.25]
    assert found["min_distance"] == 3.0
    assert thresholds.sources(found, ["a", "b"]) == ["fixed by --threshold"] * 2
