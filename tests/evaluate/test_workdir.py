"""What is said and refused before and after a trained run is measured."""

import dataclasses

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data import sets
from cellrec_jax.evaluate import workdir as evaluation
from cellrec_jax.io.console import Console
from cellrec_jax.metrics import results
from cellrec_jax.types import Traits
from cellrec_jax.workdir import model


def test_other_classes_are_refused(trained):
    experiment = model.restore(trained).experiment
    data = dataclasses.replace(experiment.data, classes="")
    split = sets.open_sets(data, 0).test
    with pytest.raises(errors.DataError, match="tumour=positive"):
        evaluation.evaluate_workdir(
            trained, split, Console(quiet=True), experiment.eval, {}
        )


def test_images_that_fill_all_slots_are_named(trained):
    """Three are kept; what is below the threshold 0.5 does not count."""
    restored = model.restore(trained)
    meta = {**restored.meta, "decode": {"thresholds": [0.5, 0.5]}}
    restored = dataclasses.replace(restored, meta=meta)

    def lines(scores, labels, per_class=True):
        traits = Traits(max_detections=3, slots_per_class=per_class)
        made = restored.method._replace(traits=traits)
        none = np.zeros((0, 2), np.float32)
        one = results.ImageResult(
            "a", "", none, np.array(scores), np.array(labels, np.int32), None,
            np.zeros(len(scores), bool), none, np.zeros(0, np.int32), None,
        )  # fmt: skip
        return evaluation._slot_lines(dataclasses.replace(restored, method=made), [one])

    assert restored.method.traits.slots_per_class
    assert restored.method.traits.max_detections == 12
    assert lines([], []) == lines([0.9, 0.8, 0.4], [0, 0, 0]) == []
    assert lines([0.9, 0.8, 0.7], [0, 0, 1]) == []
    assert lines([0.9, 0.8, 0.4], [0, 0, 1], per_class=False) == []
    assert len(lines([0.9, 0.8, 0.7], [0, 0, 1], per_class=False)) == 1
    (line,) = lines([0.9, 0.8, 0.5], [1, 1, 1])
    assert "1 of 1 images (such as a)" in line
    assert "the 3 that are kept" in line
