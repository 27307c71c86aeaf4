"""What gcloud is asked for, what the VMs run, and what follows a preemption."""

import os
from pathlib import Path
import shlex
import signal
import subprocess
import sys
import time

import pytest

SCRIPT = Path(__file__).parents[2] / "launch" / "tpu_vm.sh"
# Bash cannot trap what tests in the background ignore.
HEAR = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.execvp("bash", ["bash", *sys.argv[1:]])
"""
NAMED = {"NAME": "n", "ZONE": "z", "TYPE": "v5litepod-16", "VERSION": "v2"}
RUN = ["--config", "a", "--workdir", "gs://b/r", "--config.data.root=it's here"]
ASKED = ["--accelerator-type=v5litepod-16"]


@pytest.fixture
def tpu(programs):
    def run(*arguments, **variables):
        told = NAMED | {"POLL_S": "0"} | variables
        return programs.run("tpu_vm.sh", *arguments, **told)

    return run


def verbs(calls):
    """What each call to gcloud does, and where; without questions."""
    found = []
    for call in calls:
        worker = [word[9:] for word in call if word.startswith("--worker=")]
        if call[0] == "gcloud" and call[4] not in ("describe", "list"):
            found.append(" ".join([call[4], *worker]))
    return found


ROUND = ["create", "scp all", "ssh all", "ssh all", "ssh 0"]


def test_a_dry_run_prints_what_all_runs(tpu, programs):
    done = tpu("--dry-run", "--spot", "all", *RUN)
    assert done.returncode == 0
    printed = [shlex.split(line) for line in done.stdout.splitlines()]
    assert programs.calls() == []
    assert printed[0] == [
        *["gcloud", "compute", "tpus", "tpu-vm", "list", "--zone=z"],
        "--format=value(name.basename())",
    ]
    assert printed[1] == [
        *["gcloud", "compute", "tpus", "tpu-vm", "create", "n", "--zone=z"],
        "--version=v2",  # of queued-resources alone it is --runtime-version
        *ASKED,
        "--spot",
    ]
    assert printed[2][:3] == ["git", "archive", "--format=tar.gz"]
    assert tpu("--spot", "all", *RUN).returncode == 0
    calls = programs.calls()
    assert verbs(calls) == [*ROUND, "delete"]
    for line in (*printed[2:4], *calls[2:4]):  # the folder is another each time
        line[:] = [word.rpartition("/")[2] for word in line]
    assert printed == calls


def test_a_queued_resource_is_waited_for(tpu, programs):
    programs.reply(" describe ", 0, "WAITING_FOR_RESOURCES")
    programs.reply(" describe ", 0, "ACTIVE")
    assert tpu("--queued", "create").returncode == 0
    start = ["gcloud", "compute", "tpus", "queued-resources"]
    describe = [*start, "describe", "n", "--zone=z", "--format=value(state.state)"]
    create = [*start, "create", "n", "--zone=z", "--node-id=n"]
    create += ["--runtime-version=v2", *ASKED]
    assert programs.calls() == [create, describe, describe]
    programs.reply(" describe ", 0, "FAILED")
    assert tpu("--queued", "create").returncode == 1


def test_flags_of_the_script_stand_anywhere(tpu, programs):
    done = tpu("all", "--spot", *RUN, "--retry=2", "--dry-run")
    assert done.returncode == 0
    assert programs.calls() == []
    usual = tpu("--dry-run", "--spot", "all", *RUN)
    first, second = (out.stdout.splitlines() for out in (done, usual))
    folders = slice(2, 4)  # of the archive: another each time
    assert [len(line) for line in first[folders]] == list(map(len, second[folders]))
    del first[folders], second[folders]
    assert first == second
    assert "--spot" in first[1]


@pytest.mark.parametrize(
    ("flags", "kind"),
    [([], " tpu-vm list "), (["--queued"], " queued-resources list ")],
)
def test_all_deletes_nothing_that_was_there(tpu, programs, flags, kind):
    programs.reply(kind, 0, r"other\nn\n")
    done = tpu(*flags, "all", *RUN)
    assert done.returncode == 2
    assert "n exists" in done.stderr
    programs.reply(kind, 1)  # it could not be asked for
    assert tpu(*flags, "all", *RUN).returncode == 1
    assert verbs(programs.calls()) == []
    programs.reply(kind, 0, r"nn\n")
    programs.reply(" create ", 1)
    assert tpu(*flags, "all", *RUN).returncode == 1
    assert verbs(programs.calls()) == ["create", "delete"]


@pytest.mark.parametrize(("retry", "code", "rounds"), [("1", 0, 2), ("0", 255, 1)])
def test_a_preempted_tpu_is_made_anew(tpu, programs, retry, code, rounds):
    """The connection breaks twice: once by itself."""
    programs.reply("--worker=0", 255)
    programs.reply(" describe ", 0, "READY")
    programs.reply("--worker=0", 255)
    programs.reply(" describe ", 0, "PREEMPTED")
    programs.reply(" describe ", 0, "PREEMPTED")
    programs.reply(" describe ", 0, "PREEMPTED")
    assert tpu("--retry", retry, "all", *RUN).returncode == code
    found = verbs(programs.calls())
    again = [*ROUND[:-1], "ssh 0", "ssh 0", "delete", *ROUND, "delete"]
    assert found == again[: 7 if rounds == 1 else None]


def test_a_process_that_died_starts_again_on_the_same_tpu(tpu, programs):
    programs.reply("--worker=0", 1)
    for _ in range(2):
        programs.reply(" describe ", 0, "READY")
    assert tpu("--retry", "1", "all", *RUN).returncode == 0
    found = verbs(programs.calls())
    again = ["ssh all"] * 3  # their codes, the end of who hangs, the run
    assert found == [*ROUND, *again, "ssh 0", "delete"]
    (killed,) = [call for call in programs.calls() if "kill -KILL" in call[-1]]
    assert killed[-2] == "--worker=all"


@pytest.mark.parametrize("code", [2, 143])
def test_what_starts_nothing_again(tpu, programs, code):
    programs.reply("--worker=0", code)
    programs.reply(" describe ", 0, "READY")
    assert tpu("--retry", "3", "all", *RUN).returncode == code
    found = verbs(programs.calls())
    assert found == [*ROUND, "delete"]


def test_wrong_usage_of_one_vm_starts_nothing_again(tpu, programs):
    """The first dies of it, with another code."""
    programs.reply("--worker=0", 134)
    programs.reply(" describe ", 0, "READY")
    programs.reply("cat cellrec/run.code", 0, r"134\n2\n")
    assert tpu("--retry", "3", "all", *RUN).returncode == 2
    assert verbs(programs.calls()) == [*ROUND, "ssh all", "delete"]


def test_images_are_brought_before_the_run(tpu, programs):
    place = {"IMAGES": "gs://b/it's here"}
    assert tpu("all", *RUN, **place).returncode == 0
    found = programs.calls()
    assert verbs(found) == [*ROUND[:3], "ssh all", *ROUND[3:], "delete"]
    *_, brought, _, _, _ = found
    _, _, command = brought[-1].partition("&& ")
    words = ["gcloud", "storage", "rsync", "--recursive", "gs://b/it's here", "images"]
    assert shlex.split(command) == words
    assert tpu("images", **place).returncode == 0
    assert programs.calls()[-1] == brought


VM = """#!/bin/bash
for word; do
  case $word in --command=*) cd "$HOME" && exec bash -c "${word#--command=}" ;; esac
done
"""
PROGRAM = """#!/bin/bash
printf '%s|' "$@"
[ ! -e wait ] || { trap 'exit 143' TERM; touch ready; sleep 20 & wait; }
exit 3
"""


def test_what_the_vms_run(tpu, programs, tmp_path):
    """The commands of run, follow and stop, here: words arrive whole, and the code."""
    (programs.folder / "gcloud").write_text(VM)
    python = tmp_path / "cellrec" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PROGRAM)
    python.chmod(0o755)
    assert tpu("run", *RUN).returncode == 0
    done = tpu("follow")
    assert done.returncode == 3
    words = ["-m", "cellrec_jax.main", *RUN, "--multihost"]
    assert done.stdout.split("|")[:-1] == words
    (tmp_path / "cellrec" / "wait").touch()
    assert tpu("run", *RUN).returncode == 0
    while not (tmp_path / "cellrec" / "ready").exists():
        time.sleep(0.01)
    assert tpu("stop").returncode == 0
    assert tpu("follow").returncode == 143


FOLLOWED = """#!/bin/bash
echo "$4 $*" >>"$HOME/calls"
case "$*" in *--worker=0*) : >"$HOME/follows"; exec sleep 20 ;; esac
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_a_signal_stops_the_run_and_deletes_the_tpu(
    programs, environment, tmp_path, number, code
):
    (programs.folder / "gcloud").write_text(FOLLOWED)
    popen = subprocess.Popen(
        [sys.executable, "-c", HEAR, SCRIPT, "all", *RUN],
        env=environment | NAMED,
        start_new_session=True,
    )
    while not (tmp_path / "follows").exists():
        time.sleep(0.01)
    os.killpg(popen.pid, number)
    assert popen.wait(20) == code
    calls = (tmp_path / "calls").read_text().splitlines()
    assert "kill -TERM" in calls[-2]
    assert calls[-1].startswith("delete ")


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        (["create"], {"ZONE": ""}, "ZONE is not set"),
        (["start"], {}, "start: give a step"),
        (["images"], {}, "IMAGES is not set"),
        (["--sopt", "create"], {}, "--sopt: no such flag"),
        (["run", "--config", "a"], {}, "give --workdir gs://BUCKET/DIR"),
        (["all", "--workdir", "runs/a"], {}, "give --workdir gs://BUCKET/DIR"),
        (["run", "--workdir=/gs://b/r"], {}, "give --workdir gs://BUCKET/DIR"),
        (["all", "--retry"], {}, "--retry : give a number"),
        (["delete", "--all"], {}, "delete takes no flags, but has --all"),
    ],
)
def test_mistakes_call_nothing(tpu, programs, words, variables, said):
    done = tpu(*words, **variables)
    assert done.returncode == 2
    assert said in done.stderr
    assert programs.calls() == []
