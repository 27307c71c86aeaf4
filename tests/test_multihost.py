"""How processes find each other, and what two do that one does."""

from concurrent import futures
import json
from pathlib import Path
import shutil
import signal
import socket
import subprocess
import time

import numpy as np
import pytest

from cellrec_jax import errors, multihost
from tests import layouts

SLURM = {
    "SLURM_JOB_ID": "5000",
    "SLURM_STEP_NODELIST": "gpu[07-08],gpu11",
    "SLURM_NTASKS": "3",
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}
JAX = {
    "JAX_COORDINATOR_ADDRESS": "job-0-0.job:1234",
    "JAX_NUM_PROCESSES": "4",
    "JAX_PROCESS_ID": "3",
}


@pytest.mark.parametrize(
    ("variables", "launched"),
    [
        ({}, False),
        (SLURM, True),
        ({**SLURM, "SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"SLURM_NTASKS": "3", "SLURM_PROCID": "0"}, False),  # the batch script itself
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_WORKER_HOSTNAMES": "a", "MEGASCALE_NUM_SLICES": "2"}, True),
        ({"TPU_PROCESS_ADDRESSES": "a:1,b:1"}, True),
        (JAX, True),
    ],
)
def test_launchers_tell_of_several_processes(variables, launched):
    assert multihost.is_launched(variables) == launched


def test_place_of_slurm(monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    # JAX's port: the job's number above the last 4,096 of all.
    assert multihost.detected() == ("gpu07:62344", 3, 1, (0,))
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "1")  # of which each has all devices
    assert multihost.detected().devices is None
    monkeypatch.setenv("JAX_LOCAL_DEVICE_IDS", "0,1")
    assert multihost.detected().devices == (0, 1)


def test_place_of_variables(monkeypatch):
    for name, value in JAX.items():
        monkeypatch.setenv(name, value)
    assert multihost.detected() == ("job-0-0.job:1234", 4, 3, None)


def test_no_launcher_is_told():
    with pytest.raises(errors.ConfigError, match="--multihost HOST:PORT,COUNT,ID"):
        multihost.join("auto")


@pytest.mark.parametrize(
    "flag",
    [
        *["here", "here:1234", "here,2,0", "here:x,2,0", "here:1,2,2", "here:1,2,-1"],
        *["here:0,2,0", "here:65536,2,0", "here:99999,2,1"],
    ],
)
def test_bad_places_are_refused(flag):
    with pytest.raises(errors.ConfigError, match="HOST:PORT,COUNT,ID"):
        multihost.join(flag)


def test_one_process_joins_nothing():
    multihost.join("nowhere.invalid:1,1,0")


def test_silence_is_told_in_time(free_port):
    begun = time.monotonic()
    with pytest.raises(errors.ConfigError, match=f"localhost:{free_port}.*within 0.1"):
        multihost.join(f"localhost:{free_port},2,1", wait_s=0.1)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("which", [0, 1])
def test_a_long_wait_is_told_once(free_port, monkeypatch, capsys, which):
    flag = f"localhost:{free_port},2,{which}"
    for silent_s, wait_s, count in ((0.2, 2, 1), (60, 0.1, 0)):
        monkeypatch.setattr(multihost, "_SILENT_S", silent_s)
        with pytest.raises(errors.ConfigError):
            multihost.join(flag, wait_s=wait_s)
        said = capsys.readouterr().err
        assert said.count(f"localhost:{free_port}, up to {wait_s} s") == count


def test_the_first_waits_for_all_and_names_who_is_missing(free_port):
    with futures.ThreadPoolExecutor() as pool:
        flags = [f"localhost:{free_port},3,{index}" for index in (0, 1, 2)]
        places = [multihost.parse(flag) for flag in flags]
        met = [pool.submit(multihost._meet, place, 20) for place in places]
        assert [one.result() for one in met] == [None] * 3
        late = pool.submit(multihost._meet, places[1], 1.0)
        with pytest.raises(errors.ConfigError, match="process 2 did not come"):
            multihost._meet(places[0], 1.0)
        with pytest.raises(errors.ConfigError, match="no first process answers"):
            late.result()


def test_a_port_in_use_is_told():
    with socket.socket(socket.AF_INET6) as used:
        used.bind(("::", 0))
        used.listen()
        with pytest.raises(errors.ConfigError, match="name a free port"):
            multihost.join(f"localhost:{used.getsockname()[1]},2,0", wait_s=0.1)


@pytest.mark.parametrize("which", ["0", "1"])
def test_a_launcher_may_try_again(free_port, monkeypatch, which):
    """Who comes late is no wrong usage, which launch files never start again."""
    address = {"JAX_COORDINATOR_ADDRESS": f"localhost:{free_port}"}
    for name, value in {**JAX, **address, "JAX_PROCESS_ID": which}.items():
        monkeypatch.setenv(name, value)
    for flag in ("", "auto"):
        with pytest.raises(errors.RunError, match=r"within 0\.1 s") as late:
            multihost.join(flag, wait_s=0.1)
        assert late.value.exit_code == 1


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    """Rounds, which share most; `python -m tests.layouts` has all methods."""
    for name, layout in (("one", (1, 4)), ("two", (2, 2))):
        command = layouts.arguments("heatmap_pu", tmp_path / name)
        layouts.finish(layouts.start(command, *layout))
    parameters, results = layouts.compare(tmp_path / "one", tmp_path / "two")
    assert layouts.recall(tmp_path / "one") > 0
    assert parameters < 1e-6
    assert results < 1e-6


def _after_steps(workdir: Path, number: int) -> None:
    """Waits until a run has logged some steps."""
    until = time.monotonic() + 300
    path = workdir / "metrics.jsonl"
    while not path.exists() or len(path.read_bytes().splitlines()) < number:
        assert time.monotonic() < until
        time.sleep(0.05)


def _long(workdir: Path) -> list[str]:
    """A run that does not end by itself meanwhile."""
    keys = ["total_steps=100000", "checkpoint.every=50000", "eval.every=0"]
    return [
        *layouts.arguments("density_map", workdir),
        *(f"--config.{k}" for k in keys),
    ]


def _end(processes: list[subprocess.Popen[str]]) -> list[int]:
    for process in processes:
        process.communicate(timeout=120)
    return [process.returncode for process in processes]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (signal.SIGTERM, signal.SIGTERM, 143),  # 50 ms apart
        (None, signal.SIGTERM, 143),
        (signal.SIGINT, None, 130),
    ],
)
def test_a_signal_anywhere_ends_all_at_one_step(tmp_path, first, second, code):
    processes = layouts.start(_long(tmp_path / "run"), processes=2, devices=1)
    _after_steps(tmp_path / "run", 3)
    for process, number in zip(processes, (first, second), strict=True):
        if number:
            process.send_signal(number)
        time.sleep(0.05)
    assert _end(processes) == [code, code]
    (step,) = (int(path.name) for path in (tmp_path / "run/checkpoints").iterdir())
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["step"] == step


@pytest.mark.slow
def test_a_killed_process_ends_the_others_within_a_minute(tmp_path):
    processes = layouts.start(_long(tmp_path / "run"), processes=2, devices=1)
    _after_steps(tmp_path / "run", 1)
    processes[1].kill()
    begun = time.monotonic()
    codes = _end(processes)
    assert time.monotonic() - begun < 60
    assert codes[0] != 0


@pytest.mark.slow
def test_slurms_variables_start_a_run_of_two(tmp_path, free_port, monkeypatch):
    """As `srun` sets them, on this machine."""
    monkeypatch.setenv("JAX_COORDINATOR_PORT", str(free_port))
    common = {**SLURM, "SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2"}
    common |= {"SLURM_STEP_NODELIST": "localhost"}
    processes = []
    for index in ("0", "1"):
        for name, value in {**common, "SLURM_PROCID": index}.items():
            monkeypatch.setenv(name, value)
        command = layouts.arguments("density_map", tmp_path / "run")
        processes += layouts.start(command, processes=1, devices=2)
    layouts.finish(processes)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert len(results["run"]["devices"]) == 4
    assert results["run"]["step"] == 3


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [((2, 2), (1, 1)), ((1, 4), (2, 1))])
def test_a_run_goes_on_on_another_layout(tmp_path, before, after):
    """Saved at step 2 of 4 by one layout, gone on from there by another."""
    one, other = tmp_path / "one", tmp_path / "other"
    keys = ["--config.checkpoint.every=2", "--config.total_steps=4"]
    arguments = [*layouts.arguments("density_map", one), *keys]
    layouts.finish(layouts.start(arguments, *before))
    shutil.copytree(one, other)
    shutil.rmtree(other / "checkpoints" / "4")
    arguments = [*layouts.arguments("density_map", other), *keys]
    layouts.finish(layouts.start(arguments, *after))
    rows = [
        json.loads(line)
        for path in (one, other)
        for line in (path / "metrics.jsonl").read_text().splitlines()
    ]
    losses = [row["train/loss"] for row in rows if "train/loss" in row]
    assert len(losses) == 8
    np.testing.assert_allclose(losses[:4], losses[4:], rtol=1e-6)
    parameters, results = layouts.compare(one, other)
    assert parameters < 1e-6
    assert results < 1e-5


@pytest.mark.slow
def test_two_processes_predict_what_one_does(tmp_path, trained, bcdata_folder):
    """A file that is no image costs only itself, whoever meets it."""
    shutil.copytree(bcdata_folder / "images", tmp_path / "images")
    (tmp_path / "images" / "6.png").write_bytes(b"no image")
    for name, layout in (("one", (1, 1)), ("two", (2, 1))):
        paths = f"--input {tmp_path / 'images'} --output {tmp_path / name}"
        command = f"--mode predict --workdir {trained} {paths}".split()
        processes = layouts.start(command, *layout)
        assert _end(processes) == [1] * len(processes)
    one, two = (
        {path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*")}
        for name in ("one", "two")
    )
    assert one == two
    for path in (*one, Path("summary.csv")):
        if path.suffix in (".csv", ".geojson", ".png"):
            texts = [(tmp_path / name / path).read_bytes() for name in ("one", "two")]
            rows = [sorted(text.splitlines()) for text in texts]
            assert rows[0] == rows[1], path
