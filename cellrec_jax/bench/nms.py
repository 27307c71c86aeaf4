"""Blocked non-maximum suppression against the plain loop that other programs write.

The loop picks the best box left, drops what overlaps it and starts again: one small
step for each box kept. Boxes crowd around cells, as proposals do.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax.bench import timing
from cellrec_jax.bench.report import Report, Row, Settings
from cellrec_jax.ops import boxes, nms

_SIDE_PX = 800.0
_NUM_CELLS = 150


class Case(NamedTuple):
    """One use of suppression in the detector."""

    name: str
    num_boxes: int
    max_kept: int
    iou_threshold: float


CASES = (
    Case("paper, proposals in training", 12000, 2000, 0.7),
    Case("paper, proposals in testing", 6000, 1000, 0.7),
    Case("paper, detections", 1000, 100, 0.3),
    Case("small, proposals in training", 1000, 300, 0.7),
    Case("small, detections", 800, 400, 0.3),
)


def run(settings: Settings, say: Callable[[str], None]) -> Report:
    """Times both forms on random boxes.

    Args:
      settings: `sizes` are numbers of proposals, of which a sixth is kept.
      say: told what is being measured.
    """
    cases = [Case("proposals", n, max(1, n // 6), 0.7) for n in settings.sizes] or CASES
    rows = []
    for case in cases:
        say(f"nms: {case.name}, {case.num_boxes} boxes")
        rows.append(_measure(case, settings))
    return Report(tuple(rows))


def _measure(case: Case, settings: Settings) -> Row:
    batch = settings.batch_size or 1
    drawn = [random_boxes(case.num_boxes, seed) for seed in range(batch)]
    boxes_yxyx, scores = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
    mask = np.ones(scores.shape, bool)
    forms: dict[str, Callable[..., Any]] = {"blocked": nms.nms, "loop": loop_nms}
    calls = {
        name: timing.compile_call(
            jax.vmap(
                functools.partial(
                    function, iou_threshold=case.iou_threshold, max_kept=case.max_kept
                )
            ),
            boxes_yxyx,
            scores,
            mask,
        )
        for name, function in forms.items()
    }
    found = timing.compare(calls, settings.repeats or timing.REPEATS)
    _, kept = calls["blocked"].run()
    return {
        "case": case.name,
        "boxes": case.num_boxes,
        "kept": int(kept[0].sum()),
        "batch": batch,
        "blocked_ms": found["blocked"].median_s * 1e3,
        "blocked_iqr_ms": found["blocked"].iqr_s * 1e3,
        "loop_ms": found["loop"].median_s * 1e3,
        "loop_iqr_ms": found["loop"].iqr_s * 1e3,
        "loop_over_blocked": found["loop"].median_s / found["blocked"].median_s,
        "blocked_compile_s": found["blocked"].compile_s,
        "loop_compile_s": found["loop"].compile_s,
    }


def random_boxes(num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of 20 to 50 px around cells, and scores.

    Args:
      num: number of boxes.
      seed: of the draw.

    Returns:
      boxes_yxyx f32 [num, 4] px and distinct scores f32 [num] in [0, 1).
    """
    rng = np.random.default_rng(seed)
    cells_yx = rng.uniform(0, _SIDE_PX, (_NUM_CELLS, 2))
    centers_yx = cells_yx[rng.integers(0, _NUM_CELLS, num)]
    centers_yx = centers_yx + rng.normal(0, 8.0, (num, 2))
    half_hw = rng.uniform(10, 25, (num, 2))
    boxes_yxyx = np.concatenate([centers_yx - half_hw, centers_yx + half_hw], axis=1)
    return boxes_yxyx.astype(np.float32), rng.permutation(num).astype(np.float32) / num


def loop_nms(
    boxes_yxyx: jax.Array,
    scores: jax.Array,
    mask: jax.Array,
    *,
    iou_threshold: float,
    max_kept: int,
) -> tuple[jax.Array, jax.Array]:
    """`ops.nms.nms` as a loop over the boxes kept; same arguments and result."""

    def body(
        slot: jax.Array, carry: tuple[jax.Array, jax.Array, jax.Array]
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        left, idx, kept = carry
        best = jnp.argmax(left)
        found = left[best] > -jnp.inf
        overlap = boxes.iou_matrix(boxes_yxyx[best][None], boxes_yxyx)[0]
        left = jnp.where(found & (overlap > iou_threshold), -jnp.inf, left)
        left = left.at[best].set(-jnp.inf)
        idx = idx.at[slot].set(jnp.where(found, best, 0).astype(jnp.int32))
        return left, idx, kept.at[slot].set(found)

    left = jnp.where(mask, scores, -jnp.inf)
    start = (left, jnp.zeros(max_kept, jnp.int32), jnp.zeros(max_kept, bool))
    return jax.lax.fori_loop(0, max_kept, body, start)[1:]
