"""Training steps a second, compile time and peak memory of the detector's settings.

Runs what training runs: batches of array mode, augmentation and the step inside the
same pmap. Images are generated. The paper's settings are the method's defaults and
need no configuration file; the others are read from theirs.
"""

from collections.abc import Callable, Iterator
import dataclasses
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from cellrec_jax import errors, methods
from cellrec_jax.bench import machine, timing
from cellrec_jax.bench.report import Report, Row, Settings
from cellrec_jax.config import Experiment
from cellrec_jax.data import arrays, augment
from cellrec_jax.data.example import ExampleSpec, prepare
from cellrec_jax.data.synthetic import source as synthetic
from cellrec_jax.train import parallel
from cellrec_jax.train import start as start_lib
from cellrec_jax.train import step as step_lib

FILES = {"demo": "ki67_bde:demo", "small": "ki67_bde:small"}
PAPER = {"paper_bf16": "bfloat16", "paper": "float32"}
PRESETS = ("tiny", *FILES, *PAPER)
"""tiny only tries the benchmark; the order is that of memory: see `peak_mib`."""

_STEPS = 10  # a sample, where --steps does not say
_NUM_IMAGES = 4
_DEVICE_BYTES = 2**31


class Setup(NamedTuple):
    """One setting to measure."""

    name: str
    experiment: Experiment
    augment: augment.AugmentOptions


def run(settings: Settings, say: Callable[[str], None]) -> Report:
    """Measures each preset in turn.

    Args:
      settings: `presets` (by default all but tiny, on a CPU without the paper's),
        `steps` a sample, `repeats` samples, `batch_size`.
      say: told what is being measured.

    Raises:
      ConfigError: if there is no such preset.
    """
    rows, notes = [], []
    if unknown := set(settings.presets) - set(PRESETS):
        raise errors.ConfigError(
            f"--presets {','.join(sorted(unknown))}: choose among {', '.join(PRESETS)}"
        )
    chosen = settings.presets or PRESETS[1:]
    if not settings.presets and jax.default_backend() == "cpu":
        chosen = tuple(FILES)
        notes.append(
            "paper skipped: about 15 s a step on a CPU; ask for it with "
            "--presets paper --steps 1 --repeats 3"
        )
    for name in PRESETS:
        if name not in chosen:
            continue
        try:
            setup = open_preset(name)
        except ImportError as error:
            notes.append(f"{name} skipped: {error.name} is not installed")
            continue
        say(f"train: {name}, compiling and stepping")
        rows.append(measure(setup, settings, say))
    return Report(tuple(rows), tuple(notes))


def open_preset(name: str) -> Setup:
    """Builds a preset's experiment.

    Raises:
      ImportError: if a package that configuration files need is missing.
      KeyError: if there is no such preset.
    """
    if name == "tiny":
        return Setup(name, _tiny(), augment.AugmentOptions())
    if name in PAPER:
        return Setup(name, _with_model(dtype=PAPER[name]), augment.AugmentOptions())
    from cellrec_jax import main  # late: need packages that the paper does not
    from cellrec_jax.train import loop

    experiment = methods.freeze(main.load_config(FILES[name]))
    return Setup(name, experiment, loop.augment_from(experiment))


def measure(setup: Setup, settings: Settings, say: Callable[[str], None]) -> Row:
    """Times training steps of one setting.

    Args:
      setup: from `open_preset`.
      settings: `steps` of a sample, `repeats`, `batch_size` (rounded up to a multiple
        of the devices).
      say: told when the first step is done.

    Returns:
      A row; `compile_s` is the first step less an ordinary one.
    """
    batch_size = _batch_size(setup.experiment, settings)
    state, step = _build(setup)
    batches = _batches(setup.experiment, batch_size)
    losses: list[Any] = []

    def advance(number: int) -> float:
        nonlocal state
        begin = time.perf_counter()
        for _ in range(number):
            state, metrics = step(state, parallel.shard(next(batches)))
            losses.append(metrics["loss"])
        jax.block_until_ready((state, losses[-1]))
        return time.perf_counter() - begin

    first = advance(1)
    say(f"train: {setup.name}, first step after {first:.0f} s")
    advance(1)  # warm-up
    steps = settings.steps or _STEPS
    timed = timing.summarize(
        [advance(steps) / steps for _ in range(settings.repeats or timing.REPEATS)]
    )
    timed = dataclasses.replace(timed, compile_s=first - timed.median_s)
    return _row(setup, batch_size, timed, losses)


def _build(setup: Setup) -> tuple[Any, Callable[..., Any]]:
    """The state before the first step, and the step as training maps it."""
    experiment = setup.experiment
    method = methods.build(experiment, num_classes=1)
    state, optimizer = start_lib.make_state(experiment, method)
    step = step_lib.make_step(
        method,
        optimizer,
        lambda batch, rng: augment.augment(batch, rng, setup.augment),
        seed=experiment.seed,
        total_steps=experiment.total_steps,
        ema=experiment.optim.ema,
    )
    return parallel.place(state), parallel.pmap_step(step)


def _row(setup: Setup, batch_size: int, timed: timing.Timing, losses: Any) -> Row:
    means = [float(total / count) for total, count in jax.device_get(losses)]
    options = setup.augment
    height, width = options.crop_hw or setup.experiment.data.size_hw
    return {
        "preset": setup.name,
        "image_px": f"{height}x{width}",
        "batch": batch_size,
        "compile_s": timed.compile_s,
        "step_s": timed.median_s,
        "step_iqr_s": timed.iqr_s,
        "steps_per_s": 1.0 / timed.median_s,
        "images_per_s": batch_size / timed.median_s,
        "peak_mib": machine.peak_mib(),
        "steps": len(means),
        "loss_first": _finite(means[0]),
        "loss_last": _finite(means[-1]),
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _batch_size(experiment: Experiment, settings: Settings) -> int:
    wanted = settings.batch_size or experiment.batch_size
    num_devices = jax.device_count()
    return -(-wanted // num_devices) * num_devices


def _batches(experiment: Experiment, batch_size: int) -> Iterator[Any]:
    """Training batches of generated images, held on the device."""
    data = experiment.data
    spec = ExampleSpec(
        size_hw=data.size_hw,
        max_cells=data.max_cells,
        box_size=data.box_size,
        keep_rate=data.keep_rate,
    )
    records = [
        synthetic.make_image(0, index, size_hw=data.synthetic_hw)
        for index in range(_NUM_IMAGES)
    ]
    # Two classes are generated, one is trained.
    examples = [
        prepare(dataclasses.replace(r, labels=np.zeros_like(r.labels)), spec)
        for r in records
    ]
    stacked = arrays.to_device(arrays.stack(examples), _DEVICE_BYTES)
    return arrays.train_batches(stacked, batch_size, experiment.seed)


def _with_model(**changes: Any) -> Experiment:
    """The paper's experiment with other model options."""
    return methods.freeze({"method": "calibrated_rcnn", "model": changes})


def _tiny() -> Experiment:
    experiment = _with_model(
        backbone="tiny",
        channels=8,
        rpn_channels=8,
        head_channels=16,
        pre_nms_train=200,
        post_nms_train=50,
        roi_batch=16,
    )
    data = dataclasses.replace(
        experiment.data, size_hw=(64, 96), synthetic_hw=(64, 96), max_cells=32
    )
    return dataclasses.replace(experiment, data=data)
