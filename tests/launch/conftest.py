"""Programs on PATH that write down how they are called, and end as they are told."""

from collections.abc import Callable
import json
import os
from pathlib import Path
import subprocess
import sys
from typing import NamedTuple

import pytest

LAUNCH = Path(__file__).parents[2] / "launch"
FAKE = f"""#!{sys.executable} -SE
import json, pathlib, sys
folder = pathlib.Path(__file__).parent
call = [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]
with (folder / "calls").open("a") as file:
    print(json.dumps(call), file=file)
replies = json.loads((folder / "replies").read_text())
for reply in replies:
    word, code, text = reply
    if word in " ".join(call):
        replies.remove(reply)
        (folder / "replies").write_text(json.dumps(replies))
        print(text, end="")
        sys.exit(code)
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
    for name in ("gcloud", "kubectl", "nvidia-smi", "scontrol", "srun", "xpk"):
        (folder / name).write_text(FAKE)
        (folder / name).chmod(0o755)
    (folder / "replies").write_text("[]")

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
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def reply(word, code=0, text=""):
        path = folder / "replies"
        path.write_text(json.dumps([*json.loads(path.read_text()), [word, code, text]]))

    return Programs(folder, run, calls, reply)
