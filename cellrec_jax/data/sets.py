"""Opens the images a configuration names and splits them into train, val and test."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
import dataclasses
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from cellrec_jax import errors
from cellrec_jax.config import DataConfig
from cellrec_jax.data import arrays, classes, readers, splits
from cellrec_jax.data.example import Example, ExampleSpec, prepare
from cellrec_jax.data.readers import prepared
from cellrec_jax.data.record import Record, Source
from cellrec_jax.data.synthetic import source as synthetic
from cellrec_jax.types import Batch

T = TypeVar("T")
Track = Callable[[Iterable[T], str], Iterable[T]]
"""Shows progress over an iterable of known length: (items, what they are)."""


class Split(NamedTuple):
    """Some images of a source and how they become examples."""

    source: Source
    image_ids: tuple[str, ...]
    spec: ExampleSpec


class Sets(NamedTuple):
    """The three splits of an experiment."""

    train: Split
    val: Split
    test: Split
    notes: tuple[str, ...]
    """What the user should know, such as a split that was drawn."""


class EvalSet(NamedTuple):
    """A split ready for evaluation."""

    images: Batch
    """All examples, stacked; px of the resized images."""
    image_ids: tuple[str, ...]
    groups: tuple[str, ...]
    scale_yx: np.ndarray
    """f32 [I, 2] px of the resized image per native px."""
    native_hw: np.ndarray
    """int [I, 2] size of the images on disk."""
    mpp: float
    """Micrometres per native px, if known and equal for all; else 0."""


class Survey(NamedTuple):
    """What a training split holds."""

    num_kept: int
    """Annotated cells that training sees."""
    num_total: int
    """Annotated cells of these images."""
    num_dropped: int
    """Cells that did not fit `data.max_cells`."""
    num_per_class: tuple[int, ...]
    """K numbers of annotated cells that training sees."""
    num_slots: int
    """Slots that the fullest image needs, a multiple of 8: the N of its batches. Every
    pair of anchor and slot costs time, so `data.max_cells` is only an upper bound."""
    native_hw: np.ndarray
    """int [I, 2] sizes on disk."""
    mpp: float
    """Micrometres per px where all images agree, else 0."""


class TrainSet(NamedTuple):
    """A training split in memory."""

    images: Batch
    survey: Survey


def open_source(config: DataConfig) -> Source:
    """Opens the folder, prepared set or generator that a configuration names.

    Raises:
      DataError, ConfigError: if it cannot be read, naming what to change.
    """
    if config.root == "synthetic":
        number = config.synthetic_train + config.synthetic_val + config.synthetic_test
        source = synthetic.open_source(
            number,
            config.synthetic_hw,
            config.synthetic_seed,
            kind=config.synthetic_kind,
        )
    elif prepared.is_prepared(config.root):
        source = prepared.open_prepared(config.root)
    else:
        source = readers.open_source(Path(config.root).expanduser(), config.format)
    return classes.merge_classes(source, config.classes)


def open_sets(config: DataConfig, seed: int) -> Sets:
    """Opens a configuration's images and decides which of them train, val and test.

    In this order: the named ids, k folds, the generator's counts, the folder's own
    train / val / test folders, a random split.

    Args:
      config: see `DataConfig`.
      seed: of folds and random splits.

    Returns:
      The splits; validation and test may be empty.

    Raises:
      DataError, ConfigError: with one line that names what to change.
    """
    source = open_source(config)
    ids, notes = splits.split_ids(source, config, seed)
    splits.check_disjoint(*ids)
    if not ids[0]:
        raise errors.DataError(
            f"{config.root}: no images to train on; set --config.data.train_ids"
        )
    evaluation = evaluation_spec(config)
    training = dataclasses.replace(
        evaluation,
        training=True,
        keep_rate=config.keep_rate,
        keep_one=config.keep_one,
        keep_seed=config.keep_seed,
        flip_labels=config.flip_labels,
        jitter_px=config.jitter_px,
        corrupt_seed=config.corrupt_seed,
        num_classes=len(source.class_names),
    )
    train, val, test = ids
    return Sets(
        Split(source, train, training),
        Split(source, val, evaluation),
        Split(source, test, evaluation),
        notes,
    )


def open_for_evaluation(config: DataConfig, seed: int, *, whole: bool) -> Split:
    """Opens the images to evaluate on.

    Args:
      config: see `DataConfig`.
      seed: of folds and random splits.
      whole: take all images of a folder that training never saw, unless
        `data.test_ids` names some.

    Returns:
      The test images, else the validation images.
    """
    if whole:
        source = open_source(config)
        ids = source.image_ids
        if config.test_ids:
            ids = splits.select_ids(ids, config.test_ids, key="data.test_ids")
        return Split(source, ids, evaluation_spec(config))
    opened = open_sets(config, seed)
    return opened.test if opened.test.image_ids else opened.val


def evaluation_spec(config: DataConfig) -> ExampleSpec:
    """How images are prepared for evaluation: with all their annotations."""
    return ExampleSpec(
        size_hw=config.size_hw,
        resize=config.resize,
        max_cells=config.max_cells,
        box_size=config.box_size,
        intensity=config.intensity,
        boxes=config.boxes,
        mpp=config.mpp,
        training=False,
    )


def load_train(split: Split, track: Track[str] | None = None) -> TrainSet:
    """Loads a training split into memory.

    Raises:
      DataError: if no image has an annotation, or a file cannot be used.
    """
    examples: list[Example] = []
    survey = _survey(split, track, examples)
    return TrainSet(arrays.stack(examples, survey.num_slots), survey)


def survey(split: Split, track: Track[str] | None = None) -> Survey:
    """Reads a training split once without keeping it, for counts and sizes.

    Raises:
      DataError: if no image has an annotation, or a file cannot be used.
    """
    return _survey(split, track, None)


def _survey(
    split: Split, track: Track[str] | None, kept_examples: list[Example] | None
) -> Survey:
    counts, sizes, mpps = [], [], set()
    per_class: Counter[int] = Counter()
    for record in _records(split, track, "training images"):
        example = prepare(record, split.spec)
        per_class.update(example.labels[example.points_mask].tolist())
        counts.append((example.num_cells, example.num_total, example.num_dropped))
        sizes.append(record.image.shape[:2])
        mpps.add(record.mpp or split.spec.mpp)
        if kept_examples is not None:
            kept_examples.append(example)
    num_kept, num_total, num_dropped = (int(n) for n in np.sum(counts, axis=0))
    if not num_kept:
        raise errors.DataError(
            f"none of the {len(counts)} training images has an annotated cell; "
            "check --config.data.classes and --config.data.train_ids"
        )
    mpp = mpps.pop() if len(mpps) == 1 else 0.0
    fullest = max(int(count[0]) for count in counts)
    num_slots = min(split.spec.max_cells, -(-fullest // 8) * 8)
    return Survey(
        num_kept,
        num_total,
        num_dropped,
        tuple(per_class[label] for label in range(len(split.source.class_names))),
        num_slots,
        np.asarray(sizes),
        mpp,
    )


def load_eval(split: Split, track: Track[str] | None = None) -> EvalSet | None:
    """Loads a split for evaluation; None if it is empty.

    Raises:
      DataError: if a file cannot be used or has more cells than `data.max_cells`.
    """
    if not split.image_ids:
        return None
    examples: list[Example] = []
    sizes, groups, mpps = [], [], set()
    for record in _records(split, track, "evaluation images"):
        examples.append(prepare(record, split.spec))
        sizes.append(record.image.shape[:2])
        groups.append(record.group)
        mpps.add(record.mpp or split.spec.mpp)
    return EvalSet(
        arrays.stack(examples),
        split.image_ids,
        tuple(groups),
        np.stack([e.scale_yx for e in examples]),
        np.asarray(sizes),
        mpps.pop() if len(mpps) == 1 else 0.0,
    )


def _records(split: Split, track: Track[str] | None, what: str) -> Iterable[Record]:
    ids: Sequence[str] = split.image_ids
    for image_id in track(ids, what) if track else ids:
        yield split.source.load(image_id)


def repair_lines(repairs: Counter[str]) -> tuple[str, ...]:
    """What readers had to repair, one line each, for printing."""
    return tuple(f"repaired: {count} {what}" for what, count in sorted(repairs.items()))
