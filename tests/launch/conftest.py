"""Programs on PATH that write down how they are called, and end as they are told."""

from collections.abc import Callable
import os
from pathlib import Path
import subprocess
from typing import NamedTuple

import pytest

LAUNCH = Path(__file__).parents[2] / "launch"
FAKE = r"""#!/usr/bin/env bash
folder=${0%/*} call="${0##*/} $*" number=0
{ printf '%s\0' "${0##*/}" "$@"; echo; } >>"$folder/calls"
while IFS=$'\t' read -r word code text; do
  used=$folder/used$((++number))
  if [[ $call == *"$word"* && ! -e $used ]]; then
    : >"$used"
    printf %b "$text"
    exit "$code"
  fi
done <"$folder/replies"
"""


class Programs(NamedTuple):
    """Stand-ins for the programs that a launch file calls."""

    folder: Path
    run: Callable[..., subprocess.CompletedProcess]
    """Runs a launch file by name with arguments; keywords are its environment."""
    calls: Callable[[], list[list[str]]]
    """What was called so far, in order."""
    reply: Callable[..., None]
    """The next call that has the word ends with the code and prints the text, once."""


@pytest.fixture
def environment(tmp_path):
    """PATH with the stand-ins first, and nothing of a scheduler that runs the tests."""
    path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
    return {"PATH": path, "HOME": str(tmp_path)}


@pytest.fixture
def programs(tmp_path, environment):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("gcloud", "git", "kubectl", "nvidia-smi", "scontrol", "srun", "xpk"):
        (folder / name).write_text(FAKE)
        (folder / name).chmod(0o755)
    (folder / "replies").touch()

    def run(name, *arguments, **variables):
        return subprocess.run(
            ["bash", LAUNCH / name, *arguments],
            env=environment | variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def calls():
        path = folder / "calls"
        lines = path.read_text().split("\0\n")[:-1] if path.exists() else []
        return [line.split("\0") for line in lines]

    def reply(word, code=0, text=""):
        with (folder / "replies").open("a") as file:
            print(word, code, text, sep="\t", file=file)

    return Programs(folder, run, calls, reply)
