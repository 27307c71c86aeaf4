"""Stages of a round of pseudo labels: detector, classifier of patches, ranking.

"train D": a step of the paper's U-Net on two images, with the masked loss, targets
painted. "predict D": the U-Net on one image, without looking for peaks.
"train g" and "extract": epochs of the classifier of patches, and scores and features of
as many. "rank": P-classification of 2,304 features and a constant by L-BFGS, to within
1 % of the least loss (`bench.ranking`), and by the paper's SGD of 2,000 epochs in
batches of 1,000, of which a few are timed and multiplied, as all take the same.
"""

from collections.abc import Callable
import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cellrec_jax.bench import machine, ranking, timing
from cellrec_jax.bench.ranking_reference import RIDGE, P
from cellrec_jax.bench.report import Report, Row, Settings
from cellrec_jax.losses.ranking import solvers as ranking_solvers
from cellrec_jax.methods import heatmap_pu
from cellrec_jax.nn import patch_net, unet
from cellrec_jax.rounds import patch_classifier
from cellrec_jax.types import Batch

SIZES = (10**3, 10**4, 10**5)

_PATCH_PX = 27
_PATCHES = {"cpu": 512}  # by platform; else ...
_MANY_PATCHES = 16_000
_PATCH_BATCH = {"cpu": 128}
_PAPER_PATCH_BATCH = 4000
_IMAGE_PX = {"cpu": 256}  # a side
_PAPER_IMAGE_PX = 1024
_IMAGE_BATCH = 2
_NUM_LABELS = 64  # of an image
_WIDTH = 64  # of the U-Net
_SGD_EPOCHS = 2000
_SGD_BATCH = 1000
_TIMED_EPOCHS = 4
_MEMORY_SHARE = 0.25  # that features to rank may take


def run(settings: Settings, say: Callable[[str], None]) -> Report:
    """Measures each stage.

    Args:
      settings: `sizes` are numbers of rows to rank; `presets` classifiers of patches
        (all, but on a CPU without "alexnet", which takes minutes there); `batch_size`
        patches a step of their training; `repeats` samples.
      say: told what is being measured.
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
        case = ranking.solve_case(size)
        if case.held_bytes > _MEMORY_SHARE * machine.memory_bytes():
            notes.append(f"rank skipped: {size} rows take too much memory")
            continue
        say(f"refine: ranking of {size} rows")
        rows += _ranking(case, size, settings)
        ratio = rows[-1]["call_s"] / rows[-2]["call_s"]
        notes.append(f"rank, {size} rows: SGD takes {ratio:.3g} x L-BFGS's time")
    return Report(tuple(rows), tuple(notes))


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
    side = _IMAGE_PX.get(jax.default_backend(), _PAPER_IMAGE_PX)
    options = heatmap_pu.Options(heatmap_pu.ModelOptions(width=_WIDTH))
    method = heatmap_pu.make(options, num_classes=1)
    batch = _batch(side)
    params, state = jax.jit(method.init)(jax.random.key(0), batch.image)
    optimizer = optax.adam(1e-3)

    def step(params: Any, state: Any, moments: Any, batch: Batch) -> Any:
        grads, (state, _) = jax.grad(method.loss_fn, has_aux=True)(
            params, state, batch, jax.random.key(0), 0
        )
        updates, moments = optimizer.update(grads, moments)
        return optax.apply_updates(params, updates), state, moments

    network = unet.UNet(1, width=_WIDTH, norm="sync_batch")
    variables = {"params": params["detector"], **state}
    calls = {
        "train D": timing.compile_call(
            step, params, state, optimizer.init(params), batch
        ),
        "predict D": timing.compile_call(network.apply, variables, batch.image[:1]),
    }
    found = timing.compare(calls, settings.repeats or timing.REPEATS)
    what = f"U-Net, {side} px"
    return [
        _row(task, what, "image", number, number, found[task])
        for task, number in (("train D", _IMAGE_BATCH), ("predict D", 1))
    ]


def _batch(side: int) -> Batch:
    """Blank images with labels anywhere, a fifth of them known background."""
    rng = np.random.default_rng(0)
    shape = (_IMAGE_BATCH, _NUM_LABELS)
    labels = (np.arange(_NUM_LABELS) % 5 == 0) * heatmap_pu.BACKGROUND
    return Batch(
        image=jnp.zeros((_IMAGE_BATCH, side, side, 1)),
        image_mask=jnp.ones(_IMAGE_BATCH, bool),
        points_yx=jnp.asarray(rng.uniform(0, side, (*shape, 2)), jnp.float32),
        labels=jnp.broadcast_to(jnp.asarray(labels, jnp.int32)[None], shape),
        points_mask=jnp.ones(shape, bool),
        boxes_yxyx=jnp.zeros((*shape, 4)),
        valid=jnp.ones((_IMAGE_BATCH, side, side), bool),
        example_index=jnp.arange(_IMAGE_BATCH),
    )


def _classifier(kind: str, settings: Settings) -> list[Row]:
    """Epochs of training on noise, and extraction from the same patches."""
    platform = jax.default_backend()
    number = _PATCHES.get(platform, _MANY_PATCHES)
    batch = settings.batch_size or _PATCH_BATCH.get(platform, _PAPER_PATCH_BATCH)
    rng = np.random.default_rng(0)
    patches = rng.random((number, _PATCH_PX, _PATCH_PX, 1), np.float32)
    patches = jax.device_put(patches)
    repeats = settings.repeats or timing.REPEATS
    options = patch_classifier.Options(
        network=kind, batch_size=min(batch, number), epochs=1 + repeats
    )
    ends = [time.perf_counter()]
    trained = patch_classifier.train(
        patches,
        np.arange(number) % 3 == 0,
        0.5,
        options,
        lambda *_: ends.append(time.perf_counter()),
    )
    first, *epochs = np.diff(ends).tolist()
    extraction = timing.Call(
        lambda: jax.block_until_ready(
            patch_classifier.extract(trained.params, patches, options)
        )
    )
    extracted = timing.compare({"extract": extraction}, repeats)["extract"]
    trained_in = timing.summarize(epochs)
    trained_in = timing.summarize(epochs, max(first - trained_in.median_s, 0.0))
    at_once = patch_classifier.EXTRACT_BATCH
    return [
        _row("train g", kind, "patch", number, options.batch_size, trained_in),
        _row("extract", kind, "patch", number, at_once, extracted),
    ]


def _ranking(case: ranking.kernel.Case, size: int, settings: Settings) -> list[Row]:
    """L-BFGS, then SGD; the latter's figures are those of all its epochs."""
    data = case.inputs()
    sgd = functools.partial(
        ranking_solvers.solve_sgd,
        p=P,
        ridge=RIDGE,
        epochs=_TIMED_EPOCHS,
        batch_size=_SGD_BATCH,
    )
    calls = {
        "L-BFGS": case.contestants["L-BFGS"].build(*data),
        f"SGD, {_SGD_EPOCHS} epochs": timing.compile_call(sgd, *data),
    }
    found = timing.compare(calls, settings.repeats or timing.REPEATS)
    times = (1.0, _SGD_EPOCHS / _TIMED_EPOCHS)
    batches = (size, min(_SGD_BATCH, size))
    return [
        _row("rank", what, "row", size, batch, _multiplied(timed, factor))
        for (what, timed), factor, batch in zip(
            found.items(), times, batches, strict=True
        )
    ]


def _multiplied(timed: timing.Timing, factor: float) -> timing.Timing:
    return timing.Timing(
        timed.median_s * factor,
        timed.low_s * factor,
        timed.high_s * factor,
        timed.repeats,
        timed.compile_s,
    )
