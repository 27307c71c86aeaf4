"""Where training batches come from; all give those of `arrays.batch_indices`."""

from collections.abc import Iterator
import dataclasses
import importlib.util
from typing import NamedTuple

import jax

from cellrec_jax import errors
from cellrec_jax.config import Experiment
from cellrec_jax.data import (
    arrays,
    cell_table,
    example,
    looks,
    pipeline,
    sets,
    shard_batches,
)
from cellrec_jax.data.stream import Stream, of_arrays
from cellrec_jax.data.survey import Survey
from cellrec_jax.types import Batch


class Feed(NamedTuple):
    """Training batches and what is known of their images."""

    stream: Stream
    seen: Survey
    look: looks.Look | None = None
    """What some of the images look like."""
    notes: tuple[str, ...] = ()
    """What the user should know, one line each."""


def choose_loader(experiment: Experiment, split: sets.Split) -> str:
    """Arrays while images fit `data.device_mib`, else tf.data (or `ConfigError`).

    Counted are as many as there are of the first one: 4 bytes a px for 8 bits of RGB,
    13 for 16 bits, which are held as f32.
    """
    data = experiment.data
    installed = importlib.util.find_spec("tensorflow") is not None
    if data.loader == "tf" and not installed:
        raise errors.ConfigError(
            "--config.data.loader=tf: TensorFlow is not installed; install "
            "tensorflow-cpu or use --config.data.loader=arrays"
        )
    if data.loader != "auto":
        return data.loader
    if not installed:
        return "arrays"
    first = example.prepare(split.source.load(split.image_ids[0]), split.spec)
    mib = len(split.image_ids) * arrays.num_bytes(first) / 2**20
    return "arrays" if mib <= data.device_mib else "tf"


def open_feed(
    experiment: Experiment, split: sets.Split, track: sets.Track[str] | None = None
) -> Feed:
    """Opens the training images; errors are one line that names what to change."""
    loader = choose_loader(experiment, split)
    order = arrays.Order(
        experiment.batch_size,
        experiment.seed,
        jax.process_index(),
        jax.process_count(),
    )
    if loader == "tf":
        return _read_as_trained(split, order, track)
    loaded = sets.load_train(split, track)
    images = arrays.to_device(loaded.images, experiment.data.device_mib * 2**20)
    return Feed(of_arrays(images, order), loaded.survey, loaded.look)


def _read_as_trained(
    split: sets.Split, order: arrays.Order, track: sets.Track[str] | None
) -> Feed:
    """By TensorFlow alone where it can, else by the reader of the set."""
    source, ids, spec = split.source, split.image_ids, split.spec
    look, table = sets.look(split), None
    if not (reason := shard_batches.why_not(source, spec)):
        seen, table = cell_table.make(split, track)
        reason = shard_batches.why_not_pixels(table, spec)
    else:
        seen = sets.survey(split, track)

    def batches(start_step: int) -> Iterator[Batch]:
        if table is None or source.shards is None or reason:
            fitting = dataclasses.replace(spec, max_cells=seen.num_slots)
            return pipeline.train_batches(source, ids, fitting, order, start_step)
        return shard_batches.train_batches(
            source.shards, ids, table, spec, order, start_step
        )

    notes = (
        (f"images go through Python, which is slower: {reason}",)
        if source.shards and reason
        else ()
    )
    return Feed(Stream(batches), seen, look, notes)
