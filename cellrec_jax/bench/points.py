"""Losses of points: generalised cross entropy, and all matched losses in one go.

"gce" is the loss alone over rows of four classes, against a copy of its inputs, the
formula written down in JAX and, with PyTorch installed, the same there. "matched" is
the loss of four images: `matched_losses` compiled as one, against the four losses
compiled and called one by one.
"""

from collections.abc import Callable, Iterator
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import masking
from cellrec_jax.bench import kernel, timing
from cellrec_jax.bench.report import Report, Settings
from cellrec_jax.losses import matched, points

SIZES = (10**4, 10**5, 10**6, 10**7)
MATCHED_SIZES = ((1024, 128), (5120, 300), (10_200, 1000))  # proposals, cells
_NUM_CLASSES = 4
_BATCH = 4
_Q = 0.4
_SIDE_PX = 1024.0
_ROW_FLOPS = {kernel.FORWARD: 30, kernel.BOTH: 50}  # softmax of four, a power

Pred = tuple[jax.Array, jax.Array, jax.Array]
"""Points [B, M, 2], objectness logits [B, M, 2], class logits [B, M, K]."""


def run(settings: Settings, say: Callable[[str], None]) -> Report:
    """Times both, and both with their gradients.

    Args:
      settings: `sizes` are numbers of rows, or of proposals for an eighth as many
        cells; `batch_size` images of "matched".
      say: told what is being measured.
    """
    return kernel.measure("points", _cases(settings), settings, say, x="rows")


def _cases(settings: Settings) -> Iterator[kernel.Case]:
    directions = (kernel.FORWARD, kernel.BOTH)
    for size in settings.sizes or SIZES:
        for direction in directions:
            yield gce_case(size, direction)
    sizes = [(n, max(1, n // 8)) for n in settings.sizes] or MATCHED_SIZES
    for num_proposals, num_cells in sizes:
        for direction in directions:
            batch = settings.batch_size or _BATCH
            yield matched_case(num_proposals, num_cells, batch, direction)


def gce_case(size: int, direction: str) -> kernel.Case:
    """Mean loss of `size` rows by all contestants."""
    backward = direction == kernel.BOTH
    logit_bytes, label_bytes = 4.0 * size * _NUM_CLASSES, 4.0 * size
    work = {
        "moved_bytes": logit_bytes * (1 + backward) + label_bytes,
        "flops": float(size * _ROW_FLOPS[direction]),
    }
    forms = {"fused": _gce, "plain JAX": _plain_gce}
    contestants = {
        name: kernel.jitted(jax.value_and_grad(form) if backward else form, **work)
        for name, form in forms.items()
    }
    contestants["copy"] = kernel.plain_copy(2 * (logit_bytes + label_bytes))
    if kernel.has_torch():
        peer = kernel.torch_value_and_grad(_torch_gce) if backward else _torch_gce
        contestants["torch"] = kernel.torch_peer(peer, **work)
    return kernel.Case(
        point={"loss": "gce", "rows": size, "batch": 1},
        inputs=functools.partial(_draw_rows, size),
        contestants=contestants,
        expected=functools.partial(_expected_gce, backward=backward),
        against="copy",
        direction=direction,
        tolerance=1e-4,
    )


def matched_case(
    num_proposals: int, num_cells: int, batch: int, direction: str
) -> kernel.Case:
    """Total loss of a batch, compiled as one or in parts."""
    backward = direction == kernel.BOTH
    pred_bytes = 4.0 * num_proposals * (2 + 2 + _NUM_CLASSES)
    moved_bytes = batch * (pred_bytes * (1 + backward) + 16.0 * num_cells)
    flops = float(batch * num_proposals * _ROW_FLOPS[direction])
    fused = jax.value_and_grad(_fused) if backward else _fused
    separate = functools.partial(_separate_call, backward=backward)
    return kernel.Case(
        point={"loss": "matched", "rows": num_proposals, "batch": batch},
        inputs=functools.partial(_draw_matched, num_proposals, num_cells, batch),
        contestants={
            "fused": kernel.jitted(fused, moved_bytes=moved_bytes, flops=flops),
            "separate": kernel.Contestant(separate, moved_bytes, flops),
        },
        expected=jax.value_and_grad(_in_parts) if backward else _in_parts,
        against="separate",
        direction=direction,
        tolerance=1e-4,
    )


def _draw_rows(size: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    logits = 2.0 * rng.standard_normal((size, _NUM_CLASSES), np.float32)
    return logits, rng.integers(0, _NUM_CLASSES, size, np.int32)


def _gce(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return jnp.mean(points.generalized_cross_entropy(logits, labels, q=_Q))


def _plain_gce(logits: jax.Array, labels: jax.Array) -> jax.Array:
    p = jax.nn.softmax(logits)[jnp.arange(len(labels)), labels]
    return jnp.mean((1 - p**_Q) / _Q)


def _torch_gce(logits: Any, labels: Any) -> Any:
    p = logits.softmax(-1).gather(1, labels[:, None])
    return ((1 - p**_Q) / _Q).mean()


def _expected_gce(logits: jax.Array, labels: jax.Array, *, backward: bool) -> Any:
    shifted = np.asarray(logits, np.float64)
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    probs = shifted / shifted.sum(axis=1, keepdims=True)
    chosen = np.asarray(labels)[:, None] == np.arange(_NUM_CLASSES)
    p = probs[chosen]
    value = np.mean((1 - p**_Q) / _Q)
    if not backward:
        return value
    return value, (p**_Q / len(p))[:, None] * (probs - chosen)


def _draw_matched(num_proposals: int, num_cells: int, batch: int) -> tuple[Any, ...]:
    """Predictions, cells, and pairs that nobody had to search."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal((batch, *shape), np.float32)

    points_yx = _SIDE_PX * rng.random((batch, num_proposals, 2), np.float32)
    pred = points_yx, normal(num_proposals, 2), normal(num_proposals, _NUM_CLASSES)
    proposal_idx = np.stack(
        [rng.permutation(num_proposals)[:num_cells] for _ in range(batch)]
    ).astype(np.int32)
    held_yx = np.take_along_axis(points_yx, proposal_idx[..., None], axis=1)
    true_yx = held_yx + 4.0 * normal(num_cells, 2)
    labels = rng.integers(0, _NUM_CLASSES, (batch, num_cells), np.int32)
    return pred, true_yx, labels, proposal_idx


def _fused(
    pred: Pred, true_yx: jax.Array, labels: jax.Array, proposal_idx: jax.Array
) -> jax.Array:
    losses = jax.vmap(matched.matched_losses)(*pred, true_yx, labels, proposal_idx)
    return matched.total_loss(losses)[0]


def _in_parts(pred: Pred, *cells: jax.Array) -> jax.Array:
    return sum((part(pred, *cells) for part in _PARTS), jnp.zeros(()))


def _regression(
    pred: Pred, true_yx: jax.Array, labels: jax.Array, proposal_idx: jax.Array
) -> jax.Array:
    del labels
    error = jax.vmap(points.point_error)(_taken(pred[0], proposal_idx), true_yx)
    return matched.PAPER_OPTIONS.regression_weight * jnp.mean(error)


def _detection(
    pred: Pred, true_yx: jax.Array, labels: jax.Array, proposal_idx: jax.Array
) -> jax.Array:
    del true_yx, labels
    background = jnp.ones(pred[0].shape[:2], jnp.int32)
    targets = jax.vmap(lambda row, idx: row.at[idx].set(0))(background, proposal_idx)
    loss = jax.vmap(
        functools.partial(
            points.detection_cross_entropy,
            negative_weight=matched.PAPER_OPTIONS.negative_weight,
        )
    )(pred[1], targets)
    return masking.masked_mean(loss, jnp.ones(loss.shape, bool))


def _classification(
    pred: Pred, true_yx: jax.Array, labels: jax.Array, proposal_idx: jax.Array
) -> jax.Array:
    del true_yx
    logits = _taken(pred[2], proposal_idx)
    return jnp.mean(jax.vmap(points.generalized_cross_entropy)(logits, labels))


def _confidence(
    pred: Pred, true_yx: jax.Array, labels: jax.Array, proposal_idx: jax.Array
) -> jax.Array:
    del true_yx, labels
    norm = jax.vmap(points.softmax_norm)(_taken(pred[2], proposal_idx))
    return matched.PAPER_OPTIONS.gamma * jnp.mean(norm)


_PARTS = (_regression, _detection, _classification, _confidence)


def _taken(rows: jax.Array, proposal_idx: jax.Array) -> jax.Array:
    return jnp.take_along_axis(rows, proposal_idx[..., None], axis=1)


def _separate_call(*args: Any, backward: bool) -> timing.Call:
    """One compiled call a part; their results are added by another one."""
    parts = [
        timing.compile_call(jax.value_and_grad(part) if backward else part, *args)
        for part in _PARTS
    ]
    add = jax.jit(lambda *results: jax.tree.map(lambda *terms: sum(terms), *results))
    jax.block_until_ready(add(*(part.run() for part in parts)))  # compiles
    return timing.Call(
        lambda: jax.block_until_ready(add(*(part.run() for part in parts))),
        sum(part.compile_s for part in parts),
    )
