import dataclasses
import itertools
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data import arrays, example, pipeline
from cellrec_jax.data.record import Source, changed
from cellrec_jax.types import Batch

NUM = 5
SPEC = example.ExampleSpec(size_hw=(12, 16), max_cells=6, box_size=4.0, keep_rate=0.5)


def make_source(dtypes=(np.uint8,) * NUM) -> Source:
    """Noise of 24 x 48 px; image i has i + 3 cells of two classes."""
    rng = np.random.default_rng(7)
    images, points_yx, labels = [], [], []
    for i, dtype in enumerate(dtypes):
        limit = np.iinfo(dtype).max
        images.append(rng.integers(0, limit, (24, 48, 3), dtype=dtype))
        points_yx.append(rng.uniform(0, (24, 48), (i + 3, 2)))
        labels.append(np.arange(i + 3) % 2)
    return arrays.from_arrays(images, points_yx, labels, class_names=("a", "b"))


def stack(source: Source, spec: example.ExampleSpec = SPEC) -> Batch:
    return arrays.stack(
        [example.prepare(source.load(i), spec) for i in source.image_ids]
    )


def first(batches, num: int) -> list[Batch]:
    return list(itertools.islice(batches, num))


def assert_equal(left: Batch, right: Batch) -> None:
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def paint(one: example.Example) -> np.ndarray:
    """Two maps of the brightness and of the number of cells."""
    bright = one.image.max(axis=2).astype(np.uint8)
    return np.stack([bright, np.full_like(bright, one.points_mask.sum())], axis=2)


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("painter", [None, paint])
def test_gives_the_batches_of_array_mode(dtype, cache, painter):
    source, spec = make_source((dtype,) * NUM), SPEC
    spec = dataclasses.replace(spec, paint=painter)
    expected = first(arrays.train_batches(stack(source, spec), arrays.Order(4, 3)), 6)
    assert (expected[0].maps is None) == (painter is None)
    batches = pipeline.train_batches(
        source, source.image_ids, spec, arrays.Order(4, 3), cache=cache
    )
    got = first(batches, 6)  # almost five epochs
    for batch, wanted in zip(got, expected, strict=True):
        assert isinstance(batch.image, np.ndarray)
        assert_equal(batch, wanted)


def test_two_processes_and_a_resumed_run_give_the_same_batches():
    source = make_source()
    whole = first(arrays.train_batches(stack(source), arrays.Order(4, 1)), 5)
    parts = [
        first(
            pipeline.train_batches(
                source,
                source.image_ids,
                SPEC,
                arrays.Order(4, 1, process, 2),
                start_step=2,
                num_parallel=3,
            ),
            3,
        )
        for process in range(2)
    ]
    for step in range(3):
        both = [parts[process][step] for process in range(2)]
        joined = jax.tree.map(lambda *leaves: np.concatenate(leaves), *both)
        assert_equal(joined, whole[2 + step])


def test_errors_surface_as_they_are_when_their_batch_is_reached():
    source = make_source()
    broken = source.image_ids[arrays.batch_indices(NUM, arrays.Order(1, 0), 3)[0]]

    def load(image_id: str):
        if image_id == broken:
            raise errors.DataError(f"{image_id}.png is damaged: restore it")
        return source.load(image_id)

    spied = Source(source.format, source.class_names, source.image_ids, load)
    assert broken != source.image_ids[0]  # which is read at once, to learn the types
    batches = pipeline.train_batches(spied, source.image_ids, SPEC, arrays.Order(1, 0))
    assert len(first(batches, 3)) == 3
    with pytest.raises(errors.DataError) as caught:
        next(batches)
    assert str(caught.value) == f"{broken}.png is damaged: restore it"


def test_refuses_mixed_number_types():
    source = make_source((np.uint8, np.uint16))
    with pytest.raises(errors.DataError, match="000001 gives float32"):
        first(
            pipeline.train_batches(
                source, source.image_ids, SPEC, arrays.Order(NUM, 0)
            ),
            1,
        )


def test_refuses_unequal_parts():
    source = make_source()
    with pytest.raises(errors.ConfigError, match="not a multiple of the 2 processes"):
        next(
            pipeline.train_batches(
                source, source.image_ids, SPEC, arrays.Order(3, 0, 0, 2)
            )
        )


AT_EXIT = """
import atexit, threading, time

reading = threading.Lock()
# Runs after the pipeline's own handler, as it is registered before.
atexit.register(lambda: print("reading" if reading.locked() else "at rest"))

import numpy as np
from cellrec_jax.data import arrays, example, pipeline
from cellrec_jax.data.record import Source

image = np.zeros((9, 14, 3), np.uint8)
source = arrays.from_arrays([image] * 3, [[[2.5, 3.5]]] * 3)


def load(image_id):
    with reading:
        time.sleep(0.2)
        return source.load(image_id)


slow = Source("slow", ("cell",), source.image_ids, load)
spec = example.ExampleSpec(size_hw=(9, 14), max_cells=1)
batches = pipeline.train_batches(slow, slow.image_ids, spec, arrays.Order(1, 0))
next(batches)
"""


@pytest.mark.slow
def test_nothing_is_read_when_python_ends():
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (done.returncode, done.stdout) == (0, "at rest\n"), done.stderr


def test_closing_stops_the_reading():
    source = make_source()
    read: list[str] = []

    def load(image_id: str):
        read.append(image_id)
        return source.load(image_id)

    spied = Source(source.format, source.class_names, source.image_ids, load)
    batches = pipeline.train_batches(spied, source.image_ids, SPEC, arrays.Order(1, 0))
    next(batches)
    batches.close()
    num_read = len(read)
    time.sleep(0.1)
    assert len(read) == num_read


def test_trust_goes_with_its_cells():
    source = make_source()

    def doubt(record):
        trust = np.where(record.labels == 1, 0.25, 1.0).astype(np.float32)
        return dataclasses.replace(record, trust=trust)

    source, order = changed(source, doubt), arrays.Order(3, seed=0)
    expected = first(arrays.train_batches(stack(source), order), 2)
    batches = pipeline.train_batches(source, source.image_ids, SPEC, order)
    for got, wanted in zip(first(batches, 2), expected, strict=True):
        assert_equal(got, wanted)
        cells = got.points_mask
        np.testing.assert_array_equal(
            got.trust[cells], np.where(got.labels[cells] == 1, 0.25, 1)
        )
