"""Processes that are really killed end alike, and what tells so sees differences.

All methods, moments and faults of the machine: `python -m tests.faults`. Here one
moment each of methods that no other test kills: the two-stage detector is killed in
test_main, those with stages in test_prior, pseudo_masks and rounds.
"""

import json
from pathlib import Path
import random

import numpy as np
from PIL import Image
import pytest

from tests import faults, killed_runs, killing
from tests.killing import Killed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "moment"),
    [("point_matching", "step"), ("density_map", "save"), ("vicar", "compile")],
)
def test_a_killed_run_ends_with_the_same_bits(method, moment, tmp_path):
    found, wrong = killed_runs.kill_run(
        method, tmp_path / "a", 1, random.Random(1), moment
    )
    (killed,) = found
    assert killed.moment.startswith(moment)
    assert killed.where, "it had ended"
    assert not wrong


@pytest.mark.parametrize(("number", "failed"), [(2, 0), (3, 1)])
def test_a_kill_that_did_not_come_is_a_failure(monkeypatch, number, failed):
    found = [Killed("start", "step 2"), Killed("save", "step 4"), Killed("late", "")]
    monkeypatch.setattr(killed_runs, "kill_run", lambda *_: (found, []))
    assert faults.run(["--only", "vicar", "--moments", str(number)]) == failed


def test_predictions_are_killed_after_as_many_images_as_said(tmp_path, monkeypatch):
    """Also of starts that go on from where an earlier one was killed."""
    output, moments = tmp_path / "killed", []

    def draw(folder):
        folder.mkdir(exist_ok=True)
        number = len(list(folder.iterdir()))
        Image.new("L", (2, 2)).save(folder / f"{number}.overlay.png")

    def kill_at(_, folder, moment, wait_s):
        assert 0 <= wait_s <= moment.later_s
        moments.append(moment)
        while not moment.reached("", []):
            draw(folder)
        return True

    def finish(arguments):
        folder = Path(arguments[arguments.index("--output") + 1])
        while not folder.exists() or len(list(folder.iterdir())) < 12:
            draw(folder)

    monkeypatch.setattr(killed_runs, "_SIZE_HW", (32, 48))
    monkeypatch.setattr(killed_runs, "kill_at", kill_at)
    monkeypatch.setattr(killed_runs, "finish", finish)
    found, wrong = killed_runs.kill_predict(tmp_path, tmp_path, 4, random.Random(1))
    assert not wrong
    assert [one.where for one in found] == [
        "after 0 images",
        *(f"after {one.name.partition(' ')[2]} images" for one in moments[1:]),
    ]
    assert len(list(output.iterdir())) == 12


def test_half_written_files_are_seen(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "4.orbax-checkpoint-tmp-1").mkdir()
    (tmp_path / ".tmp-0a").touch()
    (tmp_path / "cut.json").write_text('{"a": [1, ')
    (tmp_path / "cut.jsonl").write_text('{"a": 1}\n{"a"')
    (tmp_path / "cut.csv").write_text("a,b\n1,2\n1")
    np.savez(tmp_path / "cut.npz", a=np.arange(1000))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:-9])
    assert len(list(killing.half_written(tmp_path))) == 6


def test_whole_files_are_none(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"a": 1}))
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    (tmp_path / "a.csv").write_text('a,b\n1,"x\ny"\n')
    np.savez(tmp_path / "a.npz", a=np.arange(1000))
    assert not list(killing.half_written(tmp_path))


def test_one_bit_is_a_difference(tmp_path):
    from cellrec_jax.config import CheckpointConfig
    from cellrec_jax.types import TrainState
    from cellrec_jax.workdir import checkpoint

    for name, value in (("a", 1.0), ("b", 1.0), ("c", np.nextafter(np.float32(1), 2))):
        workdir = tmp_path / name
        state = TrainState(
            step=np.int32(2),
            params={"w": np.full(3, value, np.float32)},
            model_state={},
            opt_state=(np.zeros(3),),
            ema_params={},
        )
        with checkpoint.open_manager(workdir, CheckpointConfig()) as manager:
            checkpoint.save(manager, state, {})
        (workdir / "results.json").write_text('{"metrics": {}}')
    assert not list(killing.differences(tmp_path / "a", tmp_path / "b"))
    (only,) = killing.differences(tmp_path / "a", tmp_path / "c")
    assert "params" in only
    (tmp_path / "b" / "results.json").write_text('{"metrics": {"F1": 1}}')
    (only,) = killing.differences(tmp_path / "a", tmp_path / "b")
    assert "metrics" in only
