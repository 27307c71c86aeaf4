"""Both loaders give the same batches; the choice follows size and what is installed."""

import dataclasses
import importlib.util

import numpy as np
from PIL import Image
import pytest

from cellrec_jax import errors
from cellrec_jax.data import arrays, example, feed, sets
from cellrec_jax.data.builders import __main__ as builders


def _with(experiment, **changes):
    data = dataclasses.replace(experiment.data, **changes)
    return dataclasses.replace(experiment, data=data)


def _split(number, dtype=np.uint8):
    """Images of 64 x 128 px: 32 KiB in 8 bits, 104 KiB in 16."""
    images = [np.zeros((64, 128, 3), dtype)] * number
    source = arrays.from_arrays(images, [np.ones((1, 2), np.float32)] * number)
    return sets.Split(source, source.image_ids, example.ExampleSpec((64, 128)))


@pytest.mark.parametrize(
    ("dtype", "number", "loader"),
    [
        (np.uint8, 32, "arrays"),
        (np.uint8, 33, "tf"),
        (np.uint16, 9, "arrays"),
        (np.uint16, 10, "tf"),
    ],
)
def test_arrays_while_they_fit(tiny_experiment, dtype, number, loader):
    tight = _with(tiny_experiment, device_mib=1)
    split = _split(number, dtype)
    assert feed.choose_loader(tight, split) == loader
    assert feed.choose_loader(_with(tight, loader="arrays"), split) == "arrays"
    images = sets.load_train(split).images
    held = images.image.nbytes + images.valid.nbytes
    assert (held <= 2**20) == (loader == "arrays")


def test_without_tensorflow_arrays_are_taken_or_it_is_named(
    tiny_experiment, monkeypatch
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    split = _split(33)
    assert feed.choose_loader(_with(tiny_experiment, device_mib=1), split) == "arrays"
    with pytest.raises(errors.ConfigError, match="tensorflow-cpu"):
        feed.choose_loader(_with(tiny_experiment, loader="tf"), split)


@pytest.mark.slow
def test_loaders_give_equal_batches(tiny_experiment):
    experiment = _with(tiny_experiment, keep_rate=0.5)
    opened = sets.open_sets(experiment.data, 0)
    feeds = [
        feed.open_feed(_with(experiment, loader=name), opened.train)
        for name in ("arrays", "tf")
    ]
    one, two = (found.seen for found in feeds)
    np.testing.assert_array_equal(one.native_hw, two.native_hw)
    assert one._replace(native_hw=0) == two._replace(native_hw=0)
    streams = [f.stream.batches(3) for f in feeds]
    for _ in range(3):
        one, two = (next(stream) for stream in streams)
        for a, b in zip(one, two, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize(
    ("intensity", "noted"), [("auto", False), ("percentile", True)]
)
def test_pixels_of_shards_are_read_by_tensorflow_where_they_can(
    tiny_experiment, tmp_path, intensity, noted
):
    """The same batches either way; a line says where they cannot."""
    pytest.importorskip("tensorflow_datasets")
    (tmp_path / "in" / "images").mkdir(parents=True)
    (tmp_path / "in" / "labels").mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 255, (16, 24, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / "images" / f"{i}.png")
        table = tmp_path / "in" / "labels" / f"{i}.csv"
        table.write_text(
            "\n".join(["x,y", *(f"{3 + k},{4 + i}" for k in range(i + 1))])
        )
    root = builders.build(str(tmp_path / "in"), str(tmp_path / "out"), encoding="raw")
    keys = {"root": root, "train_ids": "0-2", "size_hw": (16, 24), "crop_hw": (0, 0)}
    experiment = _with(tiny_experiment, **keys, classes="", intensity=intensity)
    split = sets.open_sets(experiment.data, 0).train
    feeds = [
        feed.open_feed(_with(experiment, loader=name), split)
        for name in ("arrays", "tf")
    ]
    assert bool(feeds[1].notes) == noted
    assert feeds[0].seen.num_slots == feeds[1].seen.num_slots
    streams = [f.stream.batches(2) for f in feeds]
    for _ in range(2):
        for a, b in zip(*(next(stream) for stream in streams), strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
