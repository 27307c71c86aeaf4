"""Plays the loop with QuPath: predict, correct, train on; a person's part by rule.

    python launch/loop.py --workdir runs/loop --seeds 0 1

A slide is stitched of generated images: regions with a tenth of their cells marked,
two that choose the threshold, eight that are held out. In each turn the most evident
mistakes of the first are corrected in the GeoJSON that `predict` wrote, as in QuPath;
cells that nobody touched count by a trust, one arm for each that --trust names. The
control is given as many more labels at random. With --slide FILE --run RUN a turn
is played on an image that nobody annotated, to see that it goes through. Repeat the
command to go on after an interruption.
"""

import argparse
import csv
import json
from pathlib import Path
import subprocess
import sys

from loop_slide import (
    NAMES,
    SIDE,
    TRAIN,
    add_regions,
    correct,
    make_slide,
    place_of,
    write_set,
)
import numpy as np
from PIL import Image

from cellrec_jax.data.pixels import images

FIRST_STEPS, TURN_STEPS, TURN_RATE = 300, 100, 1e-3
METRICS = {
    "f1": "detection_F1@12px",
    "class_f1": "class_F1@12px",
    "precision": "detection_precision@12px",
    "recall": "detection_recall@12px",
}
FIELDS = ("arm", "seed", "turn", "given", *METRICS)
RANDOM = "random"
COLORS = ("tab:red", "tab:orange", "tab:green", "tab:purple")


def main() -> None:
    """Plays what the command line asks for."""
    flags = _flags()
    if flags.slide:
        play_slide(flags)
        return
    for seed in flags.seeds:
        play(flags, seed)
        draw(flags.csv)


def play(flags: argparse.Namespace, seed: int) -> None:
    """All arms of a seed, from the same first run."""
    folder = flags.workdir / f"seed{seed}"
    cells = make_slide(folder, seed)
    everything = [(region, cell) for region in TRAIN for cell in cells[region]]
    order = np.random.default_rng(seed).permutation(len(everything)).tolist()
    given = round(len(order) * flags.share)
    first = folder / "set_0"
    write_set(folder, first, [everything[i] for i in order[:given]], cells)
    train(first, folder / "run_0", FIRST_STEPS, seed)
    trusts = {f"corrections, trust {trust}": trust for trust in flags.trust}
    for arm in (*trusts, RANDOM):
        name = arm.replace(", ", "_").replace(" ", "_")
        last, known = folder / "run_0", first
        report(flags.csv, last, arm, seed, 0, given)
        for turn in range(1, flags.turns + 1):
            number = given + turn * flags.number
            root = folder / f"{name}_set_{turn}"
            if arm == RANDOM:
                marked = [everything[i] for i in order[:number]]
                write_set(folder, root, marked, cells)
            elif not root.exists():
                found = predict(last, folder / "slide", f"{name}_found_{turn}")
                mine = folder / f"{name}_corrected_{turn}"
                truth = {region: cells[region] for region in TRAIN}
                correct(found, mine, truth, flags.number, seed * 100 + turn)
                words = [found, mine, "--output", root, "--keep", known]
                cellrec("corrections", *words, "--trust", trusts[arm])
                add_regions(folder, root, cells)
            run = folder / f"{name}_{turn}"
            train(root, run, TURN_STEPS, seed, last)
            report(flags.csv, run, arm, seed, turn, number)
            last, known = run, root


def play_slide(flags: argparse.Namespace) -> None:
    """One turn on the middle of a real slide, of mistakes that are made up."""
    folder = flags.workdir / Path(flags.slide).name
    (folder / "slide").mkdir(parents=True, exist_ok=True)
    pixels = images.load(Path(flags.slide))[0]
    top, left = (max(0, (side - SIDE) // 2) for side in pixels.shape[:2])
    crop = pixels[top : top + SIDE, left : left + SIDE]
    Image.fromarray(crop).save(folder / "slide" / "train_0.png")
    found = predict(flags.run, folder / "slide", "found_1")
    features = json.loads((found / "train_0.png.geojson").read_text())["features"]
    rng = np.random.default_rng(0)
    truth = [
        (y, x, label if rng.random() < 0.8 else 1 - label)
        for y, x, label in map(place_of, features)
        if rng.random() < 0.8
    ]
    truth += [(*rng.uniform(10, SIDE - 10, 2).tolist(), 0) for _ in range(10)]
    correct(found, folder / "corrected_1", {"train_0": truth}, flags.number, 0)
    root = folder / "set_1"
    if not root.exists():
        cellrec("corrections", found, folder / "corrected_1", "--output", root)
    used = json.loads((found / "predict.json").read_text())["settings"]["thresholds"]
    threshold = min(used.values())
    train(root, folder / "run_1", TURN_STEPS, 0, flags.run, threshold=threshold)
    predict(folder / "run_1", folder / "slide", "found_2")


def train(
    root: Path,
    run: Path,
    steps: int,
    seed: int,
    before: Path | None = None,
    threshold: float = 0.0,
) -> None:
    """Trains on the first regions, and measures the last where no threshold is given.

    What is done already is not done again.
    """
    if (run / "results.json").exists():
        return
    keys = {
        "data.root": root,
        "data.train_ids": "train_*",
        "data.size_hw": f"{SIDE},{SIDE}",
        "data.classes": ",".join(NAMES),
        "loss.normalizer": "each",
        "eval.min_distances": "0,4,6,8,10",
        "total_steps": steps,
        "seed": seed,
        "log.every": 50,
    }
    if threshold:
        keys |= {"eval.threshold": threshold, "eval.min_distances": 8}
    else:
        keys |= {"data.val_ids": "val_*", "data.test_ids": "test_*"}
    words = [f"--config.{key}={value}" for key, value in keys.items()]
    if before:
        words += ["--init-from", before, f"--config.optim.learning_rate={TURN_RATE}"]
    cellrec("train", "--config", "pdl1_point:small", "--workdir", run, *words)


def predict(run: Path, images: Path, name: str) -> Path:
    """A folder beside that of the images with the GeoJSON of each."""
    output = images.parent / name
    cellrec("predict", images, "--workdir", run, "--output", output)
    return output


def cellrec(*words: object) -> None:
    """Runs a command line."""
    command = [sys.executable, "-m", "cellrec_jax.main", *map(str, words)]
    print("$ cellrec", *map(str, words), flush=True)
    subprocess.run(command, check=True)


def report(path: Path, run: Path, arm: str, seed: int, turn: int, given: int) -> None:
    """Adds a line of a run's held-out regions, in place of an earlier one."""
    metrics = json.loads((run / "results.json").read_text())["metrics"]
    found = {"arm": arm, "seed": seed, "turn": turn, "given": given}
    for field, name in METRICS.items():
        found[field] = round(metrics[name]["value"], 4)
    print(found, flush=True)
    row = {name: str(value) for name, value in found.items()}
    key = [row[name] for name in FIELDS[:3]]
    rows = [one for one in read(path) if [one[name] for name in FIELDS[:3]] != key]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, row])


def read(path: Path) -> list[dict[str, str]]:
    """Lines that are there."""
    return list(csv.DictReader(path.open())) if path.exists() else []


def draw(path: Path) -> None:
    """F1 of the held-out region over turns, a thin line a seed."""
    from matplotlib import pyplot as plt

    rows = read(path)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    titles = {"f1": "detection", "class_f1": "mean of classes"}
    for axis, (field, title) in zip(axes, titles.items(), strict=True):
        arms = dict.fromkeys(row["arm"] for row in rows)
        for arm, color in zip(arms, COLORS, strict=False):
            own = [row for row in rows if row["arm"] == arm]
            turns = sorted({int(row["turn"]) for row in own})
            for seed in sorted({row["seed"] for row in own}):
                line = {
                    int(r["turn"]): float(r[field]) for r in own if r["seed"] == seed
                }
                axis.plot(
                    *zip(*sorted(line.items()), strict=True), color=color, alpha=0.35
                )
            means = [
                np.mean([float(r[field]) for r in own if int(r["turn"]) == turn])
                for turn in turns
            ]
            axis.plot(turns, means, "o-", color=color, label=f"30 a turn: {arm}")
        axis.set(xlabel="turn", ylabel=f"F1, held-out region, {title}", xticks=turns)
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path.with_suffix(".png"), dpi=110)


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, default=Path("runs/loop"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--number", type=int, default=30, help="corrections a turn")
    parser.add_argument("--share", type=float, default=0.1, help="marked at first")
    parser.add_argument(
        "--trust", nargs="+", default=["0.5", "0"], help="of cells that nobody touched"
    )
    parser.add_argument("--csv", type=Path, default=Path("configs/results/loop.csv"))
    parser.add_argument("--slide", help="an image to play one turn on")
    parser.add_argument("--run", type=Path, help="what predicts in it at first")
    return parser.parse_args()


if __name__ == "__main__":
    main()
