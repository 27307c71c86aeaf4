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


def test_images_of_another_scale_are_named(trained):
    """Trained on 96 x 128 px, 0.25 um: 0.4 times the size, and 0.3 um, are not that."""
    restored = model.restore(trained)
    restored = dataclasses.replace(restored, meta={**restored.meta, "mpp": 0.25})

    def lines(size_hw, mpp):
        native_hw = np.array([[96, 128], size_hw])
        images = sets.EvalSet(None, ("a", "b"), ("", ""), None, native_hw, mpp)
        return evaluation._scale_lines(restored, images)

    assert lines((100, 140), 0.255) == lines((48, 192), 0.0) == []
    (size,) = lines((300, 400), 0.25)
    assert "1 of 2 images (such as 300 x 400 px)" in size
    assert "about 96 x 128 px" in size
    (pixel,) = lines((96, 128), 0.3)
    assert "0.3 um per px, the training images 0.25" in pixel


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
