"""Processes of one machine: what they are told, how they die, start again and stop."""

import collections
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest

SCRIPT = Path(__file__).parents[2] / "launch" / "local.sh"
# Bash cannot trap what tests in the background ignore.
HEAR = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp("bash", ["bash", *sys.argv[1:]])
"""
FAKE = """
import json, os, signal, sys, time

number = os.environ.get("JAX_PROCESS_ID", "0")
def note(**what):
    with open("notes", "a") as file:
        file.write(json.dumps({"id": number, **what}) + "\\n")

names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_LOCAL_DEVICE_IDS")
open("notes", "a").close()
before = open("notes").read().count('"id": "%s", "words"' % number)
code = json.loads(os.environ["CODES"])[before].get(number, "wait")
if code == "wait":  # to be stopped, then for a second signal
    got = []
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda number, _: got.append(number))
if code == "hang":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
note(words=sys.argv[1:], told=[os.environ.get(name) for name in names])
started = (before + 1) * int(os.environ.get("JAX_NUM_PROCESSES", 1))
until = time.monotonic() + 20  # none ends before all have started
while open("notes").read().count('"words"') < started and time.monotonic() < until:
    time.sleep(0.01)
if code == "hang":
    time.sleep(30)
if code == "wait":
    until = time.monotonic() + 20
    while not got and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.2)
    note(got=got)
    code = 128 + got[0]
begun = int(os.environ.get("JAX_NUM_PROCESSES", "1"))
while open("notes").read().count('"words"') < begun:
    time.sleep(0.01)
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""
RUN = ["--config", "a", "--workdir", "w"]


@pytest.fixture
def local(tmp_path, programs, environment):
    """Starts local.sh with a program that ends as `codes` say: a start, a process."""
    del programs  # nvidia-smi lists nothing
    (tmp_path / "cellrec_jax").mkdir()
    (tmp_path / "cellrec_jax" / "__init__.py").touch()
    (tmp_path / "cellrec_jax" / "main.py").write_text(FAKE)
    python = tmp_path / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    python.chmod(0o755)

    def start(codes, *flags, **variables):
        told = {"PYTHON": "python", "CODES": json.dumps(codes), "GRACE_S": "1"}
        return subprocess.Popen(
            [sys.executable, "-c", HEAR, SCRIPT, *flags, *RUN],
            env=environment | told | variables,
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.fixture
def notes(tmp_path):
    """What the processes wrote so far, those with a word."""

    def read(word):
        path = tmp_path / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        return [found for line in lines if word in (found := json.loads(line))]

    return read


def test_a_death_is_told_and_all_start_again(local, notes):
    """Of three, one is killed, one waits for a signal, one hears none."""
    first = {"1": -signal.SIGKILL, "2": "hang"}
    popen = local([first, {"0": 0, "1": 0, "2": 0}], "--processes", "3")
    _, said = popen.communicate(timeout=30)
    assert popen.returncode == 0
    assert all(line.startswith("local.sh: ") for line in said.splitlines())
    assert "process 1 of 3 ended with 137 (signal KILL)" in said
    assert "starts all again from what is saved (1 of 3)" in said
    assert [found["got"] for found in notes("got")] in ([], [[signal.SIGTERM]])
    starts = notes("words")
    assert collections.Counter(one["id"] for one in starts) == dict.fromkeys("012", 2)
    assert all(one["words"] == RUN for one in starts)
    addresses = [one["told"][0] for one in starts]
    assert len(set(addresses[:3])) == len(set(addresses[3:])) == 1
    assert all(one["told"][1:] == ["3", None] for one in starts)


@pytest.mark.parametrize("code", [0, 2, 130, 143])
def test_what_starts_nothing_again(local, notes, code):
    popen = local([{"0": code, "1": code}], "--processes", "2")
    popen.communicate(timeout=30)
    assert popen.returncode == code
    assert len(notes("words")) == 2


def test_restarts_end(local, notes):
    popen = local([{"0": 134}] * 3, "--restarts=1", "--processes=1")
    _, said = popen.communicate(timeout=30)
    assert popen.returncode == 134
    assert "gives up after 1 restarts" in said
    assert [one["told"] for one in notes("words")] == [[None] * 3] * 2


def test_an_error_at_the_start_is_not_repeated(local, notes):
    popen = local([{"0": 1, "1": "wait"}], "--processes", "2")
    _, said = popen.communicate(timeout=30)
    assert popen.returncode == 1
    assert "starts nothing again" in said
    assert len(notes("words")) == 2


def test_flags_stand_anywhere(environment, local, notes, tmp_path):
    del local  # has put the program there
    done = subprocess.run(
        ["bash", SCRIPT, *RUN, "--restarts", "0", "--processes=2"],
        env=environment | {"PYTHON": "python", "CODES": '[{"0": 134, "1": 134}]'},
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 134
    assert [one["words"] for one in notes("words")] == [RUN] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_each_once(local, notes, number):
    """As the terminal sends it, to the group of local.sh."""
    popen = local([{}], "--processes", "2")
    while len(notes("words")) < 2:
        time.sleep(0.01)
    os.killpg(popen.pid, number)
    popen.communicate(timeout=30)
    assert popen.returncode == 128 + number
    assert [one["got"] for one in notes("got")] == [[number]] * 2
    assert len(notes("words")) == 2


def test_one_process_a_gpu(local, notes, programs):
    programs.reply("nvidia-smi", 0, r"GPU 0: a\nGPU 1: b\n")
    popen = local([{"0": 0, "1": 0}])
    popen.communicate(timeout=30)
    assert popen.returncode == 0
    told = sorted((one["id"], *one["told"][1:]) for one in notes("words"))
    assert told == [("0", "2", "0"), ("1", "2", "1")]


@pytest.mark.parametrize(
    ("visible", "count"), [("1", 1), ("3,GPU-b,-1,2", 2), ("", 1), ("NoDevFiles", 1)]
)
def test_gpus_that_are_hidden_get_no_process(local, notes, programs, visible, count):
    programs.reply("nvidia-smi", 0, r"GPU 0: a\nGPU 1: b\nGPU 2: c\nGPU 3: d\n")
    popen = local([{"0": 0, "1": 0}], CUDA_VISIBLE_DEVICES=visible)
    popen.communicate(timeout=30)
    assert popen.returncode == 0
    told = [one["told"][1:] for one in sorted(notes("words"), key=lambda x: x["id"])]
    assert told == ([[None, None]] if count == 1 else [["2", "0"], ["2", "1"]])


@pytest.mark.parametrize("codes", [{"0": 2, "1": 134}, {"0": 134, "1": 2}])
def test_wrong_usage_of_one_starts_nothing_again(local, notes, codes):
    popen = local([codes], "--processes", "2")
    popen.communicate(timeout=30)
    assert popen.returncode == 2
    assert len(notes("words")) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--processes", "two", *RUN], "--processes two: give a number"),
        (["--processes=2x", *RUN], "--processes 2x: give a number"),
        (["--processes", "0", *RUN], "--processes 0: give 1 or more"),
        (["--config", "a"], "give --workdir DIR"),
    ],
)
def test_mistakes(programs, words, said):
    done = programs.run("local.sh", *words)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_python_without_the_package(programs, tmp_path):
    python = tmp_path / "bin" / "other"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    python.chmod(0o755)
    for name in ("other", "nowhere"):
        done = programs.run("local.sh", "--processes", "8", *RUN, PYTHON=name)
        assert done.returncode == 2
        (said,) = done.stderr.splitlines()
        assert f"local.sh: {name}: " in said
        assert "PYTHON=" in said
