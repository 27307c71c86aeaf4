"""Small runs of each method in processes of their own: killed, finished, compared."""

from collections.abc import Callable, Iterator, Sequence
import csv
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import NamedTuple

from tests import layouts

_KEYS = {
    **layouts.SMALL,
    "total_steps": "20",
    "checkpoint.every": "5",
    "eval.every": "10",
}
_STAGES = {
    "heatmap_pu": {"total_steps": "20", "data.synthetic_val": "1"},
    "multitask": {"prior.steps": "20"},
    "estimate_mask": {"detector.steps": "20"},
    "blob_filter": {"total_steps": "1", "eval.every": "0"},
    "vicar": {"total_steps": "1", "eval.every": "0"},
}
"""Method -> keys of longer stages than `tests.layouts` has."""
_TEMPORARY = (".tmp-*", "*orbax-checkpoint-tmp*")


class Moment(NamedTuple):
    """When a process is to be killed."""

    name: str
    reached: Callable[[str, Sequence[Path]], bool]
    """(what was printed, files and folders there) -> whether it has come."""
    later_s: float = 0.0
    """At most so long after it."""


class Killed(NamedTuple):
    """What became of it."""

    moment: str
    where: str
    """How far it had come; empty where it ended before."""


def command(method: str, workdir: Path) -> list[str]:
    """The command line of a method's run."""
    flag, own = layouts.RUNS[method]
    keys = {**own, **_KEYS, **_STAGES.get(method, {})}
    if own.get("data.crop_hw"):
        keys["data.crop_hw"] = own["data.crop_hw"]
    return main(
        *("--config", flag, "--workdir", str(workdir)),
        *(f"--config.{key}={value}" for key, value in keys.items()),
    )


def main(*arguments: str) -> list[str]:
    """A command line of the program."""
    return [sys.executable, "-m", "cellrec_jax.main", *arguments]


def last_step(method: str) -> int:
    """The step that a method's run ends at."""
    return int({**_KEYS, **_STAGES.get(method, {})}["total_steps"])


def straight(method: str, root: Path) -> Path:
    """The work directory of a method's run that nothing disturbs; trained once."""
    workdir = root / f"straight-{method}"
    if not (workdir / "results.json").exists():
        finish(command(method, workdir))
    return workdir


def kill_at(
    arguments: Sequence[str], folder: Path, moment: Moment, wait_s: float
) -> bool:
    """Runs a command until the moment, then kills it; False if it ended before."""
    log = folder.with_name(f"{folder.name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    before = set(everything(folder))
    with log.open("w+") as said, log.open() as reader:
        process = subprocess.Popen(
            arguments, stdout=said, stderr=subprocess.STDOUT, env=environment()
        )
        text = ""
        while process.poll() is None:
            text += reader.read()
            there = [path for path in everything(folder) if path not in before]
            rows = [path for path in before if path.name == "metrics.jsonl"]
            if moment.reached(text, [*there, *rows]):
                time.sleep(wait_s)
                process.kill()
                break
            time.sleep(0.002)
        code = process.wait()
        if code == -signal.SIGKILL:
            return True
        if code:
            raise AssertionError(f"exit code {code}: {log.read_text()[-600:]}")
        return False


def finish(arguments: Sequence[str], code: int = 0) -> str:
    """Runs a command to its end; what it printed, AssertionError for another code."""
    ran = subprocess.run(
        arguments, capture_output=True, text=True, env=environment(), check=False
    )
    text = ran.stdout + ran.stderr
    if ran.returncode != code:
        raise AssertionError(f"exit code {ran.returncode}: {text[-600:]}")
    return " ".join(text.split())


def environment() -> dict[str, str]:
    """Of processes: one CPU device."""
    return {**os.environ, "JAX_NUM_CPU_DEVICES": "1", "JAX_PLATFORMS": "cpu"}


def everything(folder: Path) -> Iterator[Path]:
    """All files and folders below; some may go meanwhile."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        path = Path(entry.path)
        yield path
        if entry.is_dir(follow_symlinks=False):
            yield from everything(path)


def progress(workdir: Path) -> str:
    """How far a run has come, by what it wrote."""
    steps = {}
    for path in everything(workdir):
        if path.name.isdecimal() and path.parent.name == "checkpoints":
            place = str(path.parent.parent.relative_to(workdir))
            steps[place] = max(int(path.name), steps.get(place, 0))
    texts = [f"{place} {step}" for place, step in sorted(steps.items())]
    half = [p.name for p in everything(workdir) if is_temporary(p)]
    texts += ["in a save"] * any("orbax" in name for name in half)
    texts += ["in a file"] * any("orbax" not in name for name in half)
    return ", ".join(texts).replace(". ", "step ") or "nothing saved"


def differences(one: Path, other: Path) -> Iterator[str]:
    """What two finished work directories do not share, though they should."""
    yield from half_written(other)
    there = [set(names(folder)) for folder in (one, other)]
    for name in sorted(there[0] ^ there[1]):
        yield f"{name} is in one alone"
    results = [
        json.loads((folder / "results.json").read_text()) for folder in (one, other)
    ]
    for key in ("metrics", "dropped", "tables"):
        if results[0].get(key) != results[1].get(key):
            yield f"{key} of results.json"
    for name in sorted(there[0] & there[1]):
        same = name.startswith(("labels/", "predictions/")) and name[-4:] != ".npz"
        if same and (one / name).read_bytes() != (other / name).read_bytes():
            yield name
    yield from states(one, other)


def states(one: Path, other: Path) -> Iterator[str]:
    """Arrays of the last checkpoints that differ in a bit."""
    import jax
    import numpy as np
    import orbax.checkpoint as ocp

    from cellrec_jax.workdir import checkpoint

    steps = [checkpoint.complete_steps(folder)[-1] for folder in (one, other)]
    if steps[0] != steps[1]:
        yield f"last steps {steps}"
        return
    reader = ocp.PyTreeCheckpointer()
    trees = [
        reader.restore(folder / "checkpoints" / str(steps[0]) / "state")
        for folder in (one, other)
    ]
    leaves = [jax.tree_util.tree_flatten_with_path(tree)[0] for tree in trees]
    if [path for path, _ in leaves[0]] != [path for path, _ in leaves[1]]:
        yield "names of the state"
        return
    for (path, before), (_, after) in zip(*leaves, strict=True):
        if np.asarray(before).tobytes() != np.asarray(after).tobytes():
            yield f"state{jax.tree_util.keystr(path)}"


def half_written(folder: Path) -> Iterator[str]:
    """Temporary files that are left, and files that cannot be read to their end."""
    for path in everything(folder):
        if is_temporary(path):
            yield f"{path.name} is left"
        elif path.is_file() and "checkpoints" not in path.parts:
            try:
                _read(path)
            except Exception as error:
                yield f"{path.name}: {error}"


def is_temporary(path: Path) -> bool:
    return any(path.match(pattern) for pattern in _TEMPORARY)


def _read(path: Path) -> None:
    import numpy as np
    from PIL import Image

    if path.suffix in (".json", ".geojson"):
        json.loads(path.read_bytes())
    elif path.suffix == ".jsonl":
        assert path.read_bytes().endswith(b"\n"), "ends within a line"
        for line in path.read_text().splitlines():
            json.loads(line)
    elif path.suffix == ".csv":
        with path.open(newline="") as file:
            assert len({len(row) for row in csv.reader(file)}) <= 1, "rows differ"
    elif path.suffix == ".npz":
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            dict(arrays)
    elif path.suffix == ".png":
        with Image.open(path) as image:
            image.load()


def names(folder: Path) -> Iterator[str]:
    """Relative names of files, of checkpoints the steps."""
    for path in everything(folder):
        parts = path.relative_to(folder).parts
        if "checkpoints" in parts[:-2]:
            continue
        if path.is_file() or (len(parts) > 1 and parts[-2] == "checkpoints"):
            yield "/".join(parts)


def age(folder: Path) -> None:
    """Makes what is half-written two days old: who else could be writing it is not."""
    for path in list(everything(folder)):
        if is_temporary(path):
            os.utime(path, (time.time() - 2 * 86400,) * 2)
