"""Where training batches come from; all give those of `arrays.batch_indices`."""

from collections.abc import Iterator
import dataclasses
import importlib.util
from typing import NamedTuple

import jax

from cellrec_jax import errors
from cellrec_jax.config import Experiment
from cellrec_jax.data import arrays, example, looks, pipeline, sets
from cellrec_jax.data.stream import Stream, of_arrays
from cellrec_jax.data.survey import Survey
from cellrec_jax.types import Batch


class Feed(NamedTuple):
    """Training batches and what is known of their images."""

    stream: Stream
    seen: Survey
    look: looks.Look | None = None
    """What some of the images look like."""


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
    order = {
        "batch_size": experiment.batch_size,
        "seed": experiment.seed,
        "process_index": jax.process_index(),
        "process_count": jax.process_count(),
    }
    if loader == "tf":
        seen, look = sets.survey(split, track), sets.look(split)
        spec = dataclasses.replace(split.spec, max_cells=seen.num_slots)

        def batches(start_step: int) -> Iterator[Batch]:
            return pipeline.train_batches(
                split.source, split.image_ids, spec, start_step=start_step, **order
            )

        return Feed(Stream(batches), seen, look)
    loaded = sets.load_train(split, track)
    images = arrays.to_device(loaded.images, experiment.data.device_mib * 2**20)
    return Feed(of_arrays(images, **order), loaded.survey, loaded.look)
