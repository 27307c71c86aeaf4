"""The training loop, read from top to bottom."""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import functools
from typing import Any

from etils import epath
import jax
import numpy as np

from cellrec_jax import config as config_lib
from cellrec_jax import errors, methods
from cellrec_jax.config import Experiment, limits
from cellrec_jax.data import augment, feed, looks, sets
from cellrec_jax.data.survey import Survey
from cellrec_jax.evaluate import fitting
from cellrec_jax.io.console import Clock, Console, format_seconds
from cellrec_jax.predict import frame as frames
from cellrec_jax.train import accumulate, parallel, signals
from cellrec_jax.train import calls as calls_lib
from cellrec_jax.train import start as start_lib
from cellrec_jax.train import step as step_lib
from cellrec_jax.types import Method, TrainState
from cellrec_jax.workdir import checkpoint, interrupt, operating_point, writer

GENTLER = "a lower --config.optim.learning_rate or --config.optim.clip_norm=10"
_SLOW_HOURS = 2.0  # longer than this on a CPU is worth a warning


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a training run left behind."""

    state: TrainState
    meta: Mapping[str, Any]
    exit_code: int
    """0 when finished, 130 or 143 when interrupted (the state is saved)."""
    timing: Mapping[str, float]
    """See `Clock.timing`."""
    paused: bool = False
    """Stopped between two rounds of pseudo labels, for a person to look at them."""


def train(  # noqa: PLR0915 - one story, read in one sitting
    experiment: Experiment,
    method: Method,
    workdir: epath.Path,
    data: sets.Sets,
    console: Console,
    init_from: epath.Path | None = None,
    before_s: float = 0.0,
) -> Outcome:
    """Trains until `total_steps`, resuming from the work directory's last checkpoint.

    `workdir` exists and gets metrics.jsonl and checkpoints/; a new run starts from the
    weights of `init_from`, and counts its seconds from `before_s`, those of stages
    before it. Returns the final or interrupted state. A ConfigError, DataError or
    CheckpointError comes before training, a RunError if the loss is not finite or the
    disk is full.
    """
    # 1. Devices and data.
    parts = experiment.train.accumulate
    parallel.check_batch_size(experiment.batch_size, jax.device_count(), parts)
    augment.check(step_lib.augment_from(experiment), experiment.data.size_hw)
    source = feed.open_feed(experiment, data.train, console.track)
    refuse_doubted(experiment, method, source.seen)
    class_names = data.train.source.class_names
    for note in (
        *notes(experiment, data, source.seen),
        *calls_lib.notes(experiment, source.stream),
        *source.notes,
    ):
        console.line(note)
    console.line(summary(experiment, data, source.seen))

    # 2. Fresh state.
    state = start_lib.make_state(experiment, method)
    manager = checkpoint.open_manager(workdir, experiment.checkpoint)

    # 3. Restore, or start from other weights.
    meta = make_meta(experiment, class_names, source.seen, source.look)
    frame = frames.of(experiment, meta, method.traits)
    val_images = fitting.load(experiment, data.fitting, frame, console)
    meta |= {
        "fit_pending": bool(val_images),
        "init_from": start_lib.remembered(init_from),
        "score_due": False,
        "seconds": before_s,
    }
    if (saved := start_lib.resume(manager, state, console)) is not None:
        start_lib.check(init_from, saved.meta)
        state, meta = saved.state, {**meta, **_carried(saved.meta, experiment)}
        console.line(f"resumed at step {int(state.step)} of {experiment.total_steps}")
    else:
        state = start_lib.initial_weights(
            state, method, init_from, class_names, console
        )
    start = int(state.step)
    write = _writer(workdir / "metrics.jsonl", start)

    # 4. The program.
    clock = Clock(start, meta["seconds"])
    program = step_lib.program(experiment, method)
    calls, state = calls_lib.open_calls(
        experiment, program, source.stream, state, clock
    )
    validate = None
    if val_images:
        validate = fitting.validator(experiment, method, val_images, data.fitting)
    score_of = _scorer(validate, meta, write)

    # 5. The loop.
    pending: list[tuple[int, Any]] = []
    losses: dict[str, float] = {}
    step, stop = start, None
    with (
        interrupt.catch(console.line) as caught,
        console.training(start, experiment.total_steps) as show,
    ):
        known = signals.open_known(caught, clock)
        if meta["score_due"]:  # a signal came when it was
            overdue = score_of(state, start)
            checkpoint.save(manager, state, meta, overdue, again=True)
        while step < experiment.total_steps:
            number = min(calls.most(clock), _free_steps(experiment, step))
            state, metrics = calls.advance(state, step, number)
            step += number
            pending.append((number, metrics))
            # At most one call ahead of the device, so that times mean something.
            jax.block_until_ready(metrics if step - number == start else pending[-2:-1])
            clock.tick(step)
            finished = step == experiment.total_steps
            stop = known(step, finished)
            stopped = stop is not None
            due = _is_due(step, experiment.eval.every)
            saving = finished or stopped or step % experiment.checkpoint.every == 0
            if step % experiment.log.every == 0 or due or saving:
                losses = _drain(pending, step, manager)
                write(_row(step, losses, clock))
            show(step, clock.pace, losses)
            if step - number < start + 4 <= step:
                _warn_if_slow(experiment, clock, step, console)
            # Schedulers do not wait long: a resumed run makes up for it.
            meta["score_due"] = due and stopped and not finished
            scored = finished or (due and not stopped)
            score = score_of(state, step) if scored else None
            if saving or due:
                meta["seconds"] = round(clock.seconds, 2)
                checkpoint.save(manager, state, meta, score)
            if stopped:
                break
    manager.wait_until_finished()
    manager.close()
    # Also where it came while the last step was saved.
    stop = stop or known(step, True)
    return Outcome(state, meta, interrupt.exit_code(stop), clock.timing())


def _free_steps(experiment: Experiment, step: int) -> int:
    """How many steps there are until the host has something to do."""
    saved, logged = experiment.checkpoint.every, experiment.log.every
    scored = experiment.eval.every or experiment.total_steps
    left = (every - step % every for every in (saved, logged, scored))
    return min(experiment.total_steps - step, *left)


def _is_due(step: int, every: int) -> bool:
    """Whether something that is done `every` so many steps is due; 0 is never."""
    return every > 0 and step % every == 0


def _scorer(
    validate: Callable[[TrainState], Any] | None,
    meta: dict[str, Any],
    write: Callable[[Mapping[str, Any]], None],
) -> Callable[[TrainState, int], float | None]:
    """Validation of a step with all that it leaves behind; None: no images."""

    def score_of(state: TrainState, step: int) -> float | None:
        meta["score_due"] = False
        if validate is None:
            return None
        fitted, scores = validate(state.evaluated)
        meta.update(decode=fitting.to_json(fitted), fit_pending=False)
        row = {f"val/{name}": value for name, value in scores.items()}
        write({"step": step, **row})
        (score,) = scores.values()
        return score

    return score_of


def _writer(path: epath.Path, start: int) -> Callable[[Mapping[str, Any]], None]:
    """Appends rows after step `start` to metrics.jsonl, in the first process only."""
    if jax.process_index():
        return lambda _: None
    writer.truncate_metrics(path, start)
    return functools.partial(writer.append_metrics, path)


def _drain(pending: list[tuple[int, Any]], step: int, manager: Any) -> dict[str, float]:
    """Means of pending metrics; stops before a save if one is not finite."""
    calls = jax.device_get(pending)
    pending.clear()
    # [steps, 2] of each name, a row a step.
    rows = {
        name: np.concatenate(
            [np.stack(np.atleast_1d(*row[name]), 1)[:number] for number, row in calls]
        )
        for name in calls[0][1]
    }
    for name in ("loss", "grad_norm"):
        values = rows[name][:, 0]
        for index in np.flatnonzero(~np.isfinite(values))[:1]:
            first = step - len(values) + 1 + index
            raise _diverged(f"{name} is {values[index]} at step {first}", manager)
    sums = {name: row.sum(0, dtype=np.float64) for name, row in rows.items()}
    return {name: float(x / n) for name, (x, n) in sums.items() if n}


def _diverged(what: str, manager: Any) -> errors.DivergedError:
    last, workdir = manager.latest_step(), manager.directory.parent
    advice = f"nothing is kept: start again with {GENTLER}"
    if last is not None:
        advice = (
            f"the last good checkpoint is step {last}: start from it with "
            f"--workdir NEW --init-from {workdir} and {GENTLER}"
        )
    return errors.DivergedError(what, advice)


def _row(step: int, losses: Mapping[str, float], clock: Clock) -> dict[str, Any]:
    pace = clock.pace
    reached = pace.reached if pace else None
    return {
        "step": step,
        "seconds": round(clock.seconds, 3),
        **({} if pace is None else {"waited": round(pace.waited, 4)}),
        **({} if reached is None else {"of_peak": round(reached, 4)}),
        **{f"train/{name}": value for name, value in losses.items()},
    }


def _carried(meta: Mapping[str, Any], experiment: Experiment) -> dict[str, Any]:
    """What a resumed run takes over: it fits thresholds only when they are due."""
    names = ["init_from", "score_due", "seconds"]
    before = methods.from_json(meta["config"]).eval
    if operating_point.rule(before) == operating_point.rule(experiment.eval):
        names += ["decode", "fit_pending"]
    return {name: meta[name] for name in names if name in meta}


def make_meta(
    experiment: Experiment,
    class_names: tuple[str, ...],
    seen: Survey,
    look: looks.Look | None = None,
) -> dict[str, Any]:
    """What prediction needs besides the weights; JSON-serialisable."""
    default = fitting.fit([], class_names, experiment.eval, seen.mpp)
    return {
        "config": config_lib.to_json(experiment),
        "class_names": list(class_names),
        "native_hw": list(seen.median_hw),
        "mpp": seen.mpp,
        "look": None if look is None else look._asdict(),
        "decode": fitting.to_json(default),
        "cells_kept": seen.num_kept,
        "cells_total": seen.num_total,
    }


def refuse_doubted(experiment: Experiment, method: Method, seen: Survey) -> None:
    """ConfigError where a method would learn as cells what nobody gave."""
    limits.require(
        method.traits.by_trust or not seen.num_doubted,
        f"data.root={experiment.data.root}: {seen.num_doubted} of its cells are "
        "predicted, or known background, which pdl1_point and ki67_bde alone, without "
        "rounds, tell from given ones: train one of these, --config.refine.rounds=0",
    )


def notes(experiment: Experiment, data: sets.Sets, seen: Survey) -> Iterator[str]:
    """What the user should know of the images before training, one line each."""
    yield from data.notes
    yield from sets.repair_lines(data.train.source.repairs)
    if seen.num_dropped:
        yield (
            f"{seen.num_dropped} cells beyond --config.data.max_cells="
            f"{experiment.data.max_cells} are left out of training"
        )
    class_names = data.train.source.class_names
    for name, count in zip(class_names, seen.num_per_class, strict=True):
        if not count:
            yield f"warning: no training cell of class {name}: it stays unknown"


def summary(experiment: Experiment, data: sets.Sets, seen: Survey) -> str:
    """One line on devices, images, annotations and the length of training."""
    devices = jax.devices()
    labels = f"{seen.num_kept} labels"
    if seen.num_kept < seen.num_total:
        share = 100.0 * seen.num_kept / seen.num_total
        labels += f" of {seen.num_total} annotated cells ({share:.0f} %)"
    if seen.num_doubted:
        labels += f", {seen.num_doubted} of them predicted or known background"
    return (
        f"{len(devices)} x {devices[0].device_kind}; images: "
        f"{len(data.train.image_ids)} train, {len(data.val.image_ids)} val, "
        f"{len(data.test.image_ids)} test; {labels}; global batch "
        f"{accumulate.described(experiment, len(devices))}; "
        f"{experiment.total_steps} steps"
    )


def _warn_if_slow(
    experiment: Experiment, clock: Clock, step: int, console: Console
) -> None:
    if clock.pace is None:
        return
    left = (experiment.total_steps - step) / clock.pace.rate
    if jax.devices()[0].platform == "cpu" and left > _SLOW_HOURS * 3600:
        console.line(f"this will take {format_seconds(left)} on this CPU")
        if experiment.note:
            console.line(experiment.note)
