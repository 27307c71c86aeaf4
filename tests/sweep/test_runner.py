"""Processes: how many at a time, how they fail and stop."""

import os
import signal
import threading
import time

import pytest

from cellrec_jax.sweep import plan, runner, state
from cellrec_jax.workdir import interrupt


def execute(tmp_path, count, said=None, workers=1):
    """(name, failure) of each run that ended, and the exit code of a signal."""
    runs = [plan.Run("a", "c", {}, k, None, {"seed": str(k)}) for k in range(count)]
    folder = tmp_path / "trial"
    jobs = [state.Job(run, folder / run.name, {}) for run in runs]
    say = [].append if said is None else said.append
    with interrupt.catch() as caught:
        ended = list(runner.run_all(jobs, caught, say, workers))
    return [(job.run.name, why) for job, _, why in ended], caught.exit_code


@pytest.mark.usefixtures("fake_main")
def test_a_failure_does_not_stop_the_others(tmp_path, order, monkeypatch):
    """One ends with an error; a file stands where the folder of another is to be."""
    monkeypatch.setenv("FAIL", "seed1")
    (tmp_path / "trial/a").mkdir(parents=True)
    (tmp_path / "trial/a/seed2").touch()
    ended, code = execute(tmp_path, 4)
    assert code == 0
    assert ended[0] == ("a/seed0", "")
    assert ended[1] == ("a/seed1", "exit code 1: error: boom")
    assert ended[2][1].startswith("cannot be started: ")
    assert str(tmp_path / "trial/a/seed2") in ended[2][1]
    assert ended[3] == ("a/seed3", "")
    assert order() == ["a/seed0", "a/seed1", "a/seed3"]
    assert (tmp_path / "trial/a/seed0/log.txt").read_text() == "training\n"


@pytest.mark.usefixtures("fake_main")
def test_two_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setenv("MEET", "1")
    ended, _ = execute(tmp_path, 2, workers=2)
    assert [why for _, why in ended] == ["", ""]


@pytest.mark.usefixtures("fake_main")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_an_interruption_lets_runs_save(tmp_path, monkeypatch, number, code):
    monkeypatch.setenv("WAIT", "1")

    def interrupt_soon():
        while not (tmp_path / "waiting").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt_soon, daemon=True)
    thread.start()
    said = []
    assert execute(tmp_path, 3, said) == ([], code)
    thread.join()
    assert (tmp_path / "trial/a/seed0/saved").exists()
    assert not (tmp_path / "trial/a/seed1").exists()
    assert said[-1] == "interrupted: 1 running are saving; repeat to go on"
