"""Images a second of the ways that lead to a training batch.

prepare: from a decoded image to arrays of fixed shape, once a run, on one core.
take: batches from a set held on the device (array mode).
augment: flips, turns and stains on the device; of whole images, or half-side crops.
tf.data: batches of the same images, prepared again each time, or kept in memory.
shards: of prepared sets, read by TensorFlow; of images of the asked size, or resized.
"""

from collections.abc import Generator, Iterator
import dataclasses
import importlib.util
import itertools
from pathlib import Path
import tempfile
import time
from typing import Any

import jax

from cellrec_jax.bench import timing
from cellrec_jax.bench.report import Report, Row, Say, Settings
from cellrec_jax.data import arrays, augment, pipeline
from cellrec_jax.data.builders.encodings import ENCODINGS
from cellrec_jax.data.example import ExampleSpec, prepare
from cellrec_jax.data.record import Record, Source
from cellrec_jax.data.synthetic import source as synthetic

SIZES = (384, 640, 800)
_NATIVE_HW = (640, 640)
_NUM_IMAGES = 4
_BATCH = 4
_BATCHES = 8  # a sample, where --steps does not say
_AHEAD = 6  # batches that a pipeline may have ready: not timed
_OPTIONS = augment.AugmentOptions(turn=True, hed_jitter=0.05)


def run(settings: Settings, say: Say) -> Report:
    """Measures each way at each size.

    `sizes` are sides in px that images of 640 x 640 px are resized to; a sample is
    `steps` batches.
    """
    say(f"data: generating {_NUM_IMAGES} images")
    indices = range(_NUM_IMAGES)
    records = [synthetic.make_image(0, i, size_hw=_NATIVE_HW) for i in indices]
    batch_size, number = settings.batch_size or _BATCH, settings.steps or _BATCHES
    rows: list[Row] = []
    for size in settings.sizes or SIZES:
        say(f"data: {size} px")
        spec = ExampleSpec(size_hw=(size, size))
        samples: dict[str, list[float]] = {}
        with tempfile.TemporaryDirectory() as folder:
            ways = _ways(records, spec, batch_size)
            if _has_tensorflow():
                ways |= _shard_ways(records, spec, batch_size, Path(folder))
            for _ in range(settings.repeats or timing.REPEATS):
                for name, batches in ways.items():
                    samples.setdefault(name, []).append(_sample(batches, number))
            for batches in ways.values():
                if isinstance(batches, Generator):
                    batches.close()  # before its files go
        for name in ways:
            timed = timing.summarize(samples[name])
            rows.append(
                {
                    "way": name,
                    "size_px": size,
                    "batch": batch_size,
                    "images_per_s": batch_size / timed.median_s,
                    "batch_ms": timed.median_s * 1e3,
                    "batch_iqr_ms": timed.iqr_s * 1e3,
                }
            )
    missing = "tf.data skipped: TensorFlow is not installed"
    return Report(tuple(rows), () if _has_tensorflow() else (missing,))


def _sample(batches: Iterator[Any], number: int) -> float:
    """Seconds a batch, of batches in a row that nobody has made before."""
    jax.block_until_ready(list(itertools.islice(batches, _AHEAD)))
    begin = time.perf_counter()
    for batch in itertools.islice(batches, number):
        jax.block_until_ready(batch)
    return (time.perf_counter() - begin) / number


def _ways(
    records: list[Record], spec: ExampleSpec, batch_size: int
) -> dict[str, Iterator[Any]]:
    """Name -> endless batches."""
    stacked = jax.device_put(arrays.stack([prepare(r, spec) for r in records]))

    def take() -> Iterator[Any]:
        return arrays.train_batches(stacked, arrays.Order(batch_size, 0))

    half_hw = (spec.size_hw[0] // 2, spec.size_hw[1] // 2)
    ways = {
        "prepare": _prepare(records, spec, batch_size),
        "take": take(),
        "take + augment": _augmented(take(), _OPTIONS),
        "take + crop + augment": _augmented(
            take(), dataclasses.replace(_OPTIONS, crop_hw=half_hw)
        ),
    }
    if not _has_tensorflow():
        return ways
    by_id = {record.image_id: record for record in records}
    source = Source("bench", synthetic.CLASS_NAMES, tuple(by_id), by_id.__getitem__)
    for name, cache in (("tf.data", False), ("tf.data, cached", True)):
        ways[name] = pipeline.train_batches(
            source, source.image_ids, spec, arrays.Order(batch_size, 0), cache=cache
        )
    return ways


def _shard_ways(
    records: list[Record], spec: ExampleSpec, batch_size: int, folder: Path
) -> dict[str, Iterator[Any]]:
    """Name -> endless batches of prepared sets."""
    from cellrec_jax.bench import shard_sets  # readers need Pillow

    indices = range(_NUM_IMAGES)
    native = [synthetic.make_image(0, i, size_hw=spec.size_hw) for i in indices]
    ways: dict[str, Iterator[Any]] = {
        f"shards, {encoding}": shard_sets.batches(
            native, spec, batch_size, encoding, folder / "native"
        )
        for encoding in ENCODINGS
    }
    if spec.size_hw != _NATIVE_HW:
        ways["shards, raw, resized"] = shard_sets.batches(
            records, spec, batch_size, "raw", folder / "resized"
        )
    return ways


def _prepare(
    records: list[Record], spec: ExampleSpec, batch_size: int
) -> Iterator[Any]:
    endless = itertools.cycle(records)
    while True:
        chosen = itertools.islice(endless, batch_size)
        yield arrays.stack([prepare(record, spec) for record in chosen])


def _augmented(
    batches: Iterator[Any], options: augment.AugmentOptions
) -> Iterator[Any]:
    change = jax.jit(lambda batch, rng: augment.augment(batch, rng, options))
    rng = jax.random.key(0)
    for step, batch in enumerate(batches):
        yield change(batch, jax.random.fold_in(rng, step))


def _has_tensorflow() -> bool:
    return importlib.util.find_spec("tensorflow") is not None
