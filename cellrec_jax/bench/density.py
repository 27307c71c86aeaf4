"""Dense against sorted box density, by number of boxes: where `form="auto"` changes.

With PyTorch installed, a peer runs in the same turn: `torch.cdist(p=1)` and a mean.
"""

from collections.abc import Callable
import functools
import importlib.util
from typing import Any

import jax
import numpy as np

from cellrec_jax.bench import timing
from cellrec_jax.bench.report import Report, Row, Settings
from cellrec_jax.losses import density

SIZES = (64, 128, 256, 512, 1024, 2048, 4096, 8000)
_BATCH = 2
_SIDE_PX = 800.0
_TIE = 1.1  # ratios of repeated runs differ by this much


def run(settings: Settings, say: Callable[[str], None]) -> Report:
    """Times both forms on random boxes of two images.

    Args:
      settings: `sizes` are numbers of boxes.
      say: told what is being measured.
    """
    rows: list[Row] = []
    for size in settings.sizes or SIZES:
        say(f"density: {size} boxes")
        rows.append(_measure(size, settings))
    notes = [_advice(rows)]
    if not _has_torch():
        notes.append("peer torch.cdist skipped: PyTorch is not installed")
    return Report(tuple(rows), tuple(notes))


def _measure(size: int, settings: Settings) -> Row:
    batch = settings.batch_size or _BATCH
    rng = np.random.default_rng(0)
    points_yx = rng.uniform(0, _SIDE_PX, (batch, size, 2)).astype(np.float32)
    mask = np.ones((batch, size), bool)
    calls = {}
    for form in ("dense", "sorted"):
        function = jax.vmap(functools.partial(density.box_density, form=form))
        calls[form] = timing.compile_call(function, points_yx, mask)
    if _has_torch():
        calls["torch"] = _torch_call(points_yx)
    found = timing.compare(calls, settings.repeats)
    row: dict[str, Any] = {"boxes": size, "batch": batch}
    for form, timed in found.items():
        row[f"{form}_ms"] = timed.median_s * 1e3
        row[f"{form}_iqr_ms"] = timed.iqr_s * 1e3
    row["dense_over_sorted"] = found["dense"].median_s / found["sorted"].median_s
    row["dense_compile_s"] = found["dense"].compile_s
    row["sorted_compile_s"] = found["sorted"].compile_s
    return row


def _advice(rows: list[Row]) -> str:
    """The largest size at which dense is as good; it compiles faster, so ties count."""
    good = [row["boxes"] for row in rows if row["dense_over_sorted"] <= _TIE]
    best = max(good, default=0)
    platform = jax.default_backend()
    return (
        f"dense is as fast up to {best} boxes on {platform}; "
        f"losses.density.DENSE_UP_TO says {density.DENSE_UP_TO.get(platform)}"
    )


def _has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def _torch_call(points_yx: np.ndarray) -> timing.Call:
    import torch

    on_gpu = jax.default_backend() == "gpu" and torch.cuda.is_available()
    points = torch.from_numpy(points_yx).to("cuda" if on_gpu else "cpu")

    def call() -> None:
        torch.cdist(points, points, p=1).mean(-1)
        if on_gpu:
            torch.cuda.synchronize()

    return timing.Call(call)
