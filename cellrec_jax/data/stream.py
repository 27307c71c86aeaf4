"""An endless stream of training batches, and how a device makes them by itself."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from cellrec_jax.data import arrays
from cellrec_jax.types import Batch


class Stream(NamedTuple):
    """An endless stream of training batches, this process's part of them."""

    batches: Callable[[int], Iterator[Batch]]
    """First step -> the batches from there on."""
    held: Batch | None = None
    """All images, where a device holds them."""
    rows: Callable[[range], tuple[np.ndarray, np.ndarray]] | None = None
    """Steps -> where in `held` the images of each are, i32 [steps, b], and their
    positions in the global batch, i32 [b]."""


def of_arrays(images: Batch, order: arrays.Order) -> Stream:
    """A stream of a whole set, stacked."""

    def batches(start_step: int) -> Iterator[Batch]:
        return arrays.train_batches(images, order, start_step)

    if not isinstance(images.image, jax.Array):
        return Stream(batches)

    def rows(steps: range) -> tuple[np.ndarray, np.ndarray]:
        return arrays.rows(len(images.labels), steps, order)

    return Stream(batches, images, rows)
