"""Weights to start from: which are taken, which are new, which are refused."""

from pathlib import Path

import chex
import jax
import numpy as np
import pytest

from cellrec_jax import errors, main, methods
from cellrec_jax.train import start
from cellrec_jax.workdir import model


@pytest.mark.slow
def test_weights_of_another_run_are_taken_and_new_heads_named(trained):
    experiment = model.restore(trained).experiment
    method = methods.build(experiment, num_classes=2)
    state = start.make_state(experiment, method)
    params, _, line = start.start_from(
        trained, state.params, state.model_state, ["a", "b"]
    )
    old = model.restore(trained).params
    chex.assert_trees_all_equal(
        params["resnet"], jax.tree.map(np.asarray, old["resnet"])
    )
    assert "roi_head/cls/kernel" in line
    assert "resnet" not in line


@pytest.mark.slow
def test_weights_of_classes_are_not_taken_for_those_of_others(trained):
    """As many, but of another name; all the rest is taken."""
    experiment = model.restore(trained).experiment
    method = methods.build(experiment, num_classes=1)
    state = start.make_state(experiment, method)
    fresh = state.params, state.model_state
    *_, line = start.start_from(trained, *fresh, ["tumour"])
    assert "new" not in line
    params, _, line = start.start_from(trained, *fresh, ["stroma"])
    new = line.partition("new: ")[2].split(", ")
    assert {"roi_head/cls/kernel", "roi_head/cls/bias"} <= set(new)
    assert all(name.startswith("roi_head/") for name in new)
    chex.assert_trees_all_equal(
        params["roi_head"]["cls"], state.params["roi_head"]["cls"]
    )


def test_merge_takes_equal_shapes_only():
    fresh = {
        "a": np.zeros(2, np.float32),
        "b": {"c": np.zeros(3, np.float32)},
        "d": np.zeros(1, np.float32),
    }
    old = {"a": np.ones(2), "b": {"c": np.ones(4)}}
    merged, missed = start._merge(fresh, dict(start._leaves(old)))
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
    assert sorted(start._class_weights(made)) == weights


def test_other_weights_are_refused_for_a_run_that_has_started():
    meta = {"init_from": str(Path("a").absolute())}
    start.check(None, meta)
    start.check(Path("a"), meta)
    with pytest.raises(errors.ConfigError, match="--init-from b: this run started"):
        start.check(Path("b"), meta)
    with pytest.raises(errors.ConfigError, match="fresh weights"):
        start.check(Path("b"), {"init_from": ""})
