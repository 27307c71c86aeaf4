"""Processes: how many at a time, how they fail, stop and keep others out."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time

import pytest

from cellrec_jax import errors
from cellrec_jax.sweep import plan, runner, state

WRITE_CORES = (
    "import os, pathlib, sys;"
    "cores = sorted(os.sched_getaffinity(0));"
    "pathlib.Path(sys.argv[4], 'cores').write_text(str(cores))"
)


def jobs_of(tmp_path, count):
    runs = [plan.Run("a", "c", {}, k, None, {"seed": str(k)}) for k in range(count)]
    folder = tmp_path / "trial"
    return [state.Job(run, folder / run.name, {}) for run in runs]


def progress_of(jobs, said, known_seconds=(), workers=1):
    return runner.Progress(
        jobs,
        known_seconds=dict(known_seconds),
        workers=workers,
        result_of=lambda job: f"fine {job.run.seed}",
        say=said.append,
    )


def execute(tmp_path, fake_main, count, said=None, workers=1):
    jobs = jobs_of(tmp_path, count)
    progress = progress_of(jobs, [] if said is None else said)
    with runner.locked(tmp_path / "trial") as lock:
        return runner.run_all(jobs, progress, lock, workers, fake_main)


def test_the_command():
    run = plan.Run("a", "x:y", {}, 0, None, {"data.root": "a b", "seed": "0"})
    job = state.Job(run, Path("w"), {})
    flags = ["--config", "x:y", "--workdir", "w"]
    overrides = ["--config.data.root=a b", "--config.seed=0"]
    assert runner.command(job, ["main"]) == ["main", *flags, *overrides]
    assert runner.command(job)[:3] == [sys.executable, "-m", "cellrec_jax.main"]


def test_one_after_the_other(tmp_path, fake_main, order):
    said = []
    summary = execute(tmp_path, fake_main, 3, said)
    assert summary == (3, (), 0, 0)
    assert order() == ["a/seed0", "a/seed1", "a/seed2"]
    assert said[0] == "started a/seed0"
    assert said[1].startswith("[1/3] a/seed0: fine 0 (0 s); 2 left, about ")
    assert said[-1] == "[3/3] a/seed2: fine 2 (0 s)"
    assert (tmp_path / "trial/a/seed0/log.txt").read_text() == "training\n"


def test_a_failure_does_not_stop_the_others(tmp_path, fake_main, monkeypatch):
    monkeypatch.setenv("FAIL", "seed1")
    said = []
    summary = execute(tmp_path, fake_main, 3, said)
    assert (summary.num_done, summary.num_left, summary.exit_code) == (2, 0, 1)
    log = tmp_path / "trial/a/seed1/log.txt"
    assert summary.failures == (("a/seed1", 1, log, "error: boom"),)
    assert "[2/3] a/seed1: FAILED with 1: error: boom; 1 left, about 0 s" in said


def test_a_run_without_a_folder_fails_alone(tmp_path, fake_main, order):
    """A file stands where the second run's folder is to be."""
    (tmp_path / "trial/a").mkdir(parents=True)
    (tmp_path / "trial/a/seed1").touch()
    said = []
    summary = execute(tmp_path, fake_main, 3, said)
    assert (summary.num_done, summary.num_left, summary.exit_code) == (2, 0, 1)
    (failure,) = summary.failures
    assert (failure.name, failure.code) == ("a/seed1", 1)
    assert failure.last_line.startswith("cannot be started: ")
    assert str(tmp_path / "trial/a/seed1") in failure.last_line
    assert f"[2/3] a/seed1: FAILED with 1: {failure.last_line}; 1 left" in said[2]
    assert order() == ["a/seed0", "a/seed2"]


def test_a_command_that_is_not_there(tmp_path):
    summary = execute(tmp_path, [str(tmp_path / "none")], 2)
    assert (summary.num_done, len(summary.failures), summary.num_left) == (0, 2, 0)


def test_two_at_a_time(tmp_path, fake_main, monkeypatch):
    monkeypatch.setenv("MEET", "1")
    assert execute(tmp_path, fake_main, 2, workers=2).num_done == 2


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
def test_workers_have_cores_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {7, 1, 3, 4, 6})
    assert runner.core_shares(1) == [frozenset()]
    assert runner.core_shares(2) == [{1, 3}, {4, 6, 7}]
    assert runner.core_shares(3) == [{1}, {3, 4}, {6, 7}]
    assert runner.core_shares(6) == [frozenset()] * 6
    monkeypatch.undo()
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    before = os.sched_getaffinity(0)
    execute(tmp_path, [sys.executable, "-c", WRITE_CORES], 3, workers=2)
    assert os.sched_getaffinity(0) == before
    found = [path.read_text() for path in tmp_path.glob("trial/a/*/cores")]
    assert len(found) == 3
    assert set(found) == {str(sorted(cores)) for cores in runner.core_shares(2)}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
def test_a_lone_run_has_all_cores(tmp_path):
    execute(tmp_path, [sys.executable, "-c", WRITE_CORES], 1, workers=2)
    found = (tmp_path / "trial/a/seed0/cores").read_text()
    assert found == str(sorted(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_an_interruption_lets_runs_save(tmp_path, fake_main, monkeypatch, number, code):
    monkeypatch.setenv("WAIT", "1")

    def interrupt():
        while not (tmp_path / "waiting").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    said = []
    summary = execute(tmp_path, fake_main, 3, said)
    thread.join()
    assert summary == (0, (), 3, code)
    assert (tmp_path / "trial/a/seed0/saved").exists()
    assert not (tmp_path / "trial/a/seed1").exists()
    assert said[-1] == "interrupted: 1 running are saving; repeat to go on"


def test_one_sweep_a_folder(tmp_path):
    with runner.locked(tmp_path / "new"):
        refusal = pytest.raises(errors.RunError, match=f"process {os.getpid()} works")
        with refusal, runner.locked(tmp_path / "new"):
            pass
        with runner.locked(tmp_path / "other"):
            pass
    with runner.locked(tmp_path / "new"):
        pass


def test_a_run_that_outlives_its_sweep_keeps_the_lock(tmp_path):
    sleep = [sys.executable, "-S", "-c", "import time; time.sleep(20)"]
    with runner.locked(tmp_path) as lock:
        process = subprocess.Popen(sleep, pass_fds=(lock,))
    refusal = pytest.raises(errors.RunError, match="a run that it started")
    with refusal, runner.locked(tmp_path):
        pass
    process.kill()
    process.wait()
    with runner.locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    refusal = pytest.raises(errors.RunError, match="another --workdir")
    with refusal, runner.locked(tmp_path / "file"):
        pass


def test_the_estimate_knows_the_rows(tmp_path):
    jobs = jobs_of(tmp_path, 2)
    other = plan.Run("b", "c", {}, 0, None, {})
    jobs.append(state.Job(other, tmp_path, {}))
    known = {"a": [100.0, 200.0], "c": [300.0]}
    progress = progress_of(jobs, [], known, workers=2)
    assert progress._estimate() == (150 + 150 + 200) / 2  # b takes the mean of all
