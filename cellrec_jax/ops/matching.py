"""One-to-one matching of predicted with annotated points, of a whole batch.

"host" (SciPy) and "device" have one result, unless cells exceed proposals. Source: Shui
et al., End-to-end cell recognition by point annotation, MICCAI 2022.
"""

from collections.abc import Sequence
import functools
import logging
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cellrec_jax.ops import assignment, host_matching
from cellrec_jax.ops import platform as platforms

BACKENDS = ("host", "device", "auto")
MAX_HOST_POINTS = 25_599
"""Largest M and N of "host" on several CPU devices: arguments of 102,400 bytes or more
are copied asynchronously there, which deadlocks with the callback."""
HOST_BELOW = {"cpu": 4.0, "gpu": 0.0, "tpu": 0.0}
"""Proposals a cell below which "auto" takes the host, per platform; 0: never."""
LARGEST = 1e15
"""Largest magnitude of coordinates, scores and weights: costs stay finite in f32."""

_CANDIDATES = (8, 32)  # proposals a cell looks at, before all that can matter
_CPU_ROWS = 64  # cells whose costs are held at once on a CPU: they stay in its cache


class MatchWeights(NamedTuple):
    """Weights of the terms of the cost, numbers in 0..1e15; defaults of the paper."""

    distance: float = 0.05
    """alpha, per px."""
    objectness: float = 1.0
    class_prob: float = 1.0


class Match(NamedTuple):
    """Who was matched with whom; matched proposals are bool [B, M]."""

    proposal_idx: jax.Array
    """i32 [B, N], the proposal of each cell; -1 where padded or left over."""
    matched: jax.Array


PAPER_WEIGHTS = MatchWeights()

_LOG = logging.getLogger(__name__)


@jax.named_scope("matching")
def match(
    points_yx: jax.Array,
    objectness: jax.Array,
    class_probs: jax.Array,
    true_yx: jax.Array,
    labels: jax.Array,
    cell_mask: jax.Array,
    *,
    proposal_mask: jax.Array | None = None,
    weights: MatchWeights = PAPER_WEIGHTS,
    backend: str = "auto",
) -> Match:
    """Gives each cell its own proposal so that the total cost is least.

    A pair costs alpha * distance - objectness - its class's probability (Shui et al.
    2022, Eq. 2, weighted). No gradient. "host" cannot be in `vmap`. Cells beyond the
    proposals are left over (-1): "host" keeps the cheapest choice, "device" a valid
    one. A ValueError for another backend, or "host" above `MAX_HOST_POINTS` on several
    CPUs.

    Args:
      points_yx: [B, M, 2] proposals, px.
      objectness: [B, M] probabilities.
      class_probs: [B, M, K] probabilities.
      true_yx: [B, N, 2] annotated cells, px.
      labels: int [B, N], clipped to 0..K-1.
      cell_mask: bool [B, N].
      proposal_mask: bool [B, M]; None takes all. NaN or above `LARGEST` is masked.
      weights: static.
      backend: "host", "device" or "auto" (`choose_backend`).
    """
    if proposal_mask is None:
        proposal_mask = jnp.ones(objectness.shape, bool)
    chex.assert_rank([objectness, labels], 2)
    (batch, num_proposals), num_cells = objectness.shape, labels.shape[1]
    chex.assert_shape(points_yx, (batch, num_proposals, 2))
    chex.assert_shape(class_probs, (batch, num_proposals, None))
    chex.assert_shape(true_yx, (batch, num_cells, 2))
    chex.assert_shape(proposal_mask, (batch, num_proposals))
    chex.assert_shape([labels, cell_mask], (batch, num_cells))
    chex.assert_type([labels, cell_mask, proposal_mask], [int, bool, bool])
    proposals = (points_yx, objectness, class_probs, proposal_mask)
    cells = (true_yx, labels, cell_mask)
    if backend not in BACKENDS:
        raise ValueError(f"matching backend {backend!r}: use one of {BACKENDS}")
    problem = _drop_unreal(*jax.lax.stop_gradient((proposals, cells)))
    weights = MatchWeights(*map(float, weights))  # callbacks may not touch JAX arrays
    if 0 in (batch, num_cells, num_proposals):
        found = jnp.full((batch, num_cells), -1, jnp.int32)
    elif backend == "auto":
        found = _by_platform(*problem, weights)
    else:
        solve = _on_host if backend == "host" else _on_device
        found = solve(*problem, weights)
    return Match(found, _matched(found, num_proposals))


def _drop_unreal(
    proposals: Sequence[jax.Array], cells: Sequence[jax.Array]
) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...]]:
    """Masks what is not finite, zeros what is masked; f32, labels i32 in 0..K-1."""
    points_yx, objectness, class_probs = (
        jnp.asarray(x, jnp.float32) for x in proposals[:3]
    )
    true_yx, labels = jnp.asarray(cells[0], jnp.float32), jnp.asarray(cells[1])
    use = proposals[3] & (jnp.abs(objectness) <= LARGEST)
    use &= _all_real(points_yx) & _all_real(class_probs)
    real = cells[2] & _all_real(true_yx)
    clean = (
        jnp.where(use[..., None], points_yx, 0),
        jnp.where(use, objectness, 0),
        jnp.where(use[..., None], class_probs, 0),
        use,
    )
    labels = jnp.clip(labels.astype(jnp.int32), 0, class_probs.shape[-1] - 1)
    return clean, (jnp.where(real[..., None], true_yx, 0), labels, real)


def _all_real(values: jax.Array) -> jax.Array:
    return jnp.all(jnp.abs(values) <= LARGEST, axis=-1)  # False for NaN


def choose_backend(num_proposals: int, num_cells: int, platform: str = "cpu") -> str:
    """What "auto" takes for M proposals and N cells (padding included) of an image.

    On a "cpu", "gpu" or "tpu", by `HOST_BELOW`, which `cellrec_jax.bench apply` sets.
    """
    limit = HOST_BELOW[platform]
    if not limit:
        choice = "device", "a callback waits for the accelerator's queue"
    elif platform == "cpu" and _host_hangs(num_proposals, num_cells):
        choice = "device", f"host callbacks take {MAX_HOST_POINTS} points at most"
    elif num_proposals >= limit * num_cells:
        choice = "device", "proposals abound"
    else:
        choice = "host", "many cells compete for few proposals"
    if platform == jax.default_backend():
        _log_choice(num_proposals, num_cells, *choice)
    return choice[0]


@functools.cache
def _log_choice(num_proposals: int, num_cells: int, backend: str, why: str) -> None:
    """Once for each size, not once for each trace."""
    sizes = f"{num_proposals} proposals, {num_cells} cells"
    _LOG.info("matching backend %r for %s: %s", backend, sizes, why)


def _host_hangs(num_proposals: int, num_cells: int) -> bool:
    """Whether rows or columns are too long for callbacks; see `MAX_HOST_POINTS`."""
    several = len(jax.local_devices(backend="cpu")) > 1
    return several and max(num_proposals, num_cells) > MAX_HOST_POINTS


def matching_cost(
    points_yx: jax.Array,
    objectness: jax.Array,
    class_probs: jax.Array,
    true_yx: jax.Array,
    labels: jax.Array,
    *,
    weights: MatchWeights = PAPER_WEIGHTS,
) -> jax.Array:
    """Cost f32 [N, M] of all pairs of one image (Eq. 2 transposed); see `match`."""
    points_yx, true_yx = points_yx.astype(jnp.float32), true_yx.astype(jnp.float32)
    offset_y = true_yx[:, None, 0] - points_yx[None, :, 0]
    offset_x = true_yx[:, None, 1] - points_yx[None, :, 1]
    distance = jnp.sqrt(offset_y**2 + offset_x**2)
    score = _scores(objectness, class_probs, weights)
    return weights.distance * distance - score.T[jnp.maximum(labels, 0)]


def _scores(
    objectness: jax.Array, class_probs: jax.Array, weights: MatchWeights
) -> jax.Array:
    """What a proposal takes off the cost of each class: f32 [..., M, K]."""
    objectness, class_probs = (x.astype(jnp.float32) for x in (objectness, class_probs))
    scores = weights.objectness * objectness[..., None]
    return scores + weights.class_prob * class_probs


def _matched(proposal_idx: jax.Array, num_proposals: int) -> jax.Array:
    batch = proposal_idx.shape[0]
    image = jnp.arange(batch)[:, None]
    column = jnp.where(proposal_idx < 0, num_proposals, proposal_idx)
    matched = jnp.zeros((batch, num_proposals + 1), bool).at[image, column].set(True)
    return matched[:, :-1]


def _by_platform(
    proposals: Sequence[jax.Array], cells: Sequence[jax.Array], weights: MatchWeights
) -> jax.Array:
    """What `choose_backend` says, on the platform that it is compiled for."""
    size = proposals[1].shape[1], cells[1].shape[1]
    solvers = {"host": _on_host, "device": _on_device}
    on = {name: solvers[choose_backend(*size, name)] for name in HOST_BELOW}
    if _on_host not in on.values():
        return _on_device(proposals, cells, weights)
    chosen = {name: functools.partial(f, weights=weights) for name, f in on.items()}
    return platforms.dependent(chosen, tuple(proposals), tuple(cells))


# On the device.


def _on_device(
    proposals: Sequence[jax.Array], cells: Sequence[jax.Array], weights: MatchWeights
) -> jax.Array:
    num_cells, num_proposals = cells[1].shape[1], proposals[1].shape[1]
    enough = min(num_cells, num_proposals)  # N cells need at most their N cheapest
    counts = [count for count in _CANDIDATES if count < enough] + [enough]

    def solve(level: int) -> jax.Array:
        one = functools.partial(_match_image, weights=weights, count=counts[level])
        found, proven = jax.vmap(one)(tuple(proposals), tuple(cells))
        if level + 1 == len(counts):
            return found
        more = functools.partial(solve, level + 1)
        return jax.lax.cond(jnp.all(proven), lambda: found, more)

    return solve(0)


def _match_image(
    proposals: Sequence[jax.Array],
    cells: Sequence[jax.Array],
    *,
    weights: MatchWeights,
    count: int,
) -> tuple[jax.Array, jax.Array]:
    points_yx, objectness, class_probs, proposal_mask = proposals
    true_yx, labels, cell_mask = cells

    def candidates(cell: tuple[jax.Array, jax.Array]) -> assignment.Candidates:
        cost = matching_cost(points_yx, objectness, class_probs, *cell, weights=weights)
        return assignment.cheapest(jnp.where(proposal_mask, cost, jnp.inf), count)

    def by_rows(cells: tuple[jax.Array, jax.Array]) -> assignment.Candidates:
        def row(cell: tuple[jax.Array, jax.Array]) -> assignment.Candidates:
            one = candidates((cell[0][None], cell[1][None]))
            return jax.tree.map(lambda x: x[0], one)

        return jax.lax.map(row, cells, batch_size=_CPU_ROWS)

    found = jax.lax.platform_dependent(
        (true_yx, labels),
        cpu=by_rows if len(labels) > _CPU_ROWS else candidates,
        default=candidates,
    )
    return assignment.assign(found, cell_mask, len(objectness))


# On the host.


def _on_host(
    proposals: Sequence[jax.Array], cells: Sequence[jax.Array], weights: MatchWeights
) -> jax.Array:
    """One callback, an argument a row of an image, of at most four bytes a value."""
    points_yx, objectness, class_probs, proposal_mask = proposals
    true_yx, labels, cell_mask = cells
    (batch, num_proposals), num_cells = objectness.shape, labels.shape[1]
    if _host_hangs(num_proposals, num_cells):
        raise ValueError(
            f"{num_proposals} proposals and {num_cells} cells do not go through a host "
            f"callback on several CPU devices (at most {MAX_HOST_POINTS} of each): use "
            "matching backend 'device'"
        )
    scores = _scores(objectness, class_probs, weights)
    columns = [points_yx[..., 0], points_yx[..., 1], proposal_mask]
    columns += [scores[..., k] for k in range(scores.shape[-1])]
    rows = [true_yx[..., 0], true_yx[..., 1], labels, cell_mask]
    arguments = [[x[b] for x in (*rows, *columns)] for b in range(batch)]
    shape = jax.ShapeDtypeStruct((num_cells,), jnp.int32)
    solve = functools.partial(
        host_matching.solve_padded, distance_weight=weights.distance
    )
    return jnp.stack(jax.pure_callback(solve, [shape] * batch, arguments))
