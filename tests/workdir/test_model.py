"""Methods with weights; restoring is tested in test_run."""

import dataclasses

import numpy as np
import pytest

from cellrec_jax import main, methods
from cellrec_jax.workdir import model

DECODE = {"thresholds": [0.25, 0.5], "min_distance": 3.0, "num_labels": [1, 2]}


def test_decode_is_in_px_of_the_network(tiny_experiment):
    meta = {
        "decode": DECODE,
        "native_hw": [2 * side for side in tiny_experiment.data.size_hw],
        "class_names": ["a", "b"],
    }
    made = model.Model(tiny_experiment, None, None, None, meta, 1)
    np.testing.assert_array_equal(made.decode.thresholds, np.float32([0.25, 0.5]))
    assert made.decode.min_distance == 1.5
    assert made.threshold_lines()[-1] == "least distance of two cells: 3 px"
    assert not model.keep_all(2).thresholds.any()


@pytest.mark.parametrize(("mode", "distance"), [("squeeze", 3 / 8**0.5), ("pad", 0.75)])
def test_decode_where_sides_are_scaled_unlike(tiny_experiment, mode, distance):
    """By 1/2 and 1/4: squeezed cells shrink by the mean, padded images by 1/4."""
    data = dataclasses.replace(tiny_experiment.data, resize=mode)
    height, width = data.size_hw
    meta = {"decode": DECODE, "native_hw": [2 * height, 4 * width]}
    experiment = dataclasses.replace(tiny_experiment, data=data)
    made = model.Model(experiment, None, None, None, meta, 1)
    np.testing.assert_allclose(made.decode.min_distance, distance, rtol=1e-6)


def test_sizes_near_the_training_images(tiny_experiment):
    """Of 200 x 100 px; both sides count, and the limit itself is near."""
    meta = {"native_hw": [200, 100]}
    made = model.Model(tiny_experiment, None, None, None, meta, 1)
    assert made.takes_whole((100, 150))
    assert not made.takes_whole((99, 100))
    assert not made.takes_whole((200, 151))
    assert made.takes_whole((210, 95), 0.05)
    assert not made.takes_whole((210, 94), 0.05)


def test_merge_takes_equal_shapes_only():
    fresh = {
        "a": np.zeros(2, np.float32),
        "b": {"c": np.zeros(3, np.float32)},
        "d": np.zeros(1, np.float32),
    }
    old = {"a": np.ones(2), "b": {"c": np.ones(4)}}
    merged, missed = model._merge(fresh, dict(model._leaves(old)))
    assert merged["a"].tolist() == [1, 1]
    assert merged["b"]["c"].tolist() == [0, 0, 0]
    assert missed == ["b/c", "d"]


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("c2c12_pseudo:small", []),  # finds cells of one class, whatever its name
        ("pdl1_map:small_unet", ["output/bias", "output/kernel"]),
        ("pdl1_point:small", ["classes/output/bias", "classes/output/kernel"]),
    ],
)
def test_weights_of_the_classes(name, weights):
    experiment = methods.freeze(main.load_config(name))
    made = model.Model(experiment, None, None, None, {"class_names": ["cell"]}, 1)
    assert sorted(model._class_weights(made)) == weights
