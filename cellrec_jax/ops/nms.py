"""Exact greedy non-maximum suppression with fixed shapes, in blocks."""

from collections.abc import Callable
import functools

import chex
import jax
import jax.numpy as jnp

from cellrec_jax.ops import boxes as box_ops

Similar = Callable[[jax.Array, jax.Array], jax.Array]
"""(items [M, D], items [N, D]) -> bool [M, N]: whether row suppresses column."""

_BLOCK = 256
_ROUNDS = 4
"""Between two looks at whether a block is settled, which an accelerator waits for: it
takes two to six."""


def _settle(alive: jax.Array, suppresses: jax.Array) -> jax.Array:
    """Greedy result bool [T] of a block, by an upper triangular `suppresses`."""

    def body(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        kept, _ = carry
        new = kept
        for _ in range(_ROUNDS):
            new = alive & ~jnp.any(suppresses & new[:, None], axis=0)
        # Each round settles one more item at least, so what repeats is settled.
        return new, jnp.any(new != kept)

    start = (alive, jnp.array(True))
    return jax.lax.while_loop(lambda carry: carry[1], body, start)[0]


@jax.named_scope("suppression")
def suppress(
    items: jax.Array,
    mask: jax.Array,
    similar: Similar,
    max_kept: int,
    block: int = _BLOCK,
) -> jax.Array:
    """Keeps items [M, D] greedily in order, dropping those similar to a kept one.

    As the sequential algorithm, but by blocks, up to `max_kept`: bool [M].
    """
    chex.assert_rank([items, mask], [2, 1])
    count = items.shape[0]
    if count == 0:
        return mask
    block = min(block, count)
    num_blocks = -(-count // block)
    padding = num_blocks * block - count
    items = jnp.pad(items, ((0, padding), (0, 0)))
    alive = jnp.pad(mask, (0, padding))
    upper = jnp.triu(jnp.ones((block, block), bool), k=1)

    def body(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        index, kept = carry
        start = index * block
        rows = jax.lax.dynamic_slice_in_dim(items, start, block)
        rows_alive = jax.lax.dynamic_slice_in_dim(alive, start, block)
        # `kept` is all False from `start` on, so later items suppress nothing here.
        beaten = jnp.any(similar(items, rows) & kept[:, None], axis=0)
        settled = _settle(rows_alive & ~beaten, similar(rows, rows) & upper)
        return index + 1, jax.lax.dynamic_update_slice_in_dim(kept, settled, start, 0)

    def unfinished(carry: tuple[jax.Array, jax.Array]) -> jax.Array:
        index, kept = carry
        return (index < num_blocks) & (jnp.sum(kept) < max_kept)

    start = (jnp.array(0), jnp.zeros_like(alive))
    kept = jax.lax.while_loop(unfinished, body, start)[1]
    return (kept & (jnp.cumsum(kept) <= max_kept))[:count]


def _overlapping(a: jax.Array, b: jax.Array, *, threshold: float) -> jax.Array:
    return box_ops.iou_matrix(a, b) > threshold


def nms(
    boxes_yxyx: jax.Array,
    scores: jax.Array,
    mask: jax.Array,
    *,
    iou_threshold: float,
    max_kept: int,
    is_sorted: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Non-maximum suppression of boxes [M, 4]; of equal scores the earlier box is kept.

    Drops overlaps above `iou_threshold`; idx i32 and kept bool [`max_kept`], best
    first. `is_sorted` says that scores fall, and saves a sort.
    """
    similar = functools.partial(_overlapping, threshold=iou_threshold)
    if is_sorted:
        ranked = jnp.arange(len(scores))
        return _compact(ranked, suppress(boxes_yxyx, mask, similar, max_kept), max_kept)
    ranked = jnp.argsort(jnp.where(mask, scores, -jnp.inf), descending=True)
    kept = suppress(boxes_yxyx[ranked], mask[ranked], similar, max_kept)
    return _compact(ranked, kept, max_kept)


def point_nms(
    points_yx: jax.Array, mask: jax.Array, min_distance: jax.Array
) -> jax.Array:
    """Keeps points [M, 2], best first, apart by `min_distance` px or more; 0: all."""

    def near(a: jax.Array, b: jax.Array) -> jax.Array:
        squared = jnp.sum((a[:, None, :] - b[None, :, :]) ** 2, axis=-1)
        return squared < min_distance**2

    return jax.lax.cond(
        min_distance > 0,
        lambda: suppress(points_yx, mask, near, points_yx.shape[0]),
        lambda: mask,
    )


def _compact(
    ranked: jax.Array, kept: jax.Array, size: int
) -> tuple[jax.Array, jax.Array]:
    """Moves kept items to the front, in order, into `size` slots."""
    order = jnp.argsort(~kept, stable=True)
    size_found = min(size, kept.shape[0])
    order = order[:size_found]
    idx, is_kept = ranked[order].astype(jnp.int32), kept[order]
    return (
        jnp.pad(idx, (0, size - size_found)),
        jnp.pad(is_kept, (0, size - size_found)),
    )
