"""The tf.data pipeline: the batches of array mode, prepared while they are trained on.

For sets too large for memory. Batches are those of `arrays.train_batches`, bit for bit,
for any number of processes and after any restart; each process reads only its part.
"""

import atexit
from collections.abc import Callable, Generator, Sequence
import contextlib
import functools
from typing import Any, ParamSpec, TypeVar
import weakref

import numpy as np

from cellrec_jax import errors
from cellrec_jax.data import arrays
from cellrec_jax.data.cores import num_cores
from cellrec_jax.data.example import Example, ExampleSpec, prepare
from cellrec_jax.data.record import Source
from cellrec_jax.types import Batch

AHEAD = 2
"""Batches made before they are asked for."""

_P = ParamSpec("_P")
_T = TypeVar("_T")
_open: weakref.WeakSet[Generator[Any, None, None]] = weakref.WeakSet()


def closed_at_exit(
    function: Callable[_P, Generator[_T, None, None]],
) -> Callable[_P, Generator[_T, None, None]]:
    """Makes `function`'s generators close before Python ends.

    Else tf.data's threads, frozen with locks held (h5py's), would hang the program.
    """

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> Generator[_T, None, None]:
        generator = function(*args, **kwargs)
        _open.add(generator)
        return generator

    return call


@atexit.register
def _close_all() -> None:
    for generator in list(_open):
        with contextlib.suppress(ValueError):  # a thread is inside: it cannot be closed
            generator.close()


@closed_at_exit
def train_batches(
    source: Source,
    image_ids: Sequence[str],
    spec: ExampleSpec,
    order: arrays.Order,
    start_step: int = 0,
    num_parallel: int = 0,
    cache: bool = False,
) -> Generator[Batch, None, None]:
    """Yields this process's part of every global batch, for ever, as NumPy arrays.

    As `arrays.train_batches` of a set stacked in the order of `image_ids`.
    `num_parallel` images are prepared at a time, 0: as many as there are cores. `cache`
    keeps them in memory, so that each is made once, in image_ids * H * W * (C + 1)
    bytes for 8-bit images, each process at most.

    An image that cannot be used is a `DataError` when its batch is reached, and so are
    several number types, which only array mode can bring together.
    """
    positions = order.positions()
    preparer = _Preparer(source, image_ids, spec, cache)

    tf = import_tensorflow()
    dataset = index_dataset(len(image_ids), order, start_step)
    dataset = _map(tf, dataset, preparer, preparer.dtypes, num_parallel or num_cores())
    for values in dataset.batch(len(positions)).prefetch(AHEAD).as_numpy_iterator():
        yield _batch(preparer.unpack(values), positions)


def index_dataset(num: int, order: arrays.Order, start_step: int) -> Any:
    """A tf.data set of the images of a process, step by step: int64 [] each."""
    tf = import_tensorflow()
    positions = order.positions()

    def local_indices(step: np.int64) -> np.ndarray:
        return arrays.batch_indices(num, order, int(step))[positions]

    steps = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
    return _map(tf, steps, local_indices, tf.int64, 1).unbatch()


class _Preparer:
    """Makes examples inside tf.data, where only arrays of known types can be returned.

    An error is kept here, as tf.data would make it a traceback: a failed example stands
    in, and `unpack` raises it there.
    """

    def __init__(
        self, source: Source, image_ids: Sequence[str], spec: ExampleSpec, cache: bool
    ) -> None:
        if not image_ids:
            raise errors.DataError(
                "no images to make batches of: name a set that has some"
            )
        self._source, self._image_ids, self._spec = source, tuple(image_ids), spec
        self._template = prepare(source.load(image_ids[0]), spec)
        self._cached, self._keep = {0: self._template}, cache
        self._errors: dict[int, Exception] = {}

    @property
    def dtypes(self) -> list[np.dtype]:
        """Types of what `__call__` returns."""
        return [array.dtype for array in (*self._template, np.int64(-1))]

    def __call__(self, index: np.int64) -> list[Any]:
        """The arrays of one example, and its index if it failed, else -1."""
        try:
            return [*self._example(int(index)), np.int64(-1)]
        except Exception as error:  # whatever it is, `unpack` raises it
            self._errors[int(index)] = error
            return [*self._template, index]

    def unpack(self, values: Sequence[np.ndarray]) -> Example:
        """Names the arrays of `__call__`, batched or not; raises what it caught."""
        fields: Any = values[:-1]
        for index in np.ravel(values[-1]):
            if index >= 0:
                raise self._errors[int(index)]
        return Example(*fields)

    def _example(self, index: int) -> Example:
        take = self._cached.get if self._keep else self._cached.pop
        if (known := take(index, None)) is not None:
            return known
        image_id = self._image_ids[index]
        example = prepare(self._source.load(image_id), self._spec)
        wanted = self._template.image
        if (example.image.dtype, example.image.shape) != (wanted.dtype, wanted.shape):
            raise errors.DataError(
                f"{image_id} gives {example.image.dtype} {example.image.shape} where "
                f"{self._image_ids[0]} gives {wanted.dtype} {wanted.shape}: use "
                "data.intensity=percentile or data.loader=arrays"
            )
        if self._keep:
            self._cached[index] = example
        return example


def _batch(batched: Example, positions: np.ndarray) -> Batch:
    """Makes a batch of examples that tf.data has stacked."""
    fields: dict[str, Any] = {
        name: getattr(batched, name, None) for name in Batch._fields
    }
    fields["image_mask"] = np.ones(len(positions), bool)
    fields["example_index"] = positions.astype(np.int32)
    fields["maps"] = batched.maps if batched.maps.size else None
    fields["trust"] = batched.trust if batched.trust.size else None
    return Batch(**fields)


def _map(tf: Any, dataset: Any, function: Any, dtypes: Any, num_parallel: int) -> Any:
    """Maps a NumPy function over a data set of integers, in order."""

    @tf.autograph.experimental.do_not_convert
    def call(index: Any) -> Any:
        return tf.numpy_function(function, [index], dtypes)

    return dataset.map(call, num_parallel_calls=num_parallel, deterministic=True)


def import_tensorflow() -> Any:
    """Imports TensorFlow for the host alone: the accelerator's memory is JAX's."""
    import tensorflow as tf

    # Raised if TensorFlow has been used before: then its devices cannot change.
    with contextlib.suppress(RuntimeError):
        tf.config.set_visible_devices([], "GPU")
    return tf
