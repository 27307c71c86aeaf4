"""Parts of the loop, and what it makes a device do; the whole is in test_run."""

import contextlib
import dataclasses
import json
from pathlib import Path

import chex
import jax
import numpy as np
import pytest

from cellrec_jax import config, errors, methods, run
from cellrec_jax.data import sets
from cellrec_jax.data.record import Source
from cellrec_jax.data.survey import Survey
from cellrec_jax.io.console import Console
from cellrec_jax.train import loop
from cellrec_jax.types import Traits
from cellrec_jax.workdir import model


class _Manager:
    directory = Path("runs/x/checkpoints")

    def __init__(self, last: int | None = 20):
        self.last = last

    def latest_step(self):
        return self.last


def _calls(name, values):
    fine = {"loss": (1.0, 1.0), "grad_norm": (2.0, 1.0)}
    return [(1, fine | {name: (value, 1.0)}) for value in values]


def test_metrics_are_sums_over_counts():
    rows = [
        {"loss": (np.float32(2), np.float32(2)), "energy": (0.5, 1.0), "none": (0, 0)},
        {"loss": (np.float32(4), np.float32(1)), "energy": (2.5, 4.0), "none": (0, 0)},
    ]
    pending = [(1, row | {"grad_norm": (1.0, 1.0)}) for row in rows]
    found = loop._drain(pending, 2, _Manager())
    assert found == {"loss": 2.0, "energy": 0.6, "grad_norm": 1.0}
    assert pending == []


def test_steps_that_a_call_did_not_do_count_for_nothing():
    def column(*values):
        return np.float32([*values, 99.0]), np.float32([1.0] * len(values) + [9.0])

    calls = [
        (number, {"loss": column(*losses), "grad_norm": column(*losses)})
        for number, losses in ((2, (1.0, 2.0)), (1, (6.0, 9.0)))
    ]
    assert loop._drain(list(calls), 3, _Manager())["loss"] == 3.0
    calls[0][1]["grad_norm"][0][1] = np.nan
    with pytest.raises(errors.RunError, match="grad_norm is nan at step 2;"):
        loop._drain(calls, 3, _Manager())


@pytest.mark.parametrize(
    ("step", "every", "expected"),
    [(0, 0, 20), (19, 0, 1), (20, 0, 10), (30, 0, 10), (90, 0, 8), (10, 3, 2)],
)
def test_a_call_ends_where_the_host_has_something_to_do(
    tiny_experiment, step, every, expected
):
    """Logs at 20, 40, ...; saves at 30, 60, ...; 98 steps in all."""
    changes = {"log.every": 20, "checkpoint.every": 30, "eval.every": every}
    experiment = methods.changed(tiny_experiment, {**changes, "total_steps": 98})
    assert loop._free_steps(experiment, step) == expected


@pytest.mark.parametrize("name", ["loss", "grad_norm"])
def test_the_first_bad_step_is_named(name):
    calls = _calls(name, (1.0, np.nan, np.inf))
    with pytest.raises(
        errors.RunError, match=f"{name} is nan at step 29; .*--init-from runs/x and"
    ):
        loop._drain(calls, 30, _Manager())


def test_a_resumed_run_keeps_what_it_has_fitted():
    """But not by another rule: its weights may have other thresholds then."""
    experiment = methods.freeze({"method": "calibrated_rcnn"})
    stored = {"config": config.to_json(experiment), "mpp": 0.25, "cells_kept": 3}
    started = {"init_from": "a", "seconds": 2.5}
    kept = {"decode": {"thresholds": [0.3]}, "fit_pending": False, **started}
    assert loop._carried({**stored, **kept}, experiment) == kept
    assert loop._carried(stored, experiment) == {}
    rule = dataclasses.replace(experiment.eval, threshold=0.5)
    other = dataclasses.replace(experiment, eval=rule)
    assert loop._carried({**stored, **kept}, other) == started


def test_a_class_without_training_cells_is_said(tiny_experiment):
    source = Source("any", ("a", "b"), ("1",), lambda _: None)
    data = sets.Sets(*(sets.Split(source, ids, None) for ids in "1  "), ("drawn",))
    found = Survey(5, 9, 2, (5, 0), 8, None, 0.0)
    notes = list(loop.notes(tiny_experiment, data, found))
    assert notes[0] == "drawn"
    assert "2 cells beyond --config.data.max_cells" in notes[1]
    assert "no training cell of class b" in notes[2]
    assert len(notes) == 3


def test_methods_without_trust_refuse_what_nobody_gave(tiny_experiment):
    method = methods.build(tiny_experiment, 2)
    found = Survey(5, 5, 0, (5, 0), 8, None, 0.0, 2)
    loop.refuse_doubted(tiny_experiment, method, found)  # it has
    without = method._replace(traits=Traits())
    with pytest.raises(errors.ConfigError, match=r"data.root=.*: 2 of its cells"):
        loop.refuse_doubted(tiny_experiment, without, found)
    loop.refuse_doubted(tiny_experiment, without, found._replace(num_doubted=0))


class _Guarded(Console):
    """While it shows training, nothing moves to or from a device unasked."""

    @contextlib.contextmanager
    def training(self, start, total):
        with super().training(start, total) as show, jax.transfer_guard("disallow"):
            yield show


@pytest.mark.slow
def test_two_seeds_and_their_feeds_share_a_step_that_waits_for_no_transfer(
    map_experiment, tmp_path, count_compilations
):
    """With validation and checkpoints; images on the device, from tf.data, and on the
    device with three steps a call, which ends where they are due.
    """
    changes = {"eval.bootstrap": 10, "eval.every": 2, "eval.overlays": 0}
    changes |= {"checkpoint.every": 2, "model.width": 3}  # a width of this test alone
    experiment = methods.changed(map_experiment, changes)

    def train(name, **changes):
        workdir, console = tmp_path / name, _Guarded(quiet=True)
        one = methods.changed(experiment, changes)
        assert run.train_and_evaluate(one, workdir, console) == 0
        return [
            row["train/loss"]
            for row in map(
                json.loads, (workdir / "metrics.jsonl").read_text().splitlines()
            )
            if "train/loss" in row
        ]

    with count_compilations() as found:
        losses = train("arrays")
        train("tf", **{"seed": 1, "data.loader": "tf"})
    assert (found.steps, found.predictions) == (1, 1), found.names
    assert found.names["jit(_draw)"] == 1  # weights of both seeds
    several = train("several", **{"train.steps_per_call": 3})
    np.testing.assert_allclose(several, losses, rtol=1e-5)


@pytest.mark.slow
def test_a_finished_run_whose_last_checkpoint_is_cut_ends_alike(
    map_experiment, tmp_path, capsys
):
    """It goes on from the one before; one that is alone is an error as before."""
    experiment = methods.changed(map_experiment, {"checkpoint.every": 2})
    assert run.train_and_evaluate(experiment, tmp_path) == 0
    before = model.restore(tmp_path).params
    results = json.loads((tmp_path / "results.json").read_text())["metrics"]
    for path in (tmp_path / "checkpoints" / "4" / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(errors.CheckpointError, match="checkpoints/4"):
        model.restore(tmp_path)
    assert run.train_and_evaluate(experiment, tmp_path, Console()) == 0
    said = capsys.readouterr().out
    assert "step 4 is damaged: that of step 2 is taken" in said.replace("\n", " ")
    chex.assert_trees_all_equal(before, model.restore(tmp_path).params)
    found = json.loads((tmp_path / "results.json").read_text())["metrics"]
    assert found == results
