"""Opens the images a configuration names and splits them into train, val and test."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
from pathlib import Path
from typing import NamedTuple

from etils import epath
import numpy as np

from cellrec_jax import errors
from cellrec_jax.config import DataConfig, limits
from cellrec_jax.data import arrays, classes, drawn, looks, readers, splits
from cellrec_jax.data.example import Example, ExampleSpec, prepare
from cellrec_jax.data.readers import prepared
from cellrec_jax.data.record import Record, Source
from cellrec_jax.data.survey import Survey, Surveyor, Track, total
from cellrec_jax.data.synthetic import source as synthetic
from cellrec_jax.types import Batch


class Labels(NamedTuple):
    """What the annotations of some images are of their cells."""

    share: float = 1.0
    """Of the cells, a random part: 1 are all of them, 0 a part of unknown share."""
    withheld: bool = False
    """Labels of training images, which training does not see."""


class Split(NamedTuple):
    """Some images of a source and how they become examples."""

    source: Source
    image_ids: tuple[str, ...]
    spec: ExampleSpec
    surveyor: Surveyor | None = None
    """Knows what the images hold; None asks anew."""
    labels: Labels = Labels()
    slots: int = 8
    """Slots of cells in training batches are a multiple of it."""


class Sets(NamedTuple):
    """The three splits of an experiment."""

    train: Split
    val: Split
    test: Split
    notes: tuple[str, ...]
    """What the user should know, such as a split that was drawn."""
    withheld: Split | None = None
    """The training images with labels that training does not see, if there are any."""

    @property
    def fitting(self) -> Split:
        """What chooses the thresholds."""
        return self.val if self.withheld is None else self.withheld


class EvalSet(NamedTuple):
    """A split ready for evaluation."""

    images: Batch  # all examples, stacked; px of the resized images
    image_ids: tuple[str, ...]
    groups: tuple[str, ...]
    scale_yx: np.ndarray  # f32 [I, 2] px of the resized image per native px
    native_hw: np.ndarray  # int [I, 2] size of the images on disk
    mpp: float  # micrometres per native px, if known and equal for all; else 0


class TrainSet(NamedTuple):
    """A training split in memory."""

    images: Batch
    survey: Survey
    look: looks.Look | None = None
    """Of some of its images."""


def open_source(config: DataConfig) -> Source:
    """Opens the configured folder, prepared set or generator."""
    if config.root == "synthetic":
        number = config.synthetic_train + config.synthetic_val + config.synthetic_test
        source = synthetic.open_source(
            number,
            config.synthetic_hw,
            config.synthetic_seed,
            kind=config.synthetic_kind,
            domain=config.synthetic_domain,
        )
    elif prepared.is_prepared(config.root):
        source = prepared.open_prepared(config.root)
    else:
        source = readers.open_source(
            epath.Path(config.root).expanduser(),
            config.format,
            mpp=config.mpp,
            tile_hw=config.size_hw,
        )
    return classes.merge_classes(
        source, config.classes, config.ignore_classes, config.box_size
    )


def open_sets(config: DataConfig, seed: int, survey_file: Path | None = None) -> Sets:
    """Opens a configuration's images and decides which of them train, val and test.

    In this order: the named ids, k folds, the generator's counts, the folder's own
    train / val / test folders, a random split. Validation and test may be empty.
    `data.only_annotated` comes before all. `survey_file` keeps what images hold. Errors
    are one line that names what to change.
    """
    source = open_source(config)
    evaluation = evaluation_spec(config)
    training = _training_spec(config, len(source.class_names))
    surveyor = Surveyor(survey_file, f"{config.classes};{config.ignore_classes}")

    def count() -> dict[str, int]:
        found = surveyor.look(source, source.image_ids, training)
        return {image_id: entry.num_total for image_id, entry in found.items()}

    own: tuple[str, ...] = ()
    if config.only_annotated:
        source, own = _annotated(source, config, count())
    ids, notes = splits.split_ids(source, config, seed, count)
    splits.check_disjoint(*ids)
    if not ids[0]:
        raise errors.DataError(
            f"{config.root}: no images to train on; set --config.data.train_ids"
        )
    train, val, test = ids
    labels = Labels(config.marked_share)
    val_source = drawn.sampled(source, config.val_keep_rate, config.keep_seed)
    val_split = Split(val_source, val, evaluation, labels=labels)
    test_split = Split(source, test, evaluation, labels=labels)
    if not config.threshold_share:
        train_split = Split(source, train, training, surveyor)
        return Sets(train_split, val_split, test_split, (*own, *notes))
    limits.require(
        not val,
        f"data.threshold_share={config.threshold_share}: the {len(val)} validation "
        "images choose the threshold already: drop this key, or have no validation "
        "images, by --config.data.train_ids and test_ids alone (generated ones: "
        "--config.data.synthetic_val=0)",
    )
    withheld = drawn.withheld(source, training)
    train_split = Split(drawn.hidden(source, training), train, training, surveyor)
    held = Split(withheld, train, evaluation, labels=labels._replace(withheld=True))
    return Sets(train_split, val_split, test_split, (*own, *notes), held)


def _annotated(
    source: Source, config: DataConfig, counts: Mapping[str, int]
) -> tuple[Source, tuple[str, ...]]:
    """The source's images with annotated cells, and a line if some have none."""
    kept = tuple(image_id for image_id in source.image_ids if counts[image_id])
    num_left = len(source.image_ids) - len(kept)
    if not num_left:
        return source, ()
    if not kept:
        raise errors.DataError(
            f"{config.root}: none of {num_left} images has an annotated cell; check "
            "--config.data.classes"
        )
    note = (
        f"{config.root}: {num_left} of {len(source.image_ids)} images have no annotated"
        " cell and are left out; --config.data.only_annotated=false takes them"
    )
    return dataclasses.replace(source, image_ids=kept), (note,)


def open_for_evaluation(
    config: DataConfig, seed: int, *, whole: bool, survey_file: Path | None = None
) -> Split:
    """The images to evaluate on: the test images, else the validation images.

    With `whole` all of a folder that training never saw, or its `data.test_ids`.
    """
    if whole:
        source, labels = open_source(config), Labels(config.marked_share)
        ids = source.image_ids
        if config.test_ids:
            ids = splits.select_ids(ids, config.test_ids, key="data.test_ids")
        return Split(source, ids, evaluation_spec(config), labels=labels)
    opened = open_sets(config, seed, survey_file)
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


def _training_spec(config: DataConfig, num_classes: int) -> ExampleSpec:
    """The same for training, which loses annotations and gets wrong ones."""
    return dataclasses.replace(
        evaluation_spec(config),
        training=True,
        keep_rate=config.keep_rate,
        keep_one=config.keep_one,
        keep_seed=config.keep_seed,
        withheld=config.threshold_share,
        flip_labels=config.flip_labels,
        jitter_px=config.jitter_px,
        corrupt_seed=config.corrupt_seed,
        num_classes=num_classes,
    )


def load_train(split: Split, track: Track[str] | None = None) -> TrainSet:
    """Decodes a training split into memory, once; none annotated is a `DataError`."""
    source, spec = split.source, split.spec
    surveyor = split.surveyor or Surveyor()
    entries, colors = [], []
    looked_at = set(looks.sample(split.image_ids))

    def examples() -> Iterator[Example]:
        for record in _records(split, track, "training images"):
            if record.image_id in looked_at:
                colors.append(looks.mean_rgb(record.image, spec.intensity))
            entries.append(surveyor.add(source, record, spec))
            yield prepare(record, spec)

    images = arrays.stack(examples(), len(split.image_ids))
    surveyor.save()
    found = total(entries, len(source.class_names), spec, split.slots)
    images = arrays.with_slots(images, found.num_slots)
    return TrainSet(images, found, looks.look_of(colors))


def look(split: Split) -> looks.Look | None:
    """What a split's images look like; decodes some of them."""
    records = map(split.source.load, looks.sample(split.image_ids))
    intensity = split.spec.intensity
    return looks.look_of([looks.mean_rgb(one.image, intensity) for one in records])


def survey(split: Split, track: Track[str] | None = None) -> Survey:
    """Counts and sizes of a training split; none annotated is a `DataError`."""
    source, spec = split.source, split.spec
    found = (split.surveyor or Surveyor()).look(source, split.image_ids, spec, track)
    entries = list(found.values())
    return total(entries, len(source.class_names), spec, split.slots)


def load_eval(split: Split, track: Track[str] | None = None) -> EvalSet | None:
    """Loads a split; None if empty. Over `data.max_cells` cells are a `DataError`."""
    if not split.image_ids:
        return None
    scales, sizes, groups, mpps = [], [], [], set()

    def examples() -> Iterator[Example]:
        for record in _records(split, track, "evaluation images"):
            example = prepare(record, split.spec)
            scales.append(example.scale_yx)
            sizes.append(record.image.shape[:2])
            groups.append(record.group)
            mpps.add(split.spec.mpp or record.mpp or 0.0)
            yield example

    images = arrays.stack(examples(), len(split.image_ids))
    return EvalSet(
        images,
        split.image_ids,
        tuple(groups),
        np.stack(scales),
        np.asarray(sizes),
        mpps.pop() if len(mpps) == 1 else 0.0,
    )


def _records(split: Split, track: Track[str] | None, what: str) -> Iterable[Record]:
    ids: Sequence[str] = split.image_ids
    for image_id in track(ids, what) if track else ids:
        yield split.source.load(image_id)


def repair_lines(repairs: Counter[str]) -> tuple[str, ...]:
    """What readers had to repair, one line each, for printing."""
    return tuple(f"images read: {n} {what}" for what, n in sorted(repairs.items()))
