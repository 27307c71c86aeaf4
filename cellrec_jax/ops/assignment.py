"""Exact rectangular assignment inside the graph, on few candidates for each cell.

Dual prices prove the result optimal among all proposals, else callers take more
candidates. Bidding settles most cells, shortest augmenting paths the rest.

Sources: Bertsekas, The auction algorithm, 1988; Jonker and Volgenant, A shortest
augmenting path algorithm, Computing 1987.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

_BLOCKS = 16  # proposals that share a minimum in the search for the cheapest
_ROUNDING = 1e-6  # of sums of a few float32 costs
_ROUNDS = 4  # of bidding; later ones settle few cells


class Candidates(NamedTuple):
    """The cheapest proposals of each cell, cheapest first."""

    proposal_idx: jax.Array  # i32 [N, k]
    cost: jax.Array  # f32 [N, k], inf where there is none
    limit: jax.Array  # f32 [N]: what all other proposals cost at least


class Duals(NamedTuple):
    """A partial assignment with prices that prove it optimal so far.

    cost + price >= value, equal where assigned; other proposals have price 0.
    """

    proposal_idx: jax.Array  # i32 [N], -1 where unassigned
    holder: jax.Array  # i32 [M], the cell that holds a proposal; -1 where free
    value: jax.Array  # f32 [N], of each cell
    price: jax.Array  # f32 [N], of the proposal that the cell holds; 0 for none


def assign(
    candidates: Candidates, cell_mask: jax.Array, num_proposals: int
) -> tuple[jax.Array, jax.Array]:
    """Gives every cell its own proposal at the least total cost.

    Of `cheapest`'s candidates and real cells, bool [N]: i32 [N], -1 where padded or
    left over, and whether it is proven optimal (always with min(M, N) candidates).
    """
    if candidates.cost.size == 0:
        return jnp.full(len(cell_mask), -1, jnp.int32), ~jnp.any(cell_mask)
    duals = _bid(candidates, cell_mask, num_proposals)
    duals = _augment_all(candidates, duals, cell_mask)
    # A proposal that is no candidate of a cell costs it `limit` or more, and has a
    # price of 0 or more: with value <= limit it could not lower the total.
    slack = _ROUNDING * (1.0 + jnp.abs(candidates.limit))
    settled = duals.value <= candidates.limit + slack
    # And of as many candidates as there are cells, one was always left for each.
    settled |= jnp.sum(cell_mask) <= candidates.cost.shape[1]
    return duals.proposal_idx, jnp.all(settled & (duals.proposal_idx >= 0) | ~cell_mask)


def cheapest(cost: jax.Array, count: int) -> Candidates:
    """The min(count, M) cheapest proposals of cells; cost f32 [N, M], inf is none."""
    num_cells, num_proposals = cost.shape
    count = min(count, num_proposals)
    if num_cells == 0 or count == 0:
        none = jnp.zeros((num_cells, count))
        limit = jnp.full(num_cells, jnp.inf)
        return Candidates(none.astype(jnp.int32), none, limit)
    width = -(-num_proposals // _BLOCKS)
    padding = ((0, 0), (0, width * _BLOCKS - num_proposals))
    blocks = jnp.pad(cost, padding, constant_values=jnp.inf)
    blocks = blocks.reshape(num_cells, _BLOCKS, width)
    chosen = jax.lax.top_k(-jnp.min(blocks, axis=1), min(count, width))[1]
    near = jnp.take_along_axis(blocks, chosen[:, None, :], axis=2)
    negative, slot = jax.lax.top_k(-near.reshape(num_cells, -1), count)
    block, place = slot // chosen.shape[1], slot % chosen.shape[1]
    column = jnp.take_along_axis(chosen, place, axis=1)
    # The maximum, since a slice of top_k's result makes XLA sort whole rows on a CPU.
    largest = jnp.max(-negative, axis=1)
    return Candidates(
        proposal_idx=(block * width + column).astype(jnp.int32),
        cost=-negative,
        limit=jnp.where(count < num_proposals, largest, jnp.inf),
    )


def _bid(candidates: Candidates, cell_mask: jax.Array, num_proposals: int) -> Duals:
    """Lets all unassigned cells bid for their cheapest proposal, a few times."""
    index = jnp.arange(len(cell_mask), dtype=jnp.int32)

    def best(price: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        costs = candidates.cost + price[candidates.proposal_idx]
        value = jnp.min(costs, axis=1)
        slot = jnp.argmin(costs, axis=1)
        first = jax.nn.one_hot(slot, costs.shape[1], dtype=bool)
        target = jnp.take_along_axis(candidates.proposal_idx, slot[:, None], axis=1)
        second = jnp.min(jnp.where(first, jnp.inf, costs), axis=1)
        return value, target[:, 0], second

    def round_(_: int, carry: tuple[jax.Array, jax.Array]) -> tuple:
        held, price = carry
        value, target, second = best(price)
        bids = cell_mask & (held < 0) & jnp.isfinite(second)
        # As much as leaves the target no dearer than the second choice.
        raised = jnp.where(bids, second - value, -1.0)
        highest = jnp.full(num_proposals, -1.0, jnp.float32).at[target].max(raised)
        won = bids & (raised == highest[target])
        winner = (
            jnp.full(num_proposals, len(index), jnp.int32)
            .at[target]
            .min(jnp.where(won, index, len(index)))
        )
        won &= winner[target] == index
        taken = (winner < len(index))[jnp.maximum(held, 0)] & (held >= 0)
        held = jnp.where(won, target, jnp.where(taken, -1, held))
        return held, price + jnp.where(winner < len(index), highest, 0.0)

    none = jnp.full(len(index), -1, jnp.int32)
    start = (none, jnp.zeros(num_proposals, jnp.float32))
    held, price = jax.lax.fori_loop(0, _ROUNDS, round_, start)
    own = jnp.where(held >= 0, price[jnp.maximum(held, 0)], 0.0)
    column = jnp.where(held >= 0, held, num_proposals)
    holder = jnp.full(num_proposals, -1, jnp.int32).at[column].set(index, mode="drop")
    return Duals(held, holder, best(price)[0], own)


class _Search(NamedTuple):
    """Shortest alternating paths from one unassigned cell."""

    distance: jax.Array  # f32 [N], to each cell through the proposal it holds
    came_from: jax.Array  # i32 [N], the cell before it on the path
    done: jax.Array  # bool [N]
    free_distance: jax.Array  # f32, to the nearest free proposal
    free_from: jax.Array  # i32, the cell before it
    free_idx: jax.Array  # i32, the proposal


def _augment_all(candidates: Candidates, duals: Duals, cell_mask: jax.Array) -> Duals:
    """Assigns the cells that are left, each along a shortest augmenting path."""

    def left(carry: tuple[Duals, jax.Array]) -> jax.Array:
        duals, tried = carry
        return jnp.any((duals.proposal_idx < 0) & ~tried)

    def body(carry: tuple[Duals, jax.Array]) -> tuple[Duals, jax.Array]:
        duals, tried = carry
        start = jnp.argmax((duals.proposal_idx < 0) & ~tried).astype(jnp.int32)
        search = _search(candidates, duals, start)
        return _augment(duals, search, start), tried.at[start].set(True)

    return jax.lax.while_loop(left, body, (duals, ~cell_mask))[0]


def _search(candidates: Candidates, duals: Duals, start: jax.Array) -> _Search:
    """Dijkstra's algorithm over cells; a step leads to the holder of a candidate."""

    def nearest(search: _Search) -> jax.Array:
        return jnp.where(search.done, jnp.inf, search.distance)

    def unfinished(search: _Search) -> jax.Array:
        return jnp.min(nearest(search)) < search.free_distance

    def step(search: _Search) -> _Search:
        cell = jnp.argmin(nearest(search)).astype(jnp.int32)
        return _visit(cell, candidates, duals, search)

    num_cells = len(duals.value)
    none = jnp.int32(-1)
    begin = _Search(
        distance=jnp.full(num_cells, jnp.inf, jnp.float32).at[start].set(0.0),
        came_from=jnp.full(num_cells, -1, jnp.int32),
        done=jnp.zeros(num_cells, bool),
        free_distance=jnp.float32(jnp.inf),
        free_from=none,
        free_idx=none,
    )
    return jax.lax.while_loop(unfinished, step, begin)


def _visit(
    cell: jax.Array, candidates: Candidates, duals: Duals, search: _Search
) -> _Search:
    """Goes on from a cell whose distance is final."""
    proposals = candidates.proposal_idx[cell]
    holder = duals.holder[proposals]
    price = jnp.where(holder >= 0, duals.price[holder], 0.0)
    slack = candidates.cost[cell] + price - duals.value[cell]
    through = search.distance[cell] + jnp.maximum(slack, 0.0)
    free = jnp.where(holder >= 0, jnp.inf, through)
    slot = jnp.argmin(free)
    shorter = free[slot] < search.free_distance
    column = jnp.where(holder >= 0, holder, len(duals.value))
    far = jnp.full_like(search.distance, jnp.inf)
    reach = far.at[column].min(through, mode="drop")
    done = search.done.at[cell].set(True)
    closer = (reach < search.distance) & ~done
    return _Search(
        distance=jnp.where(closer, reach, search.distance),
        came_from=jnp.where(closer, cell, search.came_from),
        done=done,
        free_distance=jnp.where(shorter, free[slot], search.free_distance),
        free_from=jnp.where(shorter, cell, search.free_from),
        free_idx=jnp.where(shorter, proposals[slot], search.free_idx),
    )


def _augment(duals: Duals, search: _Search, start: jax.Array) -> Duals:
    """Raises values and prices, then hands each proposal on along the path."""
    found = jnp.isfinite(search.free_distance)
    rise = jnp.where(found & search.done, search.free_distance - search.distance, 0.0)
    price = duals.price + jnp.where(duals.proposal_idx >= 0, rise, 0.0)

    def move(carry: tuple) -> tuple:
        cell, held, holder, price, proposal, its_price = carry
        given = (held[cell], price[cell])
        held, price = held.at[cell].set(proposal), price.at[cell].set(its_price)
        holder = holder.at[proposal].set(cell)
        before = jnp.where(cell == start, -1, search.came_from[cell])
        return before, held, holder, price, *given

    last = jnp.where(found, search.free_from, -1)
    carry = (
        last,
        duals.proposal_idx,
        duals.holder,
        price,
        search.free_idx,
        jnp.float32(0),
    )
    carry = jax.lax.while_loop(lambda carry: carry[0] >= 0, move, carry)
    _, held, holder, price, *_ = carry
    return Duals(held, holder, duals.value + rise, price)
