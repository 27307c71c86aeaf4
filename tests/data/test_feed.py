"""Both loaders give the same batches; the choice follows size and what is installed."""

import dataclasses
import importlib.util

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data import arrays, example, feed, sets


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
