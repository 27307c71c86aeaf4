"""Dense against sorted box density, by number of boxes: where `form="auto"` changes.

With PyTorch installed, a peer runs in the same turn: `torch.cdist(p=1)` and a mean.
Forward only: the loss takes the energy as a constant.
"""

from collections.abc import Callable, Iterator, Sequence
import functools
from typing import Any

import jax
import numpy as np

from cellrec_jax.bench import kernel
from cellrec_jax.bench.report import Report, Row, Settings
from cellrec_jax.losses import density

SIZES = (256, 512, 1024, 2048, 4096, 8000, 16384, 32768)
BATCHES = (1, 4, 16, 64)
_SIDE_PX = 800.0
_TIE = 1.1  # ratios of repeated runs differ by this much
_NUM_CHECKED = 64  # boxes of each image that NumPy checks, pair by pair


def run(settings: Settings, say: Callable[[str], None]) -> Report:
    """Times both forms on random boxes.

    Args:
      settings: `sizes` are numbers of boxes; `batch_size` images, or 1 to 64.
      say: told what is being measured.
    """
    found = kernel.measure("density", _cases(settings), settings, say, x="boxes")
    return found.with_notes(_advice(found.rows))


def _cases(settings: Settings) -> Iterator[kernel.Case]:
    batches = (settings.batch_size,) if settings.batch_size else BATCHES
    for batch in batches:
        for size in settings.sizes or SIZES:
            yield make_case(size, batch)


def make_case(size: int, batch: int) -> kernel.Case:
    """Both forms, and the peer, on `batch` images of `size` random boxes."""
    values = batch * size
    moved_bytes = 4.0 * values * 3 + values  # y, x and the density; the mask
    steps = np.log2(max(size, 2))
    # A pair: two differences, two magnitudes, two sums. Sorting: a comparison a step.
    pair_flops, sort_flops = 6.0 * values * size, 2.0 * values * (steps + 8)
    contestants = {
        "sorted": _form("sorted", moved_bytes, sort_flops),
        "dense": _form("dense", moved_bytes, pair_flops),
    }
    if kernel.has_torch():
        contestants["torch cdist"] = kernel.torch_peer(
            _torch_density,
            moved_bytes=moved_bytes,
            flops=pair_flops,
            held_bytes=4.0 * values * size,
        )
    return kernel.Case(
        point={"boxes": size, "batch": batch},
        inputs=functools.partial(_draw, size, batch),
        contestants=contestants,
        expected=_expected,
        against="dense",
        tolerance=1e-4,
        read=_checked,
    )


def _form(form: str, moved_bytes: float, flops: float) -> kernel.Contestant:
    function = jax.vmap(functools.partial(density.box_density, form=form))
    return kernel.jitted(function, moved_bytes=moved_bytes, flops=flops)


def _draw(size: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    points_yx = rng.uniform(0, _SIDE_PX, (batch, size, 2)).astype(np.float32)
    return points_yx, np.ones((batch, size), bool)


def _expected(points_yx: jax.Array, _: jax.Array) -> np.ndarray:
    points = np.asarray(points_yx)
    chosen = _checked(points)
    return np.stack(
        [
            np.mean(np.abs(chosen[:, i, None] - points).sum(-1, dtype=np.float64), -1)
            for i in range(chosen.shape[1])
        ],
        axis=1,
    )


def _checked(per_box: Any) -> np.ndarray:
    """Up to `_NUM_CHECKED` boxes of each image, from the first to the last."""
    array = np.asarray(per_box)
    size = array.shape[1]
    return array[:, np.unique(np.linspace(0, size - 1, _NUM_CHECKED).astype(int))]


def _torch_density(points_yx: Any, _: Any) -> Any:
    import torch

    return torch.cdist(points_yx, points_yx, p=1).mean(-1)


def _advice(rows: Sequence[Row]) -> str:
    """The largest size at which dense is as good; it compiles faster, so ties count.

    Dense has to be as good at every smaller size and every batch, too.
    """
    sorted_ratio: dict[int, float] = {}  # boxes -> least of sorted over dense
    for row in rows:
        if row["contestant"] == "sorted" and row["ratio"] is not None:
            boxes = row["boxes"]
            sorted_ratio[boxes] = min(row["ratio"], sorted_ratio.get(boxes, np.inf))
    best = 0
    for boxes in sorted(sorted_ratio):
        if sorted_ratio[boxes] * _TIE < 1:
            break
        best = boxes
    platform = jax.default_backend()
    return (
        f"dense is as fast up to {best} boxes on {platform}; "
        f"losses.density.DENSE_UP_TO says {density.DENSE_UP_TO.get(platform)}"
    )
