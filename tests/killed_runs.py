"""Trainings, predictions and exports that are killed at moments drawn at random."""

from collections.abc import Callable, Sequence
import itertools
from pathlib import Path
import random

from tests import killing
from tests.killing import Killed, Moment, finish, kill_at

_CHANGES = {
    "heatmap_pu": ("rounds/0/peaks.npz", "labels/round_1.json"),
    "multitask": ("prior/*/checkpoints/20",),
    "estimate_mask": ("detector/round_0/checkpoints/20", "masks/*.npz"),
}
"""Method -> files that are there when a stage has ended."""
_FITS = ("blob_filter", "vicar")
"""Methods without training steps."""
_SIZE_HW = (384, 448)
_NUM_IMAGES = 12
_SLIDE_HW = (1300, 1300)


def moments(method: str, workdir: Path, rng: random.Random) -> list[Moment]:
    """All moments of a method's run, in their order; some at random steps."""

    def has(*patterns: str) -> Callable[[str, Sequence[Path]], bool]:
        return lambda _, files: any(
            path.relative_to(workdir).match(pattern)
            for path in files
            for pattern in patterns
        )

    rows = rng.randint(2, 12)
    found = [
        Moment("start", lambda *_: True, 8.0),
        Moment("compile", lambda said, _: "images: " in said, 3.0),
    ]
    if method not in _FITS:
        found += [
            Moment(f"step {rows}", lambda _, files: _num_rows(files) >= rows),
            Moment("save", has("*orbax-checkpoint-tmp*")),
        ]
    for pattern in _CHANGES.get(method, ()):
        found.append(Moment(f"change ({pattern})", has(pattern), 2.0))
    own = workdir / "checkpoints" / str(killing.last_step(method))
    found.append(Moment("evaluate", lambda _, files: own in files, 1.0))
    return found


def _num_rows(files: Sequence[Path]) -> int:
    return sum(
        path.read_bytes().count(b"\n") for path in files if path.name == "metrics.jsonl"
    )


def kill_run(
    method: str, folder: Path, number: int, rng: random.Random, names: str = ""
) -> tuple[list[Killed], list[str]]:
    """A method's run beside one that is killed `number` times; what differs.

    `names` begins the names of the moments to choose among.
    """
    straight, killed = killing.straight(method, folder.parent), folder / "killed"
    all_of_them = [
        one for one in moments(method, killed, rng) if one.name.startswith(names)
    ]
    chosen = rng.sample(range(len(all_of_them)), min(number, len(all_of_them)))
    chosen += rng.choices(range(2), k=number - len(chosen))  # these come at each start
    found = []
    for moment in (all_of_them[index] for index in sorted(chosen)):
        wait_s = rng.uniform(0, moment.later_s)
        if not kill_at(killing.command(method, killed), killed, moment, wait_s):
            found.append(Killed(moment.name, ""))
            break
        found.append(Killed(moment.name, killing.progress(killed)))
    finish(killing.command(method, killed))
    return found, list(killing.differences(straight, killed))


def kill_predict(
    workdir: Path, folder: Path, number: int, rng: random.Random
) -> tuple[list[Killed], list[str]]:
    """As `kill_run`, of predicting twelve images."""
    from PIL import Image

    from cellrec_jax.data.synthetic import source

    images = folder / "images"
    images.mkdir(parents=True)
    for index in range(_NUM_IMAGES):
        pixels = source.make_image(3, index, size_hw=_SIZE_HW).image
        Image.fromarray(pixels).save(images / f"{index}.png")
    outputs = [folder / "straight", folder / "killed"]

    def of(output: Path) -> list[str]:
        return killing.main(
            *("--mode", "predict", "--workdir", str(workdir)),
            *("--input", str(images), "--output", str(output)),
            *("--threshold", "0.001"),  # so that there are cells
        )

    finish(of(outputs[0]))
    found = []
    counts = sorted(rng.sample(range(1, _NUM_IMAGES - 1), max(number - 1, 1)))
    several = [Moment("start", lambda *_: True, 8.0)]

    def done() -> int:
        """Images, also of earlier starts."""
        return len(list(outputs[1].rglob("*.overlay.png")))

    for count in counts:
        reached = lambda *_, count=count: done() >= count  # noqa: E731
        several.append(Moment(f"image {count}", reached, 0.05))
    for moment in several[:number]:
        later_s = rng.uniform(0, moment.later_s)
        ended = not kill_at(of(outputs[1]), outputs[1], moment, later_s)
        found.append(Killed(moment.name, "" if ended else f"after {done()} images"))
    return found, _differences(of(outputs[1]), outputs)


def kill_slide(
    workdir: Path, folder: Path, number: int, rng: random.Random
) -> tuple[list[Killed], list[str]]:
    """As `kill_run`, of a slide of several rows of tiles: the same bytes in the end."""
    from cellrec_jax.bench import slide

    folder.mkdir(parents=True)
    file = slide.write_slide(folder / "slide.tif", _SLIDE_HW)
    outputs = [folder / "straight", folder / "killed"]

    def of(output: Path) -> list[str]:
        return killing.main(
            *("predict", str(file), "--workdir", str(workdir)),
            *("--output", str(output)),
            *("--threshold", "0.001"),  # so that there are cells
        )

    finish(of(outputs[0]))
    rows = len(list(outputs[0].rglob("*.npz")))
    found = []

    def done() -> int:
        """Rows of tiles, also of earlier starts."""
        return len(list(outputs[1].rglob("[0-9]*.npz")))

    counts = sorted(rng.sample(range(1, rows), min(number - 1, rows - 1)))
    several = [Moment("start", lambda *_: True, 8.0)]
    for count in counts:
        reached = lambda *_, count=count: done() >= count  # noqa: E731
        several.append(Moment(f"row {count}", reached, 0.2))
    while len(several) < number:  # all rows are there, files are not
        several.append(Moment("write", lambda *_: done() >= rows, 0.3))
    for moment in several[:number]:
        later_s = rng.uniform(0, moment.later_s)
        ended = not kill_at(of(outputs[1]), outputs[1], moment, later_s)
        found.append(Killed(moment.name, "" if ended else f"{done()} of {rows} rows"))
    return found, _differences(of(outputs[1]), outputs)


def _differences(command: list[str], outputs: list[Path]) -> list[str]:
    """Ends what was killed; files that are not as those of the straight call."""
    killed = outputs[1]
    killing.age(killed)
    finish(command)
    wrong = list(killing.half_written(killed))
    names = [set(killing.names(output)) for output in outputs]
    wrong += ["files"] * (names[0] != names[1])
    for name in sorted(names[0] & names[1] - {"predict.json", "predict.jsonl"}):
        contents = [(output / name).read_bytes() for output in outputs]
        if name == "detections.csv":  # in the order in which images were done
            contents = [b"".join(sorted(one.splitlines(True))) for one in contents]
        wrong += [name] * (contents[0] != contents[1])
    return wrong


def kill_export(
    workdir: Path, folder: Path, number: int, rng: random.Random
) -> tuple[list[Killed], list[str]]:
    """As `kill_run`, of an export; each time it is killed there is none."""
    folder.mkdir(parents=True)
    outputs = [folder / "straight", folder / "killed"]

    def of(output: Path) -> list[str]:
        return killing.main(
            *("--mode", "export", "--workdir", str(workdir), "--output", str(output))
        )

    finish(of(outputs[0]))
    start = Moment("start", lambda *_: True, 3.0)
    write = Moment("write", lambda _, files: any(map(killing.is_temporary, files)), 0.2)
    found, wrong = [], []
    for moment in itertools.islice(itertools.cycle([write, start]), number):
        # What it writes lies beside its output.
        ended = not kill_at(
            of(outputs[1]), folder, moment, rng.uniform(0, moment.later_s)
        )
        found.append(Killed(moment.name, "" if ended else killing.progress(folder)))
        if ended:
            break
        wrong += ["there is a part of it"] * outputs[1].exists()
    killing.age(folder)
    if not outputs[1].exists():
        finish(of(outputs[1]))
    wrong += killing.half_written(folder)
    names = [sorted(killing.names(output)) for output in outputs]
    wrong += ["files"] * (names[0] != names[1])
    return found, wrong + list(killing.states(*outputs))
