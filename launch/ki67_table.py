"""Plain against BDE at two keep rates, three seeds each: the table of the README.

    python launch/ki67_table.py --root FOLDER --out runs/ki67_table

Every run is `configs/ki67_bde.py:small` in a work directory of its own under --out;
runs that are done are skipped and a killed one resumes, so the command can be repeated.
"""

import argparse
import itertools
import json
from pathlib import Path
import statistics
import subprocess
import sys

from scipy import stats

CALIBRATIONS = ("plain", "bde")
RATES = (0.1, 1.0)
COLUMNS = ("AP11", "AP", "recall", "F1@12px", "count_mae")


def train(args: argparse.Namespace, calibration: str, rate: float, seed: int) -> Path:
    """Trains and evaluates one run unless it is done."""
    workdir = args.out / f"{calibration}-{rate}-{seed}"
    if (workdir / "results.json").exists():
        return workdir
    flags = {
        "data.root": args.root,
        "data.format": args.format,
        "data.train_ids": args.train_ids,
        "data.val_ids": args.val_ids,
        "data.test_ids": args.test_ids,
        "data.keep_rate": rate,
        "data.keep_seed": seed,
        "loss.calibration": calibration,
        "seed": seed,
    }
    command = [sys.executable, "-m", "cellrec_jax.main"]
    command += ["--config", "ki67_bde:small", "--workdir", str(workdir)]
    command += [f"--config.{key}={value}" for key, value in flags.items()]
    print("+", " ".join(command), flush=True)
    subprocess.run(command, check=True)
    return workdir


def cell(values: list[float]) -> str:
    """Mean and 95 % t interval over seeds."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.3f}"
    spread = statistics.stdev(values) / len(values) ** 0.5
    half = stats.t.ppf(0.975, len(values) - 1) * spread
    return f"{mean:.3f} ± {half:.3f}"


def main() -> None:
    """Runs what is missing, then prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="folder in BCData's layout")
    parser.add_argument("--format", default="bcdata")
    parser.add_argument("--out", type=Path, default=Path("runs/ki67_table"))
    parser.add_argument("--train-ids", default="0-15")
    parser.add_argument("--val-ids", default="16-18")
    parser.add_argument("--test-ids", default="19-25")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    found: dict[tuple[float, str], list[dict]] = {}
    for seed, rate, name in itertools.product(range(args.seeds), RATES, CALIBRATIONS):
        workdir = train(args, name, rate, seed)
        results = json.loads((workdir / "results.json").read_text())
        found.setdefault((rate, name), []).append(results["metrics"])
    lines = [
        f"| kept | loss | {' | '.join(COLUMNS)} |",
        f"|---|---|{'---|' * len(COLUMNS)}",
    ]
    for (rate, name), runs in sorted(found.items(), key=lambda item: item[0][0]):
        cells = [cell([run[column]["value"] for run in runs]) for column in COLUMNS]
        lines.append(f"| {rate:.0%} | {name} | {' | '.join(cells)} |")
    table = "\n".join(lines)
    (args.out / "table.md").write_text(table + "\n")
    print(table)


if __name__ == "__main__":
    main()
