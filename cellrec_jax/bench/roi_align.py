"""RoIAlign as einsum against gather, forward and backward: what `form="auto"` takes."""

from collections.abc import Callable
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax.bench import timing
from cellrec_jax.bench.report import Report, Row, Settings
from cellrec_jax.ops import roi_align

_STRIDES = (4, 8, 16, 32)


class Case(NamedTuple):
    """One use of RoIAlign in the detector."""

    name: str
    side_px: int
    channels: int
    num_rois: int
    backward: bool


CASES = (
    Case("paper, training", 800, 256, 256, backward=True),
    Case("paper, testing", 800, 256, 1000, backward=False),
    Case("small, training", 256, 48, 64, backward=True),
    Case("small, testing", 640, 48, 800, backward=False),
)
_NOT_ON_CPU = CASES[1:2]


def run(settings: Settings, say: Callable[[str], None]) -> Report:
    """Times both forms on random features and boxes.

    Args:
      settings: `sizes` are numbers of RoIs at the sizes of `:small`.
      say: told what is being measured.
    """
    cases = [
        Case(f"small, {n} RoIs", 256, 48, n, backward=True) for n in settings.sizes
    ] or CASES
    rows: list[Row] = []
    notes = [_taken()]
    for case in cases:
        if case in _NOT_ON_CPU and jax.default_backend() == "cpu":
            notes.append(f"{case.name} skipped: it takes minutes on a CPU")
            continue
        for backward in (False, True) if case.backward else (False,):
            say(f"roi_align: {case.name}, {'backward' if backward else 'forward'}")
            rows.append(_measure(case, backward, settings))
    return Report(tuple(rows), tuple(notes))


def _taken() -> str:
    taken = "einsum" if jax.default_backend() == "tpu" else "gather"
    return f'form="auto" takes {taken} on {jax.default_backend()}'


def _measure(case: Case, backward: bool, settings: Settings) -> Row:
    batch = settings.batch_size or 1
    features, rois_yxyx = _draw(case, batch)
    calls = {}
    for form in ("gather", "einsum"):
        pool = jax.vmap(functools.partial(_pool, form=form))
        function = _gradient(pool) if backward else pool
        calls[form] = timing.compile_call(function, features, rois_yxyx)
    found = timing.compare(calls, settings.repeats or timing.REPEATS)
    gather, einsum = found["gather"], found["einsum"]
    return {
        "case": case.name,
        "pass": "forward and backward" if backward else "forward",
        "rois": case.num_rois,
        "batch": batch,
        "gather_ms": gather.median_s * 1e3,
        "gather_iqr_ms": gather.iqr_s * 1e3,
        "einsum_ms": einsum.median_s * 1e3,
        "einsum_iqr_ms": einsum.iqr_s * 1e3,
        "einsum_over_gather": einsum.median_s / gather.median_s,
        "gather_compile_s": gather.compile_s,
        "einsum_compile_s": einsum.compile_s,
    }


def _pool(features: list[jax.Array], rois_yxyx: jax.Array, *, form: str) -> jax.Array:
    level = roi_align.roi_levels(rois_yxyx, 2, 5) - 2
    return roi_align.roi_align(features, rois_yxyx, _STRIDES, level, form=form)


def _gradient(pool: Callable[..., jax.Array]) -> Callable[..., list[jax.Array]]:
    """Gradient to the features; the square keeps the forward pass needed."""
    return jax.grad(lambda features, rois: jnp.sum(pool(features, rois) ** 2))


def _draw(case: Case, batch: int) -> tuple[list[np.ndarray], np.ndarray]:
    """A pyramid and boxes of 16 to 128 px inside the image."""
    rng = np.random.default_rng(0)
    sides = [-(-case.side_px // stride) for stride in _STRIDES]
    features = [
        rng.standard_normal((batch, side, side, case.channels), np.float32)
        for side in sides
    ]
    largest_px = min(128, case.side_px)
    size_hw = rng.uniform(16, largest_px, (batch, case.num_rois, 2))
    low_yx = rng.uniform(0, case.side_px - size_hw)
    boxes_yxyx = np.concatenate([low_yx, low_yx + size_hw], axis=-1)
    return features, boxes_yxyx.astype(np.float32)
