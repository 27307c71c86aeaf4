"""Launch files are read by the programs that check such files; versions fit."""

import json
from pathlib import Path
import re
import subprocess
import sysconfig
import tomllib

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
import pytest

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "launch"
SHELL = [*sorted(LAUNCH.glob("*.sh")), LAUNCH / "slurm.sbatch"]
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def check(*command):
    """What a checker says; "" if it finds nothing."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert bool(done.returncode) == bool(done.stdout + done.stderr)
    return done.stdout + done.stderr


def tool(name):
    """A program that was installed beside the interpreter."""
    return Path(sysconfig.get_path("scripts")) / name


@pytest.mark.parametrize("path", SHELL, ids=lambda path: path.name)
def test_shell(path):
    assert check("bash", "-n", path) == ""
    assert check(tool("shellcheck"), path) == ""


@pytest.mark.parametrize("name", ["local.sh", "tpu_vm.sh", "xpk.sh"])
def test_help_is_the_head(programs, name):
    lines = (LAUNCH / name).read_text().splitlines()[1:]
    end = next(n for n, line in enumerate(lines) if not line.startswith("#"))
    for words in (["--help"], ["--config", "a", "-h"]):
        done = programs.run(name, *words)
        assert done.returncode == 0
        told = [line.removeprefix("#").removeprefix(" ") for line in lines[:end]]
        assert done.stdout.splitlines() == told
    assert {call[0] for call in programs.calls()} <= {"nvidia-smi"}


def test_dockerfile():
    assert check(tool("hadolint"), LAUNCH / "Dockerfile") == ""
    text = (LAUNCH / "Dockerfile").read_text()
    (version,) = re.findall(r"^FROM python:([\d.]+)-slim$", text, re.MULTILINE)
    assert version in SpecifierSet(DECLARED["requires-python"])
    ignored = (LAUNCH / "Dockerfile.dockerignore").read_text().split()
    copied = re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE)
    for name in {word.partition("/")[0] for line in copied for word in line.split()}:
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored


def test_the_image_hands_signals_on():
    """Of process 1 the kernel drops signals that it has no handler for."""
    text = (LAUNCH / "Dockerfile").read_text()
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)
    assert json.loads(entry) == ["tini", "--", "python", "-m", "cellrec_jax.main"]
    assert re.search(r"apt-get install .* tini ", text)
    assert re.findall(r"^(?:ARG RUN_AS=|USER )(.*)$", text, re.MULTILINE) == [
        "1000",
        "$RUN_AS",
    ]


def installed_extras():
    """Extras of the package that the image and the VMs of a TPU install."""
    text = (LAUNCH / "Dockerfile").read_text() + (LAUNCH / "tpu_vm.sh").read_text()
    return {
        extra
        for listed in re.findall(r"'\.\[([\w,]+)\]'", text)
        for extra in listed.split(",")
    }


def test_constraints_pin_what_is_declared():
    lines = (LAUNCH / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert installed_extras() == {"gcs"}
    extras = DECLARED["optional-dependencies"]
    needs = [text for extra in installed_extras() for text in extras[extra]]
    for text in [*DECLARED["dependencies"], *needs]:
        needed = Requirement(text)
        if needed.marker is None or needed.marker.evaluate({"sys_platform": "linux"}):
            assert pins[needed.name.lower()] in needed.specifier
    assert pins["jaxlib"] == pins["jax-cuda12-plugin"] == pins["jax"]
    assert "libtpu" in pins
