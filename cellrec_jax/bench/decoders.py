"""What decoders that only teach cost: a training step, and nothing to predict.

Rows of `cytoplasm_multitask` with one, two and three decoders, which take turns: a step
on generated images, then a patch of noise, image in, points out, as `predict` has it.
Networks are small, or with `--full` of published size, whose steps a CPU leaves out.
"""

from collections.abc import Mapping
import functools
import math
from typing import Any

import jax

from cellrec_jax.bench import experiments, predict, timing
from cellrec_jax.bench import train as train_lib
from cellrec_jax.bench.report import Report, Row, Say, Settings
from cellrec_jax.config import Experiment

ROWS = {"ours": 1, "dynamic": 2, "full": 3}
"""Preset -> its number of decoders."""
SIZE_HW = (384, 384)
"""px that the small networks predict, where `--sizes` does not say."""
_SMALL = {
    "data.size_hw": "384,384",
    "data.synthetic_hw": "384,384",
    "data.crop_hw": "192,192",
}
_NUM_CLASSES = 2

Columns = dict[str, dict[str, Any]]
"""Preset -> column -> value."""


def run(settings: Settings, say: Say) -> Report:
    """Measures the rows of one table; ConfigError for an unknown preset."""
    loaded = {
        name: _load(name, settings.full)
        for name in experiments.chosen(settings.presets, ROWS)
    }
    default = predict.PAPER_HW if settings.full else SIZE_HW
    (size_hw, *_) = settings.sizes_hw or (default,)
    steps: Columns = {name: {} for name in loaded}
    notes: tuple[str, ...] = ()
    if settings.full and jax.default_backend() == "cpu":
        notes = ("steps of published size skipped: minutes each on a CPU",)
    else:
        steps = _steps(loaded, settings, say)
    predictions = _predictions(loaded, size_hw, settings, say)
    rows: list[Row] = [
        {"decoders": ROWS[name], **steps[name], **predictions[name]} for name in loaded
    ]
    return Report(tuple(rows), notes)


def flag(name: str, full: bool) -> str:
    """The configuration of a row."""
    return f"cytoplasm_multitask:{'' if full else 'small_'}{name}"


def _load(name: str, full: bool) -> Experiment:
    return experiments.load(flag(name, full), None if full else _SMALL)


def _steps(loaded: Mapping[str, Experiment], settings: Settings, say: Say) -> Columns:
    """Of a training step."""
    calls: dict[str, timing.Call] = {}
    facts: Columns = {}
    for name, experiment in loaded.items():
        say(f"decoders: {ROWS[name]}, first step")
        training = train_lib.begin(
            experiment, settings.batch_size, num_classes=_NUM_CLASSES
        )
        training.advance(1)
        calls[name] = timing.Call(functools.partial(training.advance, 1))
        height, width = experiment.data.crop_hw
        facts[name] = {"crop_px": f"{height}x{width}", "batch": training.batch_size}
    say("decoders: stepping")
    return _timed("step", calls, facts, settings)


def _predictions(
    loaded: Mapping[str, Experiment],
    size_hw: predict.Size,
    settings: Settings,
    say: Say,
) -> Columns:
    """Of a prediction."""
    calls: dict[str, timing.Call] = {}
    facts: Columns = {}
    for name, experiment in loaded.items():
        say(f"decoders: {ROWS[name]}, compiling a prediction")
        calls[name], known = predict.ready(experiment, size_hw, _NUM_CLASSES)
        facts[name] = {
            "image_px": f"{size_hw[0]}x{size_hw[1]}",
            "parameters": known["parameters"],
            "predict_mib": known["call_mib"],
        }
    say("decoders: predicting")
    return _timed("predict", calls, facts, settings)


def _timed(
    what: str,
    calls: Mapping[str, timing.Call],
    facts: Mapping[str, Mapping[str, Any]],
    settings: Settings,
) -> Columns:
    """The facts with medians of calls in turn, and ratios to the first one's."""
    found = timing.compare(calls, settings.repeats or timing.REPEATS, math.inf)
    first = next(iter(found.values())).median_s
    return {
        name: {
            **facts[name],
            f"{what}_ms": timed.median_s * 1e3,
            f"{what}_iqr_ms": timed.iqr_s * 1e3,
            f"{what}_ratio": timed.median_s / first,
        }
        for name, timed in found.items()
    }
