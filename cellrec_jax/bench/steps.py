"""Steps of the published detector on an accelerator, by batch and type of numbers.

`ki67_bde` as it is trained: images held on the device, several steps a call. Batches
are measured from small to large, so that the peak of memory is the last one's; then
the largest is looked for. Without `full` a tiny network tries the benchmark itself.
"""

from collections.abc import Callable, Mapping
import time
from typing import Any

import jax
import numpy as np

from cellrec_jax.bench import experiments, machine, timing
from cellrec_jax.bench import train as train_lib
from cellrec_jax.bench.report import Report, Row, Say, Settings
from cellrec_jax.config import Experiment
from cellrec_jax.train import peak

DTYPES = ("bfloat16", "float32")
"""In the order of memory."""
BATCHES = (2, 8)
PAPER_STEPS = 10_000
"""Of the paper's training."""

_TRIAL = {"model.min_level": "5", "model.anchor_sizes": "32,64"}  # compiles soon
_LONG = 300  # steps of the first batch, which tell of those of the paper
_MOST = 1024  # images; no batch above is tried
_TRIES = 3  # of the largest batch: each compiles a program
_SAMPLE_S = 1.0
_OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "out of memory", "Out of memory")


def run(settings: Settings, say: Say) -> Report:
    """Measures types of `presets` in turn, each from the smallest batch on.

    `sizes` are the batches, without a search for the largest then; `steps` are those of
    the first batch; nothing is compiled after `budget_s`.
    """
    until = time.perf_counter() + settings.budget_s
    rows: list[Row] = []
    notes: list[str] = []

    def measured(dtype: str, batch: int, long: int) -> Row | None:
        """The row, kept; None if there is no room, or no time."""
        title = f"{dtype}, batch {batch}"
        if time.perf_counter() > until:
            notes.append(f"skipped: {title}: no time left")
            return None
        say(f"steps: {title}")
        try:
            row = _measure(experiment(dtype, settings.full), dtype, batch, long, say)
        except jax.errors.JaxRuntimeError as error:
            if not any(words in str(error) for words in _OUT_OF_MEMORY):
                raise
            notes.append(f"{title}: out of memory")
            return None
        rows.append(row)
        settings.keep(Report(tuple(rows), tuple(notes)))
        return row

    for dtype in experiments.chosen(settings.presets, DTYPES):
        known: dict[int, float] = {}
        for batch in settings.sizes or BATCHES:
            long = 0 if known else settings.steps or _LONG
            if (row := measured(dtype, batch, long)) is None:
                break
            known[row["batch"]] = row["needs_mib"] or 0.0
        else:
            if not settings.sizes and jax.default_backend() != "cpu":
                limit = machine.memory_bytes() / 2**20
                start = guess(known, limit)
                say(f"steps: {dtype}, the largest batch may be {start}")

                def fits(batch: int, dtype: str = dtype) -> bool:
                    return measured(dtype, batch, 0) is not None

                largest(fits, max(known), start)
    return Report(tuple(rows), tuple(notes))


def guess(needs: Mapping[int, float], limit: float) -> int:
    """The largest batch x 2^n, of the largest that is known, that should fit.

    `needs` is the memory of two batches or more, which grows with the batch.

    Example:
      >>> guess({2: 30.0, 8: 60.0}, limit=200.0)
      32
    """
    small, batch = min(needs), max(needs)
    image = (needs[batch] - needs[small]) / max(batch - small, 1)
    if image <= 0:
        return batch
    while 2 * batch <= _MOST and needs[small] + (2 * batch - small) * image <= limit:
        batch *= 2
    return batch


def largest(fits: Callable[[int], bool], known: int, start: int) -> int:
    """The first that fits of `start`, its half and its quarter, or else `known`.

    Example:
      >>> largest(lambda batch: batch <= 40, known=8, start=64)
      32
    """
    tried = (start >> halved for halved in range(_TRIES))
    return next((batch for batch in tried if batch <= known or fits(batch)), known)


def experiment(dtype: str, full: bool) -> Experiment:
    """The published detector, or a tiny one, that computes in a type of numbers."""
    flag, overrides = train_lib.PRESETS["paper" if full else "tiny"]
    own = {} if full else _TRIAL
    return experiments.load(flag, {**overrides, **own, "compute.dtype": dtype})


def _measure(settings: Experiment, dtype: str, batch: int, long: int, say: Say) -> Row:
    training = train_lib.begin(settings, batch)
    advance, batch = training.advance, training.batch_size
    losses = advance(1)
    facts = training.facts()
    say(f"steps: traced {facts['trace_s']:.0f} s, compiled {facts['compile_s']:.0f} s")
    begun = time.perf_counter()
    losses += advance(1)
    number = max(1, min(30, round(_SAMPLE_S / (time.perf_counter() - begun))))
    if long:
        number = min(number, long)
    samples = []
    for _ in range(max(long // number, 5 if not long else 1)):
        begun = time.perf_counter()
        losses += advance(number)
        samples.append((time.perf_counter() - begun) / number)
    return _row(settings, dtype, batch, facts, samples, number, losses)


def _row(
    settings: Experiment,
    dtype: str,
    batch: int,
    facts: Mapping[str, float],
    samples: list[float],
    number: int,
    losses: list[Any],
) -> Row:
    timed = timing.summarize(samples)
    before_s = facts["trace_s"] + facts["compile_s"]
    flop_s = facts["flops"] / timed.median_s
    most = peak.peak_flops(jax.local_devices()[0].device_kind)
    means = train_lib.step_means(losses)
    height, width = settings.data.size_hw
    return {
        "dtype": dtype,
        "image_px": f"{height}x{width}",
        "batch": batch,
        "trace_s": facts["trace_s"],
        "compile_s": facts["compile_s"],
        "step_ms": timed.median_s * 1e3,
        "step_iqr_ms": timed.iqr_s * 1e3,
        "image_ms": timed.median_s / batch * 1e3,
        "images_per_s": batch / timed.median_s,
        "tflop_s": flop_s / 1e12 or None,
        "of_bf16_peak": flop_s / most if most and flop_s else None,
        "needs_mib": facts["needs_bytes"] / 2**20 or None,
        "peak_mib": machine.peak_mib(),
        "steps": number * len(samples),
        "paper_hours": (before_s + PAPER_STEPS * float(np.mean(samples))) / 3600,
        "loss_last": means[-1] if np.isfinite(means[-1]) else None,
    }
