"""What matching adds to a training step: the time that nothing else hides.

A step of a small convolutional network whose outputs are matched with cells and give
the losses of point annotation, with its gradient. "none" is told the pairs.
"""

from collections.abc import Callable, Iterator, Sequence
import functools
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax.bench import kernel
from cellrec_jax.bench import matching as matching_bench
from cellrec_jax.bench.report import Report, Row, Settings
from cellrec_jax.losses import matched
from cellrec_jax.ops import matching

_BATCH = 4
_CHANNELS = 32
_NUM_CLASSES = 4
_OUTPUTS = 2 + 2 + _NUM_CLASSES  # offsets, objectness, classes
_ANCHORS = 4  # in a feature cell


def run(settings: Settings, say: Callable[[str], None]) -> Report:
    """Times a step with each way to match.

    Args:
      settings: `sizes` and `batch_size` as for `bench.matching`.
      say: told what is being measured.
    """
    batch = settings.batch_size or _BATCH
    sizes = matching_bench.chosen_sizes(settings)
    cases = (case(*size, batch) for size in sizes)
    found = kernel.measure("matching_step", cases, settings, say, x="proposals")
    return found.with_notes(*_added(found.rows))


def _added(rows: Sequence[Row]) -> Iterator[str]:
    """What each way to match adds to the step, in words."""
    alone = {row["proposals"]: row for row in rows if row["contestant"] == "none"}
    for row in rows:
        if row["contestant"] != "none" and row["proposals"] in alone:
            added = row["median_ms"] - alone[row["proposals"]]["median_ms"]
            yield (
                f"{row['proposals']} proposals, {row['cells']} cells, batch "
                f"{row['batch']}: {row['contestant']} adds {added:.1f} ms to a step"
            )


def case(num_proposals: int, num_cells: int, batch: int) -> kernel.Case:
    """One size; every way must give the same loss and gradient."""
    grid_hw = _grid(max(1, num_proposals // _ANCHORS))
    pixels = grid_hw[0] * grid_hw[1]
    num_proposals = _ANCHORS * pixels
    draw = functools.cache(lambda: _inputs(num_proposals, num_cells, batch, grid_hw))
    kernels = 9 * (3 * _CHANNELS + 2 * _CHANNELS**2 + _CHANNELS * _ANCHORS * _OUTPUTS)
    contestants = {
        name: kernel.jitted(
            functools.partial(_step, backend=name),
            moved_bytes=4.0 * batch * 3 * pixels,
            flops=6.0 * batch * pixels * kernels,  # forward, and twice that back
        )
        for name in ("none", "device", "host")
    }
    return kernel.Case(
        point={"proposals": num_proposals, "cells": num_cells, "batch": batch},
        inputs=draw,
        contestants=contestants,
        expected=jax.jit(functools.partial(_step, backend="none")),
        against="none",
        direction=kernel.BOTH,
        tolerance=1e-3,
    )


def _grid(num_cells: int) -> tuple[int, int]:
    """Height and width whose product this is, as equal as can be."""
    height = max(h for h in range(1, math.isqrt(num_cells) + 1) if num_cells % h == 0)
    return height, num_cells // height


def _inputs(
    num_proposals: int, num_cells: int, batch: int, grid_hw: tuple[int, int]
) -> tuple[Any, ...]:
    images = matching_bench.scene(1, num_proposals, num_cells, batch)
    rng = np.random.default_rng(2)
    widths = (3, _CHANNELS, _CHANNELS, _CHANNELS, _ANCHORS * _OUTPUTS)
    params = [
        (rng.normal(size=(3, 3, i, o)) * (2 / 9 / i) ** 0.5).astype(np.float32)
        for i, o in itertools.pairwise(widths)
    ]
    features = rng.normal(size=(batch, *grid_hw, 3)).astype(np.float32)
    cells = tuple(map(jnp.asarray, images[3:]))
    arguments = (params, features, images.points_yx, *cells)
    heads = jax.jit(_heads)(*arguments[:3])
    return (*arguments, _match(*heads, *cells, backend="device"))


def _heads(
    params: list[jax.Array], features: jax.Array, anchors_yx: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Proposals [B, M, 2], their objectness logits and class logits."""
    for index, weights in enumerate(params):
        features = jax.lax.conv_general_dilated(
            features if index == 0 else jax.nn.relu(features),
            weights,
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
    outputs = features.reshape(len(features), -1, _OUTPUTS)
    return anchors_yx + outputs[..., :2], outputs[..., 2:4], outputs[..., 4:]


def _match(
    points_yx: jax.Array,
    objectness: jax.Array,
    classes: jax.Array,
    *cells: jax.Array,
    backend: str,
) -> jax.Array:
    probs = jax.nn.softmax(objectness)[..., 0], jax.nn.softmax(classes)
    return matching.match(points_yx, *probs, *cells, backend=backend).proposal_idx


def _step(
    params: list[jax.Array],
    features: jax.Array,
    anchors_yx: jax.Array,
    true_yx: jax.Array,
    labels: jax.Array,
    cell_mask: jax.Array,
    proposal_idx: jax.Array,
    *,
    backend: str,
) -> tuple[jax.Array, list[jax.Array]]:
    """Loss and gradient."""

    def loss(params: list[jax.Array]) -> jax.Array:
        heads = _heads(params, features, anchors_yx)
        cells = true_yx, labels, cell_mask
        found = proposal_idx
        if backend != "none":
            found = _match(*heads, *cells, backend=backend)
        losses = jax.vmap(matched.matched_losses)(*heads, true_yx, labels, found)
        return matched.total_loss(losses)[0]

    return jax.value_and_grad(loss)(params)
