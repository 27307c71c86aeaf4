"""Stages of a round of pseudo labels: detector, classifier of patches, ranking.

"train D": a step of the paper's U-Net on two images, with the masked loss, targets
painted. "predict D": the U-Net on one image, without peaks. "train g", "extract":
epochs of the classifier of patches, and scores and features of as many. "rank":
P-classification of 2,304 features and a constant, by L-BFGS to within 1 % of the least
loss (`bench.ranking`), and by the paper's SGD of 2,000 epochs in batches of 1,000,
timed on a few.
"""

import dataclasses
import functools
import time
from typing import Any

import jax
import numpy as np
import optax

from cellrec_jax.bench import draws, machine, ranking, timing
from cellrec_jax.bench.report import Report, Row, Say, Settings
from cellrec_jax.data import arrays, augment
from cellrec_jax.data.example import ExampleSpec, prepare
from cellrec_jax.data.record import Record
from cellrec_jax.losses.ranking import solvers
from cellrec_jax.methods import heatmap_pu
from cellrec_jax.methods.refine_options import RefineOptions
from cellrec_jax.nn import patch_net, unet
from cellrec_jax.rounds import patch_classifier
from cellrec_jax.types import Batch, Progress

SIZES = (10**3, 10**4, 10**5)
_SMALL = {"patches": 512, "patch_batch": 128, "image_px": 256}  # on a CPU
_LARGE = {"patches": 16_000, "patch_batch": 4000, "image_px": 1024}
_PATCH_PX = 27
_NUM_LABELS = 64  # of an image
_WIDTH = 64  # of the U-Net
_SGD_EPOCHS = 2000
_SGD_BATCH = 1000
_TIMED_EPOCHS = 4
_MEMORY_SHARE = 0.25  # that features to rank may take


def run(settings: Settings, say: Say) -> Report:
    """Measures each stage.

    `sizes` are numbers of rows to rank; `presets` classifiers of patches (all, but on a
    CPU without "alexnet", which takes minutes), `batch_size` patches a step.
    """
    notes = []
    say("refine: detector")
    rows = _detector(settings)
    kinds = [kind for kind in patch_net.KINDS if kind in settings.presets]
    if not kinds and jax.default_backend() == "cpu":
        kinds = ["small"]
        notes.append("alexnet skipped: minutes on a CPU; ask for it with --presets")
    for kind in kinds or patch_net.KINDS:
        say(f"refine: classifier {kind}")
        rows += _classifier(kind, settings)
    for size in settings.sizes or SIZES:
        if 4.0 * size * draws.DIM > _MEMORY_SHARE * machine.memory_bytes():
            notes.append(f"rank skipped: {size} rows take too much memory")
            continue
        say(f"refine: ranking of {size} rows")
        rows += _ranking(size, settings)
        ratio = rows[-1]["call_s"] / rows[-2]["call_s"]
        notes.append(f"rank, {size} rows: SGD takes {ratio:.3g} x L-BFGS's time")
    return Report(tuple(rows), tuple(notes))


def _sizes() -> dict[str, int]:
    return _SMALL if jax.default_backend() == "cpu" else _LARGE


def _row(
    task: str, what: str, unit: str, number: int, batch: int, timed: timing.Timing
) -> Row:
    return {
        "task": task,
        "what": what,
        "unit": unit,
        "number": number,
        "batch": batch,
        "compile_s": timed.compile_s,
        "call_s": timed.median_s,
        "call_iqr_s": timed.iqr_s,
        "units_per_s": number / timed.median_s,
        "peak_mib": machine.peak_mib(),
        "repeats": timed.repeats,
    }


def _detector(settings: Settings) -> list[Row]:
    """A training step and a prediction; pixels do not matter."""
    side = _sizes()["image_px"]
    options = heatmap_pu.Options(heatmap_pu.ModelOptions(width=_WIDTH))
    method = heatmap_pu.make(options, num_classes=1)
    batch = _batch(side)
    params, state = jax.jit(method.init)(jax.random.key(0), batch.image)
    optimizer = optax.adam(1e-3)

    def step(params: Any, state: Any, moments: Any, batch: Batch) -> Any:
        grads, (state, _) = jax.grad(method.loss_fn, has_aux=True)(
            params, state, batch, jax.random.key(0), Progress(jax.numpy.int32(0), 1)
        )
        updates, moments = optimizer.update(grads, moments)
        return optax.apply_updates(params, updates), state, moments

    network = unet.UNet(1, width=_WIDTH, norm="sync_batch")
    variables = {"params": params["detector"], **state}
    moments = optimizer.init(params)
    calls = {
        "train D": timing.compile_call(step, params, state, moments, batch),
        "predict D": timing.compile_call(network.apply, variables, batch.image[:1]),
    }
    found = timing.compare(calls, settings.repeats or timing.REPEATS)
    what = f"U-Net, {side} px"
    return [
        _row(task, what, "image", number, number, found[task])
        for task, number in (("train D", len(batch.image)), ("predict D", 1))
    ]


def _batch(side: int) -> Batch:
    """Two blank images with labels anywhere, a fifth of them known background."""
    rng = np.random.default_rng(0)
    examples = []
    for index in range(2):
        points_yx = rng.uniform(0, side, (_NUM_LABELS, 2)).astype(np.float32)
        labels = (np.arange(_NUM_LABELS) % 5 == 0) * heatmap_pu.BACKGROUND
        blank = np.zeros((side, side, 1), np.uint8)
        record = Record(str(index), blank, points_yx, labels.astype(np.int32))
        spec = ExampleSpec((side, side), max_cells=_NUM_LABELS)
        examples.append(prepare(record, spec))
    return augment.prepare_eval(jax.device_put(arrays.stack(examples)))


def _classifier(kind: str, settings: Settings) -> list[Row]:
    """Epochs of training on noise, and extraction from the same patches."""
    number = _sizes()["patches"]
    batch = min(settings.batch_size or _sizes()["patch_batch"], number)
    shape = (number, _PATCH_PX, _PATCH_PX, 1)
    patches = jax.device_put(np.random.default_rng(0).random(shape, np.float32))
    repeats = settings.repeats or timing.REPEATS
    options = RefineOptions(network=kind, batch_size=batch, epochs=1 + repeats)
    ends = [time.perf_counter()]
    trained = patch_classifier.train(
        patches,
        np.arange(number) % 3 == 0,
        0.5,
        options,
        on_epoch=lambda *_: ends.append(time.perf_counter()),
    )
    first, *epochs = np.diff(ends).tolist()
    extraction = timing.Call(
        lambda: jax.block_until_ready(
            patch_classifier.extract(trained.params, patches, options)
        )
    )
    extracted = timing.compare({"extract": extraction}, repeats)["extract"]
    timed = timing.summarize(epochs)
    timed = dataclasses.replace(timed, compile_s=max(first - timed.median_s, 0.0))
    at_once = patch_classifier.EXTRACT_BATCH
    return [
        _row("train g", kind, "patch", number, batch, timed),
        _row("extract", kind, "patch", number, at_once, extracted),
    ]


def _ranking(size: int, settings: Settings) -> list[Row]:
    """L-BFGS, then SGD; the latter's figures are those of all its epochs."""
    data = jax.device_put(draws.features(size))
    sgd = functools.partial(
        solvers.solve_sgd,
        p=ranking.P,
        ridge=ranking.RIDGE,
        epochs=_TIMED_EPOCHS,
        batch_size=_SGD_BATCH,
    )
    calls = {
        "L-BFGS": timing.compile_call(ranking.lbfgs, *data),
        "SGD": timing.compile_call(sgd, *data),
    }
    found = timing.compare(calls, settings.repeats or timing.REPEATS)
    all_epochs = _times(found["SGD"], _SGD_EPOCHS / _TIMED_EPOCHS)
    name, batch = f"SGD, {_SGD_EPOCHS} epochs", min(_SGD_BATCH, size)
    return [
        _row("rank", "L-BFGS", "row", size, size, found["L-BFGS"]),
        _row("rank", name, "row", size, batch, all_epochs),
    ]


def _times(timed: timing.Timing, factor: float) -> timing.Timing:
    names = ("median_s", "low_s", "high_s")
    longer = {name: factor * getattr(timed, name) for name in names}
    return dataclasses.replace(timed, **longer)
