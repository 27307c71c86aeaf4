"""The same steps by torchvision's detector: what people take today.

`fasterrcnn_resnet50_fpn` with our anchors and numbers of proposals and RoIs, trained by
SGD with momentum. Its proposal head is 256 wide, not 512 (`bench train --presets
paper_256` is as wide). PyTorch and JAX must see the same kind of device.
"""

from collections.abc import Callable
import contextlib
import time
from typing import Any

import jax
import numpy as np

from cellrec_jax.bench import experiments, steps, timing
from cellrec_jax.bench.report import Report, Row, Say, Settings
from cellrec_jax.config import Experiment

_CELLS = 100  # an image
_BOX_PX = 24
_LONG = 60  # steps of the first batch


def run(settings: Settings, say: Say) -> Report:
    """Measures types of `presets` in turn, each at the batches of `sizes`.

    Nothing starts after `budget_s`.
    """
    until = time.perf_counter() + settings.budget_s
    if reason := _unfit():
        return Report((), (f"skipped: {reason}",))
    import torch

    rows: list[Row] = []
    notes: list[str] = []
    chosen = experiments.chosen(settings.presets, steps.DTYPES)
    for dtype, batch in (
        (d, b) for d in chosen for b in settings.sizes or steps.BATCHES
    ):
        title = f"{dtype}, batch {batch}"
        if time.perf_counter() > until:
            notes.append(f"skipped: {title}: no time left")
            continue
        say(f"torch_steps: {title}")
        experiment = steps.experiment(dtype, settings.full)
        try:
            rows.append(_measure(experiment, dtype, batch, settings.steps or _LONG))
        except torch.OutOfMemoryError:
            notes.append(f"{title}: out of memory")
        settings.keep(Report(tuple(rows), tuple(notes)))
    return Report(tuple(rows), tuple(notes))


def _unfit() -> str:
    """Why it cannot be measured here; "" if it can."""
    try:
        import torch
        import torchvision.models.detection  # noqa: F401
    except (ImportError, RuntimeError, OSError) as error:  # or of another version
        return f"PyTorch with torchvision is not installed ({error})"
    on_gpu = jax.default_backend() == "gpu"
    if on_gpu != torch.cuda.is_available():
        return "PyTorch and JAX see different kinds of devices"
    return ""


def _measure(experiment: Experiment, dtype: str, batch: int, number: int) -> Row:
    import torch

    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    advance = _begin(experiment, dtype, batch)
    advance()
    advance()
    samples = []
    for _ in range(number):
        begun = time.perf_counter()
        loss = advance()
        samples.append(time.perf_counter() - begun)
    timed = timing.summarize(samples)
    height, width = experiment.data.size_hw
    return {
        "dtype": dtype,
        "image_px": f"{height}x{width}",
        "batch": batch,
        "step_ms": timed.median_s * 1e3,
        "step_iqr_ms": timed.iqr_s * 1e3,
        "images_per_s": batch / timed.median_s,
        "peak_mib": torch.cuda.max_memory_allocated() / 2**20 if cuda else None,
        "steps": number,
        "loss_last": loss if np.isfinite(loss) else None,
    }


def _begin(experiment: Experiment, dtype: str, batch: int) -> Callable[[], float]:
    """What does a step and returns its loss, once the device has done it."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True  # as XLA multiplies float32
    model = _model(experiment).to(device).train()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4
    )
    images, targets = _inputs(experiment.data.size_hw, batch, device)
    low = dtype == "bfloat16"
    numbers: Any = torch.autocast(device, torch.bfloat16) if low else None

    def advance() -> float:
        optimizer.zero_grad(set_to_none=True)
        with numbers or contextlib.nullcontext():
            loss = sum(model(images, targets).values())
        loss.backward()
        optimizer.step()
        return float(loss.detach())  # waits

    return advance


def _model(experiment: Experiment) -> Any:
    from torchvision.models import detection
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    own = experiment.options.model
    sizes = _five(own.anchor_sizes)
    height, width = experiment.data.size_hw
    return detection.fasterrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=2,
        min_size=min(height, width),
        max_size=max(height, width),
        rpn_pre_nms_top_n_train=own.pre_nms_level or own.pre_nms_train,
        rpn_post_nms_top_n_train=own.post_nms_train,
        rpn_batch_size_per_image=own.rpn_batch,
        box_batch_size_per_image=own.roi_batch,
        box_positive_fraction=own.roi_positive_fraction,
        rpn_anchor_generator=AnchorGenerator(
            tuple((size,) for size in sizes), (own.anchor_ratios,) * len(sizes)
        ),
    )


def _five(sizes: tuple[float, ...]) -> tuple[float, ...]:
    """Anchor sizes of torchvision's five maps: a trial has fewer, which double on.

    Example:
      >>> _five((32.0, 64.0))
      (32.0, 64.0, 128.0, 256.0, 512.0)
    """
    return sizes + tuple(sizes[-1] * 2**n for n in range(1, 6 - len(sizes)))


def _inputs(size_hw: tuple[int, int], batch: int, device: str) -> tuple[Any, Any]:
    """Images of noise, with boxes x0, y0, x1, y1 of one class."""
    import torch

    rng = np.random.default_rng(0)
    images, targets = [], []
    for _ in range(batch):
        image = rng.uniform(0, 1, (3, *size_hw)).astype(np.float32)
        corners = rng.uniform(0, 1, (_CELLS, 2)) * (np.array(size_hw)[::-1] - _BOX_PX)
        boxes = np.concatenate([corners, corners + _BOX_PX], 1).astype(np.float32)
        images.append(torch.tensor(image, device=device))
        labels = torch.ones(_CELLS, dtype=torch.int64, device=device)
        boxes_xyxy = torch.tensor(boxes, device=device)
        targets.append({"boxes": boxes_xyxy, "labels": labels})
    return images, targets
