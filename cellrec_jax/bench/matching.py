"""One-to-one matching: both backends, optax in the graph, and what others write.

The peer is P2PNet's way: all costs of an image by `cdist`, then SciPy, image by image
(PyTorch's `cdist` where it is installed, else SciPy's). Cells lie all over the image
("scattered"), or in a tenth of it, denser than the proposals ("crowded").
"""

from collections.abc import Callable, Sequence
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import optimize, spatial

from cellrec_jax.bench import kernel, timing
from cellrec_jax.bench.report import Report, Settings
from cellrec_jax.ops import matching

SIZES = ((1024, 128), (5120, 300), (10_200, 1000))  # proposals, cells
BATCHES = (1, 4, 16)
_PX_A_PROPOSAL = 1024 / 5  # five anchor points in 32 x 32 px
_CROWD = 0.3  # of each side
_NUM_CLASSES = 4
_COST_FLOPS = 8  # of one pair


class Scene(NamedTuple):
    """Arguments of `matching.match`, in its order."""

    points_yx: np.ndarray
    objectness: np.ndarray
    class_probs: np.ndarray
    true_yx: np.ndarray
    labels: np.ndarray
    cell_mask: np.ndarray


def run(settings: Settings, say: Callable[[str], None]) -> Report:
    """Times all ways to match.

    Args:
      settings: `sizes` are numbers of proposals, for the cells of `SIZES` or an
        eighth as many; `batch_size` images.
      say: told what is being measured.
    """
    sizes = chosen_sizes(settings)
    batches = (settings.batch_size,) if settings.batch_size else BATCHES
    cases = (
        case(num_proposals, num_cells, batch, crowded)
        for num_proposals, num_cells in sizes
        for batch in batches
        for crowded in (False, True)
        if not crowded or batch == batches[min(1, len(batches) - 1)]
    )
    return kernel.measure("matching", cases, settings, say, x="proposals")


def chosen_sizes(settings: Settings) -> Sequence[tuple[int, int]]:
    """Numbers of proposals and cells, by the settings or `SIZES`."""
    cells = dict(SIZES)
    return [(n, cells.get(n, max(1, n // 8))) for n in settings.sizes] or SIZES


def case(num_proposals: int, num_cells: int, batch: int, crowded: bool) -> kernel.Case:
    """One size: every way must reach SciPy's least total cost in every image."""
    draw = functools.cache(
        lambda: scene(0, num_proposals, num_cells, batch, crowded=crowded)
    )
    scores_bytes = 4.0 * num_proposals * (3 + _NUM_CLASSES)
    moved_bytes = batch * (scores_bytes + 16.0 * num_cells)
    flops = float(batch * _COST_FLOPS * num_proposals * num_cells)
    in_graph: dict[str, Callable[..., jax.Array]] = {
        "device": functools.partial(_indices, backend="device"),
        "host": functools.partial(_indices, backend="host"),
        "optax": _optax,
    }
    contestants = {
        name: kernel.jitted(function, moved_bytes=moved_bytes, flops=0.0)
        for name, function in in_graph.items()
    }
    contestants["cdist + scipy"] = kernel.Contestant(_peer_call, moved_bytes, flops)
    return kernel.Case(
        point={
            "proposals": num_proposals,
            "cells": num_cells,
            "batch": batch,
            "scene": "crowded" if crowded else "scattered",
        },
        inputs=lambda: tuple(draw()),
        contestants=contestants,
        expected=lambda *_: _totals(draw(), _peer(*draw(), exact=True)),
        read=lambda found: _totals(draw(), np.asarray(found)),
        against="cdist + scipy",
        tolerance=1e-5,  # PyTorch's distances in float32 are off by up to 0.04 px
        held_bytes=4.0 * batch * num_proposals * num_cells,
    )


def scene(
    seed: int, num_proposals: int, num_cells: int, batch: int, *, crowded: bool = False
) -> Scene:
    """Random proposals with random scores, and random cells."""
    rng = np.random.default_rng(seed)
    side = (num_proposals * _PX_A_PROPOSAL) ** 0.5
    span = side * (_CROWD if crowded else 1.0)
    probs = rng.dirichlet(np.ones(_NUM_CLASSES), (batch, num_proposals))
    return Scene(
        points_yx=rng.uniform(0, side, (batch, num_proposals, 2)).astype(np.float32),
        objectness=rng.uniform(0, 1, (batch, num_proposals)).astype(np.float32),
        class_probs=probs.astype(np.float32),
        true_yx=rng.uniform(0, span, (batch, num_cells, 2)).astype(np.float32),
        labels=rng.integers(0, _NUM_CLASSES, (batch, num_cells)).astype(np.int32),
        cell_mask=np.ones((batch, num_cells), bool),
    )


def _indices(*args: Any, backend: str) -> jax.Array:
    return matching.match(*args, backend=backend).proposal_idx


def _optax(*args: Any) -> jax.Array:
    def one_image(*image: jax.Array) -> jax.Array:
        cost = matching.matching_cost(*image)
        cells, proposals = optax.assignment.hungarian_algorithm(cost)
        return jnp.zeros(len(cost), jnp.int32).at[cells].set(proposals)

    return jax.vmap(one_image)(*args[:5])


def _peer_call(*args: Any) -> timing.Call:
    images = Scene(*map(np.array, args))  # PyTorch wants to be able to write
    return timing.Call(lambda: _peer(*images))


def _peer(
    points_yx: np.ndarray,
    objectness: np.ndarray,
    class_probs: np.ndarray,
    true_yx: np.ndarray,
    labels: np.ndarray,
    cell_mask: np.ndarray,
    *,
    exact: bool = False,
) -> np.ndarray:
    """All costs, image by image; i64 [B, N]. `exact` is in float64 throughout."""
    del cell_mask  # no cell is padded here
    distances = spatial.distance.cdist if exact else _distances
    found = np.zeros(labels.shape, np.int64)
    for image, (points, cells) in enumerate(zip(points_yx, true_yx, strict=True)):
        cost = 0.05 * distances(points, cells)
        cost -= objectness[image][:, None] + class_probs[image][:, labels[image]]
        proposals, order = optimize.linear_sum_assignment(cost)
        found[image, order] = proposals
    return found


def _distances(points_yx: np.ndarray, cells_yx: np.ndarray) -> np.ndarray:
    if not kernel.has_torch():
        return spatial.distance.cdist(points_yx, cells_yx)
    import torch

    both = torch.from_numpy(points_yx), torch.from_numpy(cells_yx)
    return torch.cdist(*both).numpy()


def _totals(images: Scene, found: np.ndarray) -> np.ndarray:
    """Total cost of each image, f64 [B]; NaN where two cells share a proposal."""
    totals = np.zeros(len(found))
    for image, proposals in enumerate(found):
        offsets = images.points_yx[image][proposals] - images.true_yx[image]
        cost = 0.05 * np.linalg.norm(offsets.astype(np.float64), axis=1)
        cost -= images.objectness[image][proposals]
        cost -= images.class_probs[image][proposals, images.labels[image]]
        once = len(np.unique(proposals)) == len(proposals) and proposals.min() >= 0
        totals[image] = cost.sum() if once else np.nan
    return totals
