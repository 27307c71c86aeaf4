"""Runs that the machine fails, for `python -m tests.faults`: disks, files, other runs.

Each case trains a small run undisturbed and one that meets the fault, then repeats its
command, and gives what was seen and what is wrong.
"""

from collections.abc import Callable, Iterator, Mapping
import contextlib
from pathlib import Path
import random
import re
import subprocess
import time

from tests import killing
from tests.killing import Killed

METHOD = "density_map"
Outcome = tuple[list[Killed], list[str]]


def full_disk(folder: Path, rng: random.Random) -> Outcome:
    """A disk that fills up at a random place: one line; with more room it goes on."""
    straight = killing.straight(METHOD, folder.parent)
    size = sum(path.stat().st_size for path in straight.rglob("*") if path.is_file())
    with _disk(
        folder / "disk", f"size={rng.randint(size // 5, size * 4 // 5)}"
    ) as disk:
        command = killing.command(METHOD, disk / "run")
        found, wrong = _refused(
            "full", command, 1, r"No space left|cannot (write|save)"
        )
        half = killing.half_written(disk / "run")  # a resumed run deletes what is left
        wrong += [one for one in half if not one.endswith(" is left")]
        _remount(disk, f"size={size * 10}")
        killing.finish(command)
        return found, [*wrong, *killing.differences(straight, disk / "run")]


def read_only(folder: Path, rng: random.Random) -> Outcome:
    """A work directory that cannot be written to: one line, at once."""
    del rng
    straight = killing.straight(METHOD, folder.parent)
    with _disk(folder / "disk", "size=200M") as disk:
        command = killing.command(METHOD, disk / "run")
        _remount(disk, "ro")
        found, wrong = _refused("start", command, 1, "Read-only")
        _remount(disk, "rw")
        _kill_after_a_save(command, disk / "run")
        _remount(disk, "ro")
        again, more = _refused("resume", command, 1, "Read-only")
        _remount(disk, "rw")
        killing.finish(command)
        wrong += [*more, *killing.differences(straight, disk / "run")]
        return found + again, wrong


def cut_checkpoint(folder: Path, rng: random.Random) -> Outcome:
    """The newest checkpoint cut short: the one before is taken, and told."""
    straight, cut = killing.straight(METHOD, folder.parent), folder / "cut"
    command = killing.command(METHOD, cut)
    _kill_after_a_save(command, cut, saves=3)
    steps = [int(p.name) for p in (cut / "checkpoints").iterdir() if p.name.isdecimal()]
    newest = cut / "checkpoints" / str(max(steps))
    files = [path for path in newest.rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    size = rng.randrange(largest.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:size])
    said = killing.finish(command)
    told = re.search(r"step (\d+) is damaged: that of step (\d+) is taken", said)
    wrong = [] if told else [f"nothing was told: {said[-300:]}"]
    wrong += [
        one for one in killing.differences(straight, cut) if "damaged-" not in one
    ]
    return [Killed("cut", told[0] if told else "not told")], wrong


def two_runs(folder: Path, rng: random.Random) -> Outcome:
    """Two on one work directory: the second is refused, the first ends as ever."""
    del rng
    straight, shared = killing.straight(METHOD, folder.parent), folder / "shared"
    command = killing.command(METHOD, shared)
    first = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env=killing.environment()
    )
    try:
        while not (shared / "config.json").exists() and first.poll() is None:
            time.sleep(0.01)
        found, wrong = _refused("second", command, 1, rf"\(process {first.pid} on ")
        if code := first.wait():
            wrong.append(f"the first ended with {code}")
    finally:
        first.kill()
    return found, [*wrong, *killing.differences(straight, shared)]


def changed_data(folder: Path, rng: random.Random) -> Outcome:
    """An annotation that changes between start and resume: told, and it goes on."""
    from PIL import Image

    from cellrec_jax.data.synthetic import source

    root, workdir = folder / "images", folder / "run"
    root.mkdir(parents=True)
    for index in range(7):
        record = source.make_image(5, index, size_hw=(96, 128))
        Image.fromarray(record.image).save(root / f"{index}.png")
        lines = [
            f"{x:.2f},{y:.2f},{'ab'[label]}\n"
            for (y, x), label in zip(record.points_yx, record.labels, strict=True)
        ]
        (root / f"{index}.csv").write_text("x,y,class\n" + "".join(lines))
    command = killing.command(METHOD, workdir)
    command += [f"--config.data.root={root}", "--config.data.classes="]
    command += [f"--config.data.{name}_ids={ids}" for name, ids in _IDS.items()]
    _kill_after_a_save(command, workdir)
    changed = root / f"{rng.randrange(7)}.csv"
    lines = changed.read_text().splitlines(True)
    changed.write_text("".join([*lines[:-1], "60.25,50.25,a\n"]))
    said = killing.finish(command)
    wrong = list(killing.half_written(workdir))
    if str(changed).replace(" ", "") not in said.replace(" ", ""):
        wrong.append(f"nothing was told: {said[:300]}")
    return [Killed("changed", changed.name)], wrong


_IDS = {"train": "0-3", "val": "4", "test": "5,6"}
CASES: Mapping[str, Callable[[Path, random.Random], Outcome]] = {
    "full_disk": full_disk,
    "read_only": read_only,
    "cut_checkpoint": cut_checkpoint,
    "two_runs": two_runs,
    "changed_data": changed_data,
}
"""Name -> case: (empty folder, random draws) -> what was seen, and what is wrong."""


def _kill_after_a_save(command: list[str], workdir: Path, saves: int = 2) -> None:
    """Kills a run that has so many checkpoints; AssertionError if it ends before."""

    def reached(_: str, files: object) -> bool:
        del files
        places = list((workdir / "checkpoints").glob("[0-9]*"))
        return sum(path.name.isdecimal() for path in places) >= saves

    moment = killing.Moment("saved", reached)
    assert killing.kill_at(command, workdir, moment, 0.0), "it ended before"


def _refused(
    name: str, command: list[str], code: int, wanted: str, *, alone: bool = True
) -> Outcome:
    """A command that is to end with one line of the program's own.

    `alone` or behind traces, as threads of Tensorstore print them.
    """
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=killing.environment(),
        check=False,
    )
    said = ran.stderr.strip()
    last = said.splitlines()[-1] if said else ""
    wrong = []
    if ran.returncode != code:
        wrong.append(f"{name}: exit code {ran.returncode}, not {code}")
    own = last.startswith("error: ") and "--debug shows where" not in last
    if not own or not re.search(wanted, last) or (alone and last != said):
        wrong.append(f"{name}: not one line of its own: {said[-500:]}")
    return [Killed(name, last[:200])], wrong


@contextlib.contextmanager
def _disk(place: Path, options: str) -> Iterator[Path]:
    """A disk of its own, in memory; AssertionError where mounting is not permitted."""
    place.mkdir(parents=True)
    ran = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not ran.returncode, f"no disk could be mounted: {ran.stderr.strip()}"
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def _remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)
