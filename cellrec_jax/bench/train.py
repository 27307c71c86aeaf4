"""Training steps a second, compile time and peak memory of the detector's settings.

As in training: array mode, augmentation and the step in one pmap, and calls of
`train.steps_per_call`. Images are generated; all of their cells stay annotated in the
paper's.
"""

from collections.abc import Callable
import dataclasses
import time
from typing import Any

import jax
import numpy as np

from cellrec_jax import methods
from cellrec_jax.bench import experiments, machine, timing
from cellrec_jax.bench.report import Report, Row, Say, Settings
from cellrec_jax.config import Experiment
from cellrec_jax.data import arrays, stream
from cellrec_jax.data.example import ExampleSpec, prepare
from cellrec_jax.data.synthetic import source as synthetic
from cellrec_jax.io.console import Clock
from cellrec_jax.train import calls as calls_lib
from cellrec_jax.train import start
from cellrec_jax.train import step as step_lib

_PAPER = {"data.keep_rate": "1.0", "data.max_cells": "256"}
_TINY = {
    "data.size_hw": "64,96",
    "data.synthetic_hw": "64,96",
    "model.backbone": "tiny",
    "model.channels": "8",
    "model.rpn_channels": "8",
    "model.head_channels": "16",
    "model.pre_nms_train": "200",
    "model.post_nms_train": "50",
    "model.roi_batch": "16",
}
PRESETS = {
    "tiny": ("ki67_bde", {**_PAPER, **_TINY}),
    "demo": ("ki67_bde:demo", {}),
    "small": ("ki67_bde:small", {}),
    "paper_bf16": ("ki67_bde", {**_PAPER, "compute.dtype": "bfloat16"}),
    "paper": ("ki67_bde", _PAPER),
}
"""Name -> configuration file and keys. tiny only tries the benchmark; the order is that
of memory, see `machine.peak_mib`."""

_STEPS = 10  # a sample, where --steps does not say
_NUM_IMAGES = 4
_DEVICE_BYTES = 2**31


def run(settings: Settings, say: Say) -> Report:
    """Measures each preset in turn; ConfigError for an unknown one.

    By default all but tiny, on a CPU without the paper's; a sample is `steps` steps.
    """
    rows, notes = [], []
    names = experiments.chosen(settings.presets, PRESETS)
    if not settings.presets:
        names.remove("tiny")
        if jax.default_backend() == "cpu":
            names = ["demo", "small"]
            notes.append(
                "paper skipped: about 15 s a step on a CPU; ask for it with "
                "--presets paper --steps 1 --repeats 3"
            )
    for name in names:
        try:
            experiment = experiments.load(*PRESETS[name])
        except ImportError as error:
            notes.append(f"{name} skipped: {error.name} is not installed")
            continue
        say(f"train: {name}, compiling and stepping")
        rows.append(_measure(name, experiment, settings, say))
    return Report(tuple(rows), tuple(notes))


def begin(
    experiment: Experiment, batch_size: int = 0, num_classes: int = 1
) -> tuple[Callable[[int], list[Any]], int]:
    """What does some steps of a training and waits, and the images a step.

    Each call goes on where the last one was, and returns the losses (sum, count) of
    each call of the program; the first step compiles. Images are rounded up to a
    multiple of the devices.
    """
    batch_size = batch_size or experiment.batch_size
    batch_size += -batch_size % jax.device_count()
    method = methods.build(experiment, num_classes)
    state = start.make_state(experiment, method)
    program = step_lib.program(experiment, method)
    clock = Clock(0)
    batches = _stream(experiment, batch_size)
    calls, state = calls_lib.open_calls(experiment, program, batches, state, clock)
    done = 0

    def advance(number: int) -> list[Any]:
        nonlocal state, done
        found: list[Any] = []
        end = done + number
        while done < end:
            several = min(calls.most(clock), end - done)
            state, metrics = calls.advance(state, done, several)
            done += several
            found.append(metrics["loss"])
            jax.block_until_ready(found[-2:-1])  # as training does
            clock.tick(done)
        jax.block_until_ready((state, found))
        return found

    return advance, batch_size


def _measure(name: str, experiment: Experiment, settings: Settings, say: Say) -> Row:
    train, batch_size = begin(experiment, settings.batch_size)
    losses: list[Any] = []

    def advance(number: int) -> float:
        begun = time.perf_counter()
        losses.extend(train(number))
        return (time.perf_counter() - begun) / number

    first = advance(1)
    say(f"train: {name}, first step after {first:.0f} s")
    advance(1)  # warm-up
    repeats = settings.repeats or timing.REPEATS
    timed = timing.summarize(
        [advance(settings.steps or _STEPS) for _ in range(repeats)]
    )
    means = [
        float(total / count)
        for sums, counts in jax.device_get(losses)
        for total, count in zip(np.ravel(sums), np.ravel(counts), strict=True)
        if count  # else a step that the call did not do
    ]
    ends = [x if np.isfinite(x) else None for x in (means[0], means[-1])]
    data = experiment.data
    height, width = data.crop_hw if any(data.crop_hw) else data.size_hw
    return {
        "preset": name,
        "image_px": f"{height}x{width}",
        "batch": batch_size,
        "compile_s": first - timed.median_s,
        "step_s": timed.median_s,
        "step_iqr_s": timed.iqr_s,
        "steps_per_s": 1.0 / timed.median_s,
        "images_per_s": batch_size / timed.median_s,
        "peak_mib": machine.peak_mib(),
        "steps": len(means),
        "loss_first": ends[0],
        "loss_last": ends[1],
    }


def _stream(experiment: Experiment, batch_size: int) -> stream.Stream:
    """Generated images, held on the device."""
    data = experiment.data
    spec = ExampleSpec(
        size_hw=data.size_hw,
        max_cells=data.max_cells,
        box_size=data.box_size,
        keep_rate=data.keep_rate,
    )
    examples = []
    for index in range(_NUM_IMAGES):
        record = synthetic.make_image(0, index, size_hw=data.synthetic_hw)
        # Two classes are generated, one is trained.
        record = dataclasses.replace(record, labels=np.zeros_like(record.labels))
        examples.append(prepare(record, spec))
    stacked = arrays.to_device(arrays.stack(examples), _DEVICE_BYTES)
    return stream.of_arrays(stacked, batch_size=batch_size, seed=experiment.seed)
