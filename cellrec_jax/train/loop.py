"""The training loop, read from top to bottom."""

import collections
from collections.abc import Callable, Mapping
import dataclasses
import functools
from pathlib import Path
import time
from typing import Any

import jax
import numpy as np

from cellrec_jax import config as config_lib
from cellrec_jax import errors
from cellrec_jax.config import Experiment
from cellrec_jax.data import augment, feed, sets
from cellrec_jax.train import checkpoint, evaluate, interrupt, parallel, writer
from cellrec_jax.train import model as model_lib
from cellrec_jax.train import step as step_lib
from cellrec_jax.train.console import Console, format_seconds
from cellrec_jax.train.state import TrainState

_RECENT_STEPS = 100  # over which steps per second are averaged
_SLOW_HOURS = 2.0  # longer than this on a CPU is worth a warning


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a training run left behind."""

    state: TrainState
    meta: Mapping[str, Any]
    exit_code: int
    """0 when finished, 130 or 143 when interrupted (the state is saved)."""
    timing: Mapping[str, float]
    """compile_s, seconds, steps, steps_per_s of this process."""


def train(  # noqa: PLR0915 - one story, read in one sitting
    experiment: Experiment,
    workdir: Path,
    data: sets.Sets,
    console: Console,
    init_from: Path | None = None,
) -> Outcome:
    """Trains until `total_steps`, resuming from the work directory's last checkpoint.

    Args:
      experiment: what to train.
      workdir: exists; gets metrics.jsonl and checkpoints/.
      data: from `sets.open_sets`.
      console: shows progress.
      init_from: work directory whose weights a new run starts from.

    Returns:
      The final or interrupted state.

    Raises:
      ConfigError, DataError, CheckpointError: before training starts.
      RunError: if the loss is not finite or the disk is full.
    """
    # 1. Devices and data.
    parallel.check_batch_size(experiment.batch_size, jax.device_count())
    augment_options = augment_from(experiment)
    augment.check(augment_options, experiment.data.size_hw)
    source = feed.open_feed(experiment, data.train, console.track)
    val_set = sets.load_eval(data.val, console.track)
    for note in (*data.notes, *sets.repair_lines(data.train.source.repairs)):
        console.line(note)
    if source.num_dropped:
        console.line(
            f"{source.num_dropped} cells beyond --config.data.max_cells="
            f"{experiment.data.max_cells} are left out of training"
        )
    console.line(_summary(experiment, data, source))

    # 2. Method, optimiser, fresh state.
    class_names = data.train.source.class_names
    method = model_lib.build_method(experiment, len(class_names))
    state, optimizer = model_lib.make_state(experiment, method)
    path = workdir / "metrics.jsonl"
    write = _writer(path)
    manager = checkpoint.open_manager(workdir, experiment.checkpoint)

    # 3. Restore, or start from other weights.
    if (last := manager.latest_step()) is not None:
        state = checkpoint.restore(manager, state, last).state
        writer.truncate_metrics(path, last)
        console.line(f"resumed at step {last} of {experiment.total_steps}")
    else:
        state = _initial_weights(state, method, init_from, console)
    meta = _make_meta(experiment, class_names, source)
    start = int(state.step)
    state = parallel.place(state)

    # 4. The step.
    step_fn = step_lib.make_step(
        method,
        optimizer,
        lambda batch, rng: augment.augment(batch, rng, augment_options),
        seed=experiment.seed,
        ema=experiment.optim.ema,
    )
    pmapped = parallel.pmap_step(step_fn)
    validate = evaluate.validator(experiment.eval, method, val_set, class_names)
    batches = source.batches(start)

    # 5. The loop.
    pending: list[Any] = []
    losses: dict[str, float] = {}
    clock = _Clock(start)
    with (
        interrupt.catch() as caught,
        console.training(start, experiment.total_steps) as show,
    ):
        for step in range(start + 1, experiment.total_steps + 1):
            state, metrics = pmapped(state, parallel.shard(next(batches)))
            pending.append(metrics)
            # At most one step ahead of the device, so that times mean something.
            jax.block_until_ready(metrics if step == start + 1 else pending[-2:-1])
            clock.tick(step)
            finished = step == experiment.total_steps
            stopped = caught.signal is not None and not finished
            due = experiment.eval.every and step % experiment.eval.every == 0
            saving = finished or stopped or step % experiment.checkpoint.every == 0
            if step % experiment.log.every == 0 or due or saving:
                losses = _drain(pending, step, manager)
                write(_row(step, losses, clock))
            show(step, clock.rate, losses)
            if step == start + 4:
                _warn_if_slow(experiment, clock, step, console)
            score = None
            if (finished or due) and val_set is not None and not stopped:
                fitted, score = validate(state)
                meta = {**meta, "decode": fitted.to_json()}
                write({"step": step, "val/AP11": score})
            if saving or due:
                checkpoint.save(manager, state, meta, score)
            if stopped:
                break
    manager.wait_until_finished()
    manager.close()
    unfinished = int(state.step) < experiment.total_steps
    exit_code = caught.exit_code if unfinished else 0
    return Outcome(state, meta, exit_code, clock.timing())


def augment_from(experiment: Experiment) -> augment.AugmentOptions:
    """The augmentation that a configuration asks for."""
    data = experiment.data
    return augment.AugmentOptions(
        crop_hw=data.crop_hw if any(data.crop_hw) else None,
        flip=data.flip,
        turn=data.turn,
        hed_jitter=data.hed_jitter,
        brightness=data.brightness,
        contrast=data.contrast,
    )


def _writer(path: Path) -> Callable[[Mapping[str, Any]], None]:
    """Appends rows to metrics.jsonl, in the first process only."""
    if jax.process_index():
        return lambda _: None
    return functools.partial(writer.append_metrics, path)


class _Clock:
    """Times steps; the first one, which compiles, is kept apart."""

    def __init__(self, start: int) -> None:
        self.begin = time.monotonic()
        self.start = start
        self.step = start
        self.compiled: float | None = None
        self._recent: collections.deque[tuple[int, float]] = collections.deque(
            maxlen=_RECENT_STEPS
        )

    def tick(self, step: int) -> None:
        self.step = step
        now = time.monotonic()
        self.compiled = self.compiled or now
        self._recent.append((step, now))

    @property
    def rate(self) -> float | None:
        """Steps per second of late; None before the second step."""
        if len(self._recent) < 2:
            return None
        (first, since), (last, now) = self._recent[0], self._recent[-1]
        return (last - first) / max(now - since, 1e-9)

    def timing(self) -> dict[str, float]:
        now = time.monotonic()
        since = self.compiled or now
        steps = self.step - self.start
        return {
            "compile_s": round(since - self.begin, 2),
            "seconds": round(now - self.begin, 2),
            "steps": steps,
            "steps_per_s": round(max(steps - 1, 0) / max(now - since, 1e-9), 4),
        }


def _drain(pending: list[Any], step: int, manager: Any) -> dict[str, float]:
    """Means of the metrics since the last call; stops the run if one is not finite."""
    rows = jax.device_get(pending)
    pending.clear()
    for offset, row in enumerate(rows):
        if not np.isfinite(row["loss"][0]):
            bad = step - len(rows) + 1 + offset
            last = manager.latest_step()
            kept = (
                f"the last good checkpoint is step {last}" if last else "none is kept"
            )
            raise errors.RunError(
                f"loss is {float(row['loss'][0])} at step {bad}; {kept}; lower "
                "--config.optim.learning_rate or set --config.optim.clip_norm=10, "
                "then start again"
            )
    names = rows[0].keys()
    sums = {name: sum(float(row[name][0]) for row in rows) for name in names}
    counts = {name: sum(float(row[name][1]) for row in rows) for name in names}
    return {name: sums[name] / counts[name] for name in names if counts[name]}


def _row(step: int, losses: Mapping[str, float], clock: _Clock) -> dict[str, Any]:
    return {
        "step": step,
        "seconds": round(time.monotonic() - clock.begin, 3),
        **{f"train/{name}": value for name, value in losses.items()},
    }


def _initial_weights(
    state: TrainState, method: Any, init_from: Path | None, console: Console
) -> TrainState:
    params, model_state = state.params, state.model_state
    if init_from is not None:
        params, model_state, line = model_lib.start_from(init_from, params, model_state)
        console.line(line)
    elif method.load_pretrained is not None:
        params, model_state, lines = method.load_pretrained(params, model_state)
        for line in lines:
            console.line(line)
    averaged = jax.tree.map(np.array, params) if state.ema_params else {}
    return state.replace(params=params, model_state=model_state, ema_params=averaged)


def _make_meta(
    experiment: Experiment, class_names: tuple[str, ...], source: feed.Feed
) -> dict[str, Any]:
    """What prediction needs besides the weights."""
    default = evaluate.fit([], class_names, experiment.eval.radius_px)
    return {
        "config": config_lib.to_json(experiment),
        "class_names": list(class_names),
        "native_hw": list(source.native_hw),
        "mpp": experiment.data.mpp or source.mpp,
        "decode": default.to_json(),
        "cells_kept": source.num_kept,
        "cells_total": source.num_total,
    }


def _summary(experiment: Experiment, data: sets.Sets, source: feed.Feed) -> str:
    devices = jax.devices()
    share = 100.0 * source.num_kept / max(source.num_total, 1)
    return (
        f"{len(devices)} x {devices[0].device_kind}; images: "
        f"{len(data.train.image_ids)} train, {len(data.val.image_ids)} val, "
        f"{len(data.test.image_ids)} test; annotated cells kept {source.num_kept} of "
        f"{source.num_total} ({share:.0f} %); global batch {experiment.batch_size}; "
        f"{experiment.total_steps} steps"
    )


def _warn_if_slow(
    experiment: Experiment, clock: _Clock, step: int, console: Console
) -> None:
    left = (experiment.total_steps - step) / (clock.rate or 1.0)
    if jax.devices()[0].platform == "cpu" and left > _SLOW_HOURS * 3600:
        console.line(f"this will take {format_seconds(left)} on this CPU")
        if experiment.note:
            console.line(experiment.note)
