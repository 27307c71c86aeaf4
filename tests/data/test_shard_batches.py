"""Batches that TensorFlow reads from shards are those of array mode."""

import dataclasses
import itertools
from pathlib import Path

import jax
import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data import (
    arrays,
    cell_table,
    drawn,
    example,
    readers,
    sets,
    shard_batches,
)
from cellrec_jax.data.readers import prepared
from cellrec_jax.data.record import Record, Source
from cellrec_jax.types import Batch

pytest.importorskip("tensorflow_datasets")

NUM = 5
HW = (24, 48)
SPEC = example.ExampleSpec(size_hw=HW, max_cells=6, box_size=4.0, keep_rate=0.5)


def make_source(dtype=np.uint8, sizes=(HW,) * NUM) -> Source:
    """Smooth images; image i has i + 3 cells of two classes, image 1 ignores a part."""

    def load(image_id: str) -> Record:
        i = int(image_id)
        rng = np.random.default_rng(i)
        height, width = sizes[i]
        rows, columns = np.mgrid[:height, :width] / 7
        planes = [np.sin(rows + k + i) + np.cos(columns - k) for k in range(3)]
        limit = np.iinfo(dtype).max
        pixels = (np.stack(planes, 2) + 2) / 4 * limit
        ignore = (rows + columns > 5) if i == 1 else None
        return Record(
            image_id,
            np.clip(pixels + rng.normal(0, limit / 40, pixels.shape), 0, limit).astype(
                dtype
            ),
            rng.uniform(0, sizes[i], (i + 3, 2)).astype(np.float32),
            (np.arange(i + 3) % 2).astype(np.int32),
            ignore=ignore,
        )

    return Source("test", ("a", "b"), tuple(map(str, range(NUM))), load)


def build(out: Path, source: Source, encoding: str) -> Path:
    import tensorflow_datasets as tfds

    from cellrec_jax.data.builders.annotated_folder import AnnotatedFolder

    (out / "in").mkdir(exist_ok=True, parents=True)
    (out / "in" / "file").touch()  # TFDS refuses an empty folder
    config = "auto" if encoding == "png" else f"auto_{encoding}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "open_source", lambda *_: source)
        builder = AnnotatedFolder(data_dir=out, config=config)
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=out / "in")
        )
    return Path(builder.data_dir)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Encoding -> a set of 8-bit images of one size."""
    out = tmp_path_factory.mktemp("shards")
    return {name: build(out, make_source(), name) for name in ("png", "jpeg", "raw")}


def open_split(folder: Path, spec: example.ExampleSpec = SPEC) -> sets.Split:
    source = prepared.open_prepared(str(folder))
    return sets.Split(source, source.image_ids, spec, slots=2)


def from_shards(split: sets.Split, *args, **kwargs):
    assert not shard_batches.why_not(split.source, split.spec)
    _, table = cell_table.make(split)
    assert not shard_batches.why_not_pixels(table, split.spec)
    return shard_batches.train_batches(
        split.source.shards, split.image_ids, table, split.spec, *args, **kwargs
    )


def in_memory(split: sets.Split, *args, **kwargs):
    return arrays.train_batches(sets.load_train(split).images, *args, **kwargs)


def first(batches, num: int) -> list[Batch]:
    return list(itertools.islice(batches, num))


def assert_equal(got: Batch, wanted: Batch, levels: float = 0) -> None:
    for name, a, b in zip(Batch._fields, got, wanted, strict=True):
        assert (a is None) == (b is None), name
        if a is not None:
            assert (a.dtype, a.shape) == (b.dtype, b.shape), name
            far = np.abs(a.astype(np.float64) - b.astype(np.float64)).max()
            assert far <= (levels if name == "image" else 0), name


@pytest.mark.parametrize("encoding", ["png", "jpeg", "raw"])
def test_equal_bit_for_bit_where_nothing_is_resized(folders, encoding):
    split = open_split(folders[encoding])
    got = first(from_shards(split, arrays.Order(4, 3)), 6)  # almost five epochs
    for batch, wanted in zip(got, in_memory(split, arrays.Order(4, 3)), strict=False):
        assert isinstance(batch.image, np.ndarray)
        assert_equal(batch, wanted)
    assert not all(batch.valid.all() for batch in got)


@pytest.mark.parametrize("encoding", ["png", "jpeg", "raw"])
def test_two_processes_and_a_resumed_run_give_the_same_batches(folders, encoding):
    split = open_split(folders[encoding])
    whole = first(in_memory(split, arrays.Order(4, 1)), 5)
    parts = [
        first(
            from_shards(split, arrays.Order(4, 1, i, 2), start_step=2),
            3,
        )
        for i in range(2)
    ]
    for step, both in enumerate(zip(*parts, strict=True)):
        joined = jax.tree.map(lambda *leaves: np.concatenate(leaves), *both)
        assert_equal(joined, whole[2 + step])


MIXED = ((24, 48), (30, 40), (17, 61), (80, 96), (24, 20))


@pytest.mark.parametrize("resize", ["squeeze", "pad"])
@pytest.mark.parametrize(
    ("dtype", "encoding", "intensity", "levels"),
    [
        (np.uint8, "raw", "auto", 1),
        (np.uint16, "png", "full", 1e-5),
        (np.uint16, "raw", "full", 1e-5),
    ],
)
def test_resized_within_a_grey_level(
    tmp_path, dtype, encoding, intensity, levels, resize
):
    folder = build(tmp_path, make_source(dtype, MIXED), encoding)
    spec = dataclasses.replace(SPEC, resize=resize, intensity=intensity)
    split = open_split(folder, spec)
    got = first(from_shards(split, arrays.Order(3, 0)), 4)
    for batch, wanted in zip(got, in_memory(split, arrays.Order(3, 0)), strict=False):
        assert_equal(batch, wanted, levels)


def test_annotations_are_corrupted_and_withheld_in_the_same_way(folders):
    spec = dataclasses.replace(
        SPEC, keep_rate=1.0, withheld=0.4, flip_labels=0.5, jitter_px=2, num_classes=2
    )
    split = open_split(folders["raw"], spec)
    split = split._replace(source=drawn.hidden(split.source, spec))
    got = first(from_shards(split, arrays.Order(3, 0)), 3)
    for batch, wanted in zip(got, in_memory(split, arrays.Order(3, 0)), strict=False):
        assert_equal(batch, wanted)


def test_the_survey_is_that_of_array_mode(folders):
    split = open_split(folders["raw"])
    seen, _ = cell_table.make(split)
    wanted = sets.load_train(split).survey
    np.testing.assert_array_equal(seen.native_hw, wanted.native_hw)
    assert seen._replace(native_hw=0) == wanted._replace(native_hw=0)


def test_no_pixels_are_read_for_annotations(folders, monkeypatch):
    split = open_split(folders["raw"])
    monkeypatch.setattr(prepared.shards, "read", None)
    seen, table = cell_table.make(split)
    assert seen.num_total == sum(range(3, 3 + NUM))
    assert table.shapes.tolist() == [[*HW, 3]] * NUM


def test_says_why_python_has_to_read_them(folders, tmp_path):
    split = open_split(folders["png"])
    percentile = dataclasses.replace(SPEC, intensity="percentile")
    painted = dataclasses.replace(SPEC, paint=lambda one: one.image)
    assert "percentile" in shard_batches.why_not(split.source, percentile)
    assert "maps" in shard_batches.why_not(split.source, painted)
    assert shard_batches.why_not(make_source(), SPEC)
    deep = open_split(build(tmp_path, make_source(np.uint16), "raw"))
    _, table = cell_table.make(deep)
    assert "full" in shard_batches.why_not_pixels(table, SPEC)
    mixed = table._replace(dtypes=table.dtypes | {np.dtype(np.uint8)})
    assert "differ" in shard_batches.why_not_pixels(mixed, SPEC)


def _copied(folder: Path, out: Path) -> Path:
    copy = out / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


@pytest.mark.parametrize("encoding", ["png", "jpeg", "raw"])
def test_a_damaged_record_is_named_when_its_batch_is_reached(
    folders, tmp_path, encoding
):
    split = open_split(_copied(folders[encoding], tmp_path))
    broken = split.image_ids[arrays.batch_indices(NUM, arrays.Order(1, 0), 3)[0]]
    place = split.source.shards.places[broken]
    content = bytearray(Path(place.file).read_bytes())
    content[place.offset + 12 + place.length // 2] ^= 255
    Path(place.file).write_bytes(content)
    batches = from_shards(split, arrays.Order(1, 0))
    assert len(first(batches, 3)) == 3
    with pytest.raises(errors.DataError, match=rf"'{broken}' of .*build it again"):
        next(batches)
    with pytest.raises(errors.DataError, match="build it again"):
        split.source.load(broken)


def test_a_set_that_was_built_anew_meanwhile_is_refused(folders, tmp_path):
    split = open_split(_copied(folders["raw"], tmp_path))
    batches = from_shards(split, arrays.Order(1, 0))
    anew = build(tmp_path, make_source(sizes=((26, 48),) * NUM), "raw")
    shard = Path(split.source.shards.places["0"].file)
    (other,) = anew.glob("*tfrecord*")
    shard.write_bytes(other.read_bytes())
    with pytest.raises(errors.DataError, match="built anew"):
        next(batches)


def test_an_image_of_another_place_is_refused(folders):
    split = open_split(folders["raw"])
    shards = split.source.shards
    swapped = {**shards.places, "0": shards.places["1"]}
    _, table = cell_table.make(split)
    batches = shard_batches.train_batches(
        shards._replace(places=swapped),
        split.image_ids,
        table,
        SPEC,
        arrays.Order(NUM, 0),
    )
    with pytest.raises(errors.DataError, match="'0'"):
        next(batches)
