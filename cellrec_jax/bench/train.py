"""Training steps a second, compile time and peak memory of the detector's settings.

As in training: array mode, augmentation and the step in one pmap, and calls of
`train.steps_per_call`. Images are generated; all of their cells stay annotated in the
paper's. With `profile`: where the time of a step goes, by named scope.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from cellrec_jax import methods
from cellrec_jax.bench import experiments, machine, profile, timing
from cellrec_jax.bench.report import Report, Row, Say, Settings
from cellrec_jax.bench.staged import Staged
from cellrec_jax.config import Experiment
from cellrec_jax.data import arrays, stream
from cellrec_jax.data.example import ExampleSpec, prepare
from cellrec_jax.data.synthetic import source as synthetic
from cellrec_jax.io.console import Clock
from cellrec_jax.train import calls as calls_lib
from cellrec_jax.train import parallel, start
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
    "demo": ("ki67_bde:demo_paper", {}),
    "small": ("ki67_bde:small_paper", {}),
    "paper_256": ("ki67_bde", {**_PAPER, "model.rpn_channels": "256"}),
    "paper_bf16": ("ki67_bde", {**_PAPER, "compute.dtype": "bfloat16"}),
    "paper": ("ki67_bde", _PAPER),
}
"""Name -> configuration file and keys. tiny only tries the benchmark, paper_256 is as
wide as torchvision's detector; the order is that of memory, see `machine.peak_mib`."""

TORCHVISION = "torchvision"
"""Stands among the presets for its detector, at the size of the paper's."""

_STEPS = 10  # a sample, where --steps does not say
_NUM_IMAGES = 4
_DEVICE_BYTES = 2**31
_SCOPES = 20  # rows of a profile


class Training(NamedTuple):
    """A training that was begun."""

    advance: Callable[[int], list[Any]]
    """Does some steps and waits. Each call goes on where the last one was, and returns
    the losses (sum, count) of each call of the program; the first step compiles."""
    batch_size: int
    """Images a step, rounded up to a multiple of the devices."""
    facts: Callable[[], Mapping[str, float]]
    """Of the program that it calls, after the first step: see `Staged.facts`."""
    text: Callable[[], str]
    """The compiled program of one step; compiles it once more."""


def run(settings: Settings, say: Say) -> Report:
    """Measures each preset in turn; ConfigError for an unknown one.

    By default all but tiny, on a CPU without the paper's; a sample is `steps` steps.
    """
    rows: list[Row] = []
    notes = []
    names = experiments.chosen(settings.presets, (*PRESETS, TORCHVISION))
    if not settings.presets:
        names = [name for name in names if name not in ("tiny", TORCHVISION)]
        if jax.default_backend() == "cpu":
            names = ["demo", "small"]
            notes.append(
                "paper skipped: about 15 s a step on a CPU; ask for it with "
                "--presets paper --steps 1 --repeats 3"
            )
    for name in names:
        if name == TORCHVISION:
            theirs = _torchvision(settings, say)
            rows.extend(theirs.rows)
            notes.extend(theirs.notes)
            continue
        try:
            experiment = experiments.load(*PRESETS[name])
        except ImportError as error:
            notes.append(f"{name} skipped: {error.name} is not installed")
            continue
        say(f"train: {name}, compiling and stepping")
        if settings.profile:
            rows.extend(_profile(name, experiment, settings, say))
        else:
            rows.append(_measure(name, experiment, settings, say))
    return Report(tuple(rows), tuple(notes))


def begin(
    experiment: Experiment, batch_size: int = 0, num_classes: int = 1
) -> Training:
    """Begins a training on generated images."""
    batch_size = batch_size or experiment.batch_size
    batch_size += -batch_size % jax.device_count()
    method = methods.build(experiment, num_classes)
    state = start.make_state(experiment, method)
    program = step_lib.program(experiment, method)
    staged = Staged(program.compiled), Staged(program.several)
    program = program._replace(compiled=staged[0], several=staged[1])
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

    def facts() -> Mapping[str, float]:
        (found,) = (one.facts for one in staged if one.facts)
        return found

    def text() -> str:
        batch = parallel.shard(next(batches.batches(0)))
        key = parallel.place(jax.random.key(experiment.seed))
        step: Any = program.compiled
        return str(step.lower(state, batch, key).compile().as_text())

    return Training(advance, batch_size, facts, text)


def step_means(losses: Sequence[Any]) -> list[float]:
    """The loss of each step, of what `Training.advance` returned."""
    return [
        float(total / count)
        for sums, counts in jax.device_get(losses)
        for total, count in zip(np.ravel(sums), np.ravel(counts), strict=True)
        if count  # else a step that the call did not do
    ]


def _profile(
    name: str, experiment: Experiment, settings: Settings, say: Say
) -> tuple[Row, ...]:
    """The slowest scopes of a step."""
    # A step a call: a loop over steps would be one scope of its own.
    one = dataclasses.replace(experiment.train, steps_per_call=1)
    training = begin(dataclasses.replace(experiment, train=one), settings.batch_size)
    text = training.text()
    training.advance(2)  # compiles, and warms up
    say(f"train: {name}, tracing {settings.profile} steps")
    steps = settings.profile
    seconds = profile.seconds_of(lambda: training.advance(steps), text)
    rows = profile.by_scope(seconds, text, steps)
    return tuple({"preset": name, **row} for row in rows[:_SCOPES])


def _measure(name: str, experiment: Experiment, settings: Settings, say: Say) -> Row:
    training = begin(experiment, settings.batch_size)
    batch_size = training.batch_size
    losses: list[Any] = []

    def advance(number: int) -> float:
        begun = time.perf_counter()
        losses.extend(training.advance(number))
        return (time.perf_counter() - begun) / number

    first = advance(1)
    facts = training.facts()
    say(f"train: {name}, first step after {first:.0f} s")
    advance(1)  # warm-up
    repeats = settings.repeats or timing.REPEATS
    timed = timing.summarize(
        [advance(settings.steps or _STEPS) for _ in range(repeats)]
    )
    means = step_means(losses)
    ends = [x if np.isfinite(x) else None for x in (means[0], means[-1])]
    data = experiment.data
    height, width = data.crop_hw if any(data.crop_hw) else data.size_hw
    return {
        "preset": name,
        "image_px": f"{height}x{width}",
        "batch": batch_size,
        "trace_s": facts["trace_s"],
        "compile_s": facts["compile_s"],
        "step_s": timed.median_s,
        "step_iqr_s": timed.iqr_s,
        "steps_per_s": 1.0 / timed.median_s,
        "images_per_s": batch_size / timed.median_s,
        "peak_mib": machine.peak_mib(),
        "steps": len(means),
        "loss_first": ends[0],
        "loss_last": ends[1],
    }


def _torchvision(settings: Settings, say: Say) -> Report:
    """The same steps by torchvision's detector, one a sample."""
    from cellrec_jax.bench import torch_steps

    found = torch_steps.run(
        dataclasses.replace(
            settings,
            presets=("float32",),
            full=True,
            sizes=(settings.batch_size or 2,),
            steps=settings.repeats or timing.REPEATS,
        ),
        say,
    )
    rows = []
    for row in found.rows:
        second = row["step_ms"] / 1e3
        times = {"step_s": second, "steps_per_s": 1 / second}
        kept = {key: row[key] for key in ("image_px", "batch", "images_per_s", "steps")}
        rows.append({"preset": TORCHVISION, **kept, **times})
    return Report(tuple(rows), found.notes)


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
    stacked = arrays.stack(examples)
    # As many slots as training takes: a multiple of 8.
    slots = -(-int(stacked.points_mask.sum(axis=1).max()) // 8) * 8
    stacked = arrays.to_device(arrays.with_slots(stacked, slots), _DEVICE_BYTES)
    return stream.of_arrays(stacked, arrays.Order(batch_size, experiment.seed))
