"""The one call of XPK, and what is refused before it."""

import shlex
import subprocess

import pytest

PLACE = {"NAME": "n", "IMAGE": "i", "CLUSTER": "c", "PROJECT": "p", "ZONE": "z"}
RUN = ["--config", "a", "--workdir", "gs://b/r", "--config.data.root=a b"]
MAIN = "python -m cellrec_jax.main --config a --workdir gs://b/r "
MAIN += "'--config.data.root=a b'"
NODE = {"JAX_COORDINATOR_ADDRESS": "h", "JAX_COORDINATOR_PORT": "1", "NNODES": "2"}
PYTHON = """#!/bin/bash
printf '%s\\n' "$@" "$JAX_COORDINATOR_ADDRESS" "$JAX_NUM_PROCESSES" "$JAX_PROCESS_ID"
"""


@pytest.mark.parametrize(
    ("device", "flags", "told"),
    [
        ({"TPU": "v5e"}, ["--tpu-type=v5e", "--num-slices=1"], {}),
        (
            {"GPU": "h100", "COUNT": "2"},
            ["--device-type=h100", "--num-nodes=2"],
            {"ADDRESS": "h:1", "PROCESSES": "2", "ID": "1"},
        ),
    ],
)
def test_a_workload(programs, environment, device, flags, told):
    """Of GPUs processes find each other by variables, as a launcher gives them."""
    dry = programs.run("xpk.sh", *RUN, "--dry-run", **PLACE, **device)
    assert dry.returncode == 0
    assert programs.calls() == []
    assert programs.run("xpk.sh", *RUN, **PLACE, **device).returncode == 0
    (call,) = programs.calls()
    assert shlex.split(dry.stdout) == call
    assert call[:3] == ["xpk", "workload", "create"]
    where = ["--workload=n", "--cluster=c", "--project=p", "--zone=z"]
    rest = ["--docker-image=i", "--max-restarts=10", "--restart-on-exit-codes=1"]
    assert set(where + flags + rest) < set(call)
    command = call[-1].removeprefix("--command=")
    assert command.endswith(f"exec {MAIN}")
    (programs.folder / "python").write_text(PYTHON)
    (programs.folder / "python").chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", command],
        env=environment | NODE | {"NODE_RANK": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    *words, address, processes, number = done.stdout.splitlines()
    assert words == ["-m", "cellrec_jax.main", *RUN]
    got = {"ADDRESS": address, "PROCESSES": processes, "ID": number}
    assert got == (told or {"ADDRESS": "h", "PROCESSES": "", "ID": ""})


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        (RUN, {"TPU": "v5e", "GPU": "h100"}, "set TPU or GPU, one of the two"),
        (RUN, {}, "set TPU or GPU, one of the two"),
        (RUN, {"TPU": "v5e", "IMAGE": ""}, "IMAGE is not set"),
        (["--config", "a"], {"TPU": "v5e"}, "give --workdir gs://BUCKET/DIR"),
        (["--workdir", "runs/a"], {"TPU": "v5e"}, "or /data/DIR"),
        (["--workdir", "/data/a"], {"TPU": "v5e", "MOUNT": "/mnt"}, "or /mnt/DIR"),
        ([*RUN, "it's"], {"TPU": "v5e"}, "it's: has quotes"),
        ([*RUN, "a$(b)"], {"TPU": "v5e"}, "a$(b): has quotes, $"),
    ],
)
def test_mistakes_call_nothing(programs, words, variables, said):
    done = programs.run("xpk.sh", *words, **PLACE | variables)
    assert done.returncode == 2
    assert said in done.stderr
    assert programs.calls() == []


@pytest.mark.parametrize(
    ("workdir", "mount"), [("/data/a", {}), ("/mnt/a", {"MOUNT": "/mnt"})]
)
def test_a_folder_of_the_mounted_storage(programs, workdir, mount):
    run = ["--config", "a", f"--workdir={workdir}"]
    done = programs.run("xpk.sh", *run, **PLACE, **mount, TPU="v5e")
    assert done.returncode == 0
    (call,) = programs.calls()
    assert call[-1].endswith(f"--config a --workdir={workdir}")
