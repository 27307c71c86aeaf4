"""Each method on other layouts of devices and processes: `python -m tests.layouts`.

A run of three steps and its stages on one process of 1, 2 and 4 devices, and on two of
2, at the same global batch. Prints the largest difference of parameters and results
from the run on 4 devices, and the share of the cells that it found, a line a layout.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
import json
import os
from pathlib import Path
import socket
import subprocess
import sys
import tempfile
from typing import Any

SMALL: Mapping[str, str] = {
    "data.synthetic_hw": "96,128",
    "data.size_hw": "96,128",
    "data.crop_hw": "64,64",
    "data.synthetic_train": "4",
    "data.synthetic_val": "2",
    "data.synthetic_test": "3",
    "batch_size": "4",
    "log.every": "1",
    "eval.bootstrap": "20",
}
"""Keys of runs of seconds."""
_THREE_STEPS = {
    "total_steps": "3",
    "checkpoint.every": "3",
    # Adam divides a gradient that is rounding alone by its own size.
    "optim.name": "momentum",
    "optim.learning_rate": "0.01",
    "eval.threshold": "0.01",  # results are compared of runs that find cells
}
_WHOLE = {"data.crop_hw": "0,0"}
_ONE_CLASS = {"data.classes": "cell=positive+negative"}
_BOXES = {
    "model.backbone": "tiny",
    "model.channels": "8",
    "model.rpn_channels": "8",
    "model.head_channels": "16",
    "model.pre_nms_train": "64",
    "model.post_nms_train": "32",
    "model.roi_batch": "16",
    "model.roi_size": "3",
    "model.max_detections": "12",
}
_POINTS = {"model.channels": "8", "model.max_detections": "12"}
_ROUNDS = {
    "model.norm": "group",  # that of batches magnifies rounding where nothing is seen
    "model.width": "2",
    "model.max_detections": "32",
    "refine.rounds": "1",
    "refine.epochs": "3",
    "refine.patch_px": "16",
    "refine.candidate_threshold": "0.01",
    "data.keep_rate": "0.5",
    "data.synthetic_val": "1",
}
_DECODERS = {"model.width": "8", "model.max_detections": "12", "prior.steps": "2"}
_MASKS = {
    "model.backbone": "small",
    "model.width": "8",
    "model.max_detections": "12",
    "detector.rounds": "1",
    "detector.steps": "2",
    "masks.points": "found",
    "data.keep_rate": "0.5",
}
RUNS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "calibrated_rcnn": ("ki67_bde:demo_paper", _BOXES),
    "point_matching": ("pdl1_point:demo", _POINTS),
    "density_map": ("pdl1_map:small_unet", {"model.max_detections": "12"}),
    "heatmap_pu": ("c2c12_pseudo:demo", {**_WHOLE, **_ROUNDS}),
    "multitask": ("cytoplasm_multitask:demo", _DECODERS),
    "estimate_mask": ("cytoplasm_multitask:estimate_mask", _MASKS),
    "blob_filter": ("blob_filter:demo", {**_WHOLE, "total_steps": "1"}),
    "vicar": ("c2c12_vicar", {**_WHOLE, **_ONE_CLASS, "total_steps": "1"}),
}
"""Method -> configuration and keys of a run of seconds, with all of its stages."""

LAYOUTS = {"4 devices": (1, 4), "2": (1, 2), "1": (1, 1), "2 processes x 2": (2, 2)}
"""Processes, and devices of each."""


def arguments(method: str, workdir: Path) -> list[str]:
    """The command line of a method's run."""
    flag, own = RUNS[method]
    keys = {**SMALL, **_THREE_STEPS, **own}
    settings = [f"--config.{key}={value}" for key, value in keys.items()]
    return ["--config", flag, "--workdir", str(workdir), *settings]


def start(
    arguments: Sequence[str], processes: int = 1, devices: int = 4
) -> list[subprocess.Popen[str]]:
    """Starts a command of `cellrec_jax.main` on a layout; stderr is kept."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices)}
    command = [sys.executable, "-m", "cellrec_jax.main", *arguments]
    return [
        subprocess.Popen(
            [*command, *_place(port, processes, index)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(processes)
    ]


def _place(port: int, processes: int, index: int) -> list[str]:
    if processes == 1:
        return []
    return ["--multihost", f"localhost:{port},{processes},{index}"]


def finish(started: Sequence[subprocess.Popen[str]], seconds: float = 600) -> None:
    """Waits until all have ended well; AssertionError with the last lines else."""
    for process in started:
        _, errors = process.communicate(timeout=seconds)
        assert process.returncode == 0, errors[-2000:]


def compare(one: Path, other: Path) -> tuple[float, float]:
    """Largest difference of two runs' parameters, and of their results' values."""
    import jax
    import numpy as np

    from cellrec_jax.workdir import model

    trees = [model.restore(path).params for path in (one, other)]
    parameters = max(
        float(np.max(np.abs(a - b), initial=0.0))
        for a, b in zip(*map(jax.tree.leaves, trees), strict=True)
    )
    return parameters, max(_differences(*map(_results, (one, other))), default=0.0)


def _results(workdir: Path) -> Any:
    content = json.loads((workdir / "results.json").read_text())
    for curve in content["tables"]["threshold_curves"]["curves"].values():
        for values in curve.values():
            values.pop()  # at 1, where scores of some lie that rounding moves
    return {name: content[name] for name in ("metrics", "dropped", "tables")}


def recall(workdir: Path) -> float:
    """The share of the cells that a run found."""
    metrics = json.loads((workdir / "results.json").read_text())["metrics"]
    (found,) = (
        metric["value"]
        for name, metric in metrics.items()
        if name.startswith("recall@") and "/" not in name
    )
    return found


def _differences(one: Any, other: Any) -> Iterator[float]:
    """Of all numbers; infinite where anything else differs."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key, value in one.items():
            yield from _differences(value, other[key])
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for pair in zip(one, other, strict=True):
            yield from _differences(*pair)
    elif isinstance(one, int | float) and isinstance(other, int | float):
        yield abs(one - other)
    elif one != other:
        yield float("inf")


def run(argv: Sequence[str]) -> int:
    """Prints the table; 1 if a run failed."""
    parser = argparse.ArgumentParser("python -m tests.layouts", description=__doc__)
    parser.add_argument("methods", nargs="*", default=list(RUNS))
    methods = parser.parse_args(argv).methods
    print("| method | layout | parameters | results | recall |\n|---|---|---|---|---|")
    failed = False
    for method in methods:
        with tempfile.TemporaryDirectory() as folder:
            for name, layout in LAYOUTS.items():
                place = Path(folder) / name.replace(" ", "_")
                try:
                    finish(start(arguments(method, place), *layout))
                except AssertionError as error:
                    print(f"| {method} | {name} | failed | {error} | |", flush=True)
                    failed = True
                    continue
                if place.name != "4_devices":
                    found = compare(Path(folder) / "4_devices", place)
                    texts = " | ".join(f"{value:.1e}" for value in found)
                    share = f"{recall(place):.2f}"
                    print(f"| {method} | {name} | {texts} | {share} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
