"""A stream of arrays says where on the device its own batches lie."""

import jax
import numpy as np

from cellrec_jax.data import arrays, example, stream
from cellrec_jax.data.synthetic import source as synthetic

SPEC = example.ExampleSpec(size_hw=(16, 24), max_cells=8)


def _stacked():
    records = (synthetic.make_image(0, i, size_hw=(16, 24)) for i in range(5))
    return arrays.stack([example.prepare(record, SPEC) for record in records])


def test_rows_are_those_of_the_batches():
    held = arrays.to_device(_stacked(), 10**9)
    for process in (0, 1):
        made = stream.of_arrays(held, arrays.Order(4, 3, process, 2))
        images, positions = made.rows(range(2, 5))
        assert (images.shape, positions.tolist()) == (
            (3, 2),
            [2 * process, 1 + 2 * process],
        )
        for batch, index in zip(made.batches(2), images, strict=False):
            np.testing.assert_array_equal(batch.example_index, positions)
            taken = jax.tree.map(lambda array, index=index: array[index], made.held)
            np.testing.assert_array_equal(batch.image, taken.image)
            np.testing.assert_array_equal(batch.points_yx, taken.points_yx)


def test_what_the_device_does_not_hold_has_no_rows():
    made = stream.of_arrays(_stacked(), arrays.Order(2, 0))
    assert (made.held, made.rows) == (None, None)
    assert isinstance(next(made.batches(0)).image, np.ndarray)
