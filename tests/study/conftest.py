"""Runs of seconds with three decoders and with one, on generated cytoplasm stains."""

import pytest

from cellrec_jax import methods, run

SIZE_HW = (64, 96)


def _experiment(**changes):
    experiment = methods.freeze(
        {
            "method": "multitask",
            "total_steps": 3,
            "batch_size": 4,
            "model": {"network": "fcrn_a", "width": 2, "max_detections": 32},
            "loss": {"radius_px": 5.0},
            "prior": {"steps": 2},
            "data": {
                "synthetic_kind": "cytoplasm",
                "classes": "positive=tumor_strong+tumor_weak,other=lookalike+"
                "epithelium+macrophage+lymphocyte+stroma",
                "synthetic_hw": SIZE_HW,
                "size_hw": SIZE_HW,
                "synthetic_train": 4,
                "synthetic_val": 1,
                "synthetic_test": 3,
                "max_cells": 64,
            },
            "optim": {"name": "adam", "learning_rate": 1e-2, "schedule": "constant"},
            "eval": {"radii_px": (4.0, 12.0), "bootstrap": 10, "overlays": 0},
        }
    )
    return methods.changed(experiment, changes)


@pytest.fixture(scope="session")
def full(tmp_path_factory):
    """A work directory of three decoders; tests must not write there."""
    workdir = tmp_path_factory.mktemp("full")
    assert run.train_and_evaluate(_experiment(), workdir) == 0
    return workdir


@pytest.fixture(scope="session")
def ours(tmp_path_factory):
    """A work directory of the main decoder alone, on the same images."""
    workdir = tmp_path_factory.mktemp("ours")
    alone = {"dynamic_weight": 0.0, "consistency_weight": 0.0, "prior_weight": 0.0}
    changes = {f"loss.{key}": value for key, value in alone.items()}
    assert run.train_and_evaluate(_experiment(**changes), workdir) == 0
    return workdir


@pytest.fixture(scope="session")
def detectors(tmp_path_factory, tiny_experiment):
    """Label -> a work directory of the tiny detector, from half of the annotations.

    With a checkpoint of each of its four steps; tests must not write there.
    """
    changes = {"data.keep_rate": 0.5, "checkpoint.every": 1, "checkpoint.keep": 4}
    found = {}
    for label, calibration in (("plain", "plain"), ("BDE", "bde")):
        workdir = tmp_path_factory.mktemp(label)
        own = changes | {"loss.calibration": calibration}
        experiment = methods.changed(tiny_experiment, own)
        assert run.train_and_evaluate(experiment, workdir) == 0
        found[label] = str(workdir)
    return found
