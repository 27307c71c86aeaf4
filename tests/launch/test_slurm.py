"""What srun and scontrol are asked for, and when a job goes back to the queue."""

import os
from pathlib import Path
import re
import signal
import subprocess
import time

import pytest

SCRIPT = Path(__file__).parents[2] / "launch" / "slurm.sbatch"
STEP = ["srun", "--kill-on-bad-exit=0", "--wait=0"]
TASK_OF = [*STEP, "bash", "-c"]
MAIN = ["python3", "-m", "cellrec_jax.main", "--config", "a", "--workdir", "w"]
JOB = {"SLURM_JOB_ID": "7", "PAUSE_S": "0"}
TASK = {"SLURM_JOB_ID": "5", "SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "3"}


@pytest.fixture
def sbatch(programs):
    def run(*arguments, **variables):
        return programs.run("slurm.sbatch", *arguments, **variables)

    return run


def test_what_the_job_asks_for():
    head, _, _ = SCRIPT.read_text().partition("\nset ")
    asked = re.findall(r"^#SBATCH (\S+)$", head, re.MULTILINE)
    assert {"--requeue", "--ntasks-per-node=1", "--signal=TERM@120"} <= set(asked)


def test_one_step_is_told_all_gpus_of_its_node(sbatch, programs):
    (programs.folder / "srun").write_text(
        '#!/bin/sh\necho "$JAX_LOCAL_DEVICE_IDS $SRUN_CPUS_PER_TASK" "$@"\n'
    )
    gpus = {"SLURM_GPUS_ON_NODE": "4", "SLURM_CPUS_PER_TASK": "16"}
    done = sbatch(*MAIN[3:], **JOB, **gpus)
    assert done.returncode == 0
    words = done.stdout.split()
    assert words[:4] == ["0,1,2,3", "16", *STEP[1:]]
    assert words[-len(MAIN) :] == MAIN
    assert sbatch(*MAIN[3:], **JOB).stdout.split()[0] == "1"


def test_a_task_of_an_array_is_a_run_of_the_sweep(sbatch, programs):
    done = sbatch("sweep", "s.toml", "--root", "a b", **TASK, PYTHON="py")
    assert done.returncode == 0
    words = ["py", "launch/sweep.py", "s.toml", "--root", "a b", "--run", "3"]
    assert programs.calls() == [[*STEP, "--nodes=1", "--ntasks=1", *words]]


@pytest.mark.parametrize(
    ("words", "job", "name"),
    [(MAIN[3:], JOB, "7"), (["sweep", "s.toml"], TASK, "5_3")],
)
def test_what_was_saved_goes_back_to_the_queue(sbatch, programs, words, job, name):
    programs.reply("srun", 143)
    assert sbatch(*words, **job).returncode == 143
    assert programs.calls()[1:] == [["scontrol", "requeue", name]]


@pytest.mark.parametrize(
    ("codes", "restarts", "code", "steps"),
    [
        ([254], "3", 2, 1),
        ([137, 1, 0], "3", 0, 3),
        ([137, 1, 0], "1", 1, 2),
        ([2], "3", 2, 1),
        ([130], "3", 130, 1),
        ([0], "3", 0, 1),
    ],
)
def test_steps_that_died_start_again(sbatch, programs, codes, restarts, code, steps):
    for one in codes:
        programs.reply("srun", one)
    assert sbatch(*MAIN[3:], **JOB, RESTARTS=restarts).returncode == code
    calls = programs.calls()
    assert len(calls) == steps
    for call in calls:
        assert call[: len(TASK_OF)] == TASK_OF
        assert call[-len(MAIN) :] == MAIN


def test_a_step_waits_before_it_starts_again(sbatch, programs):
    """Longer than a file server keeps the locks of a dead node."""
    (programs.folder / "sleep").write_text('#!/bin/sh\necho "slept $1"\n')
    (programs.folder / "sleep").chmod(0o755)
    programs.reply("srun", 137)
    done = sbatch(*MAIN[3:], SLURM_JOB_ID="7")
    assert done.returncode == 0
    (word, seconds) = done.stdout.split()
    assert (word, float(seconds) >= 90) == ("slept", True)


SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
CODE=2 "$@" & tasks=$!
CODE=134 "$@"
dead=$?
wait "$tasks"
first=$?
exit $((first > dead ? first : dead))
"""
DYING = "#!/bin/bash\nexit $CODE\n"
SAVING = """#!/bin/bash
trap 'sleep 0.2; exit 143' TERM
touch started
for _ in {1..300}; do sleep 0.1; done
"""


def test_wrong_usage_of_one_task_starts_nothing_again(sbatch, programs):
    """srun tells the largest code of its tasks: here of one that the other ends."""
    for name, text in (("srun", SRUN), ("py", DYING)):
        (programs.folder / name).write_text(text)
        (programs.folder / name).chmod(0o755)
    assert sbatch(*MAIN[3:], **JOB, PYTHON="py").returncode == 2


def test_a_task_that_saves_is_waited_for(sbatch, programs, environment, tmp_path):
    """Slurm's signals are of all processes of a step: of the shell as well."""
    sbatch(*MAIN[3:], **JOB, PYTHON="py")
    (call,) = programs.calls()
    (programs.folder / "py").write_text(SAVING)
    (programs.folder / "py").chmod(0o755)
    popen = subprocess.Popen(
        call[len(STEP) :], env=environment, cwd=tmp_path, start_new_session=True
    )
    while not (tmp_path / "started").exists():
        time.sleep(0.01)
    os.killpg(popen.pid, signal.SIGTERM)
    assert popen.wait(20) == 143


def test_a_cancelled_job_is_not_requeued(programs, environment, tmp_path):
    """Slurm sends SIGTERM to script and step then, to steps alone at the time limit."""
    (programs.folder / "srun").write_text(
        "#!/bin/sh\ntrap 'exit 143' TERM\ntouch started\nsleep 30 &\nwait\n"
    )
    popen = subprocess.Popen(
        ["bash", SCRIPT, *MAIN[3:]],
        env=environment | JOB,
        cwd=tmp_path,
        start_new_session=True,
    )
    while not (tmp_path / "started").exists():
        time.sleep(0.01)
    os.killpg(popen.pid, signal.SIGTERM)
    assert popen.wait(20) == -signal.SIGTERM
    assert programs.calls() == []


@pytest.mark.parametrize(
    ("words", "job", "said"),
    [
        (["--config", "a"], JOB, "give --workdir DIR"),
        (["sweep", "s.toml"], JOB, "give sbatch --array=0-N"),
    ],
)
def test_mistakes_start_nothing(sbatch, programs, words, job, said):
    done = sbatch(*words, **job)
    assert done.returncode == 2
    assert said in done.stderr
    assert programs.calls() == []
