"""The table of kernels: a new one is an entry of `KERNELS`, and its cases.

A case has a size, inputs (`draws`) and contestants (`forms`). Right is one of the
forms, in 64 bits where it is plain JAX, or what SciPy says.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
import math
from typing import Any

import jax

from cellrec_jax.bench import draws, forms, matching_step, ranking, targets
from cellrec_jax.bench.contestants import COPY, Contestant
from cellrec_jax.bench.draws import DIM
from cellrec_jax.bench.kernel import BOTH, FORWARD, Case, Kernel
from cellrec_jax.bench.report import Row, Settings
from cellrec_jax.ops import convolution, nms

_DECADES = (10**4, 10**5, 10**6, 10**7)
_MATCHED = ((1024, 128), (5120, 300), (10_200, 1000))  # proposals, cells
_MOST_MATCHED = 100_000  # proposals; more rows are of gce alone
_LAYERS = (  # taps a side, channels, features, px, batch: two small, two of ResNet-50
    (3, 24, 24, 256, 4),
    (3, 48, 48, 128, 4),
    (3, 256, 256, 50, 1),
    (1, 256, 1024, 50, 1),
)
_NMS = (  # boxes, slots, IoU
    ("paper, proposals in training", 12000, 2000, 0.7),
    ("paper, proposals in testing", 6000, 1000, 0.7),
    ("paper, detections", 1000, 100, 0.3),
    ("small, proposals in training", 1000, 300, 0.7),
    ("small, detections", 800, 400, 0.3),
)
_ROIS = (  # px a side, channels, RoIs
    ("paper, training", 800, 256, 256),
    ("paper, testing", 800, 256, 1000),
    ("small, training", 256, 48, 64),
    ("small, testing", 640, 48, 800),
)


def _loss(
    point: Mapping[str, Any],
    inputs: Callable[[], tuple[Any, ...]],
    contestants: Mapping[str, Contestant | Callable[..., Any]],
    plain: Callable[..., Any],
    flops: tuple[float, float],
    **others: Any,
) -> Case:
    """A loss, also with its gradient, and a copy of its inputs; plain JAX is right."""
    return Case(
        point,
        inputs,
        {"copy": COPY, "plain JAX": plain, **contestants},
        **{"expected": plain, "against": "copy", "exact": True, **others},
        passes=dict(zip((FORWARD, BOTH), flops, strict=True)),
    )


def _pu(settings: Settings) -> Iterator[Case]:
    for size in settings.sizes or _DECADES:
        yield _loss(
            {"scores": size},
            partial(draws.scores, size),
            {"pu_risk": forms.pu_risk, "torch": forms.torch_pu_risk},
            forms.plain_pu_risk,
            (40.0 * size, 60.0 * size),  # two surrogates and sums
        )


def _points(settings: Settings) -> Iterator[Case]:
    """GCE over rows of four classes; then all losses of four images."""
    for size in settings.sizes or _DECADES:
        yield _loss(
            {"loss": "gce", "rows": size, "batch": 1},
            partial(draws.logits, size),
            {"fused": forms.gce, "torch": forms.torch_gce},
            forms.plain_gce,
            (30.0 * size, 50.0 * size),  # a softmax of four, a power
        )
    batch = settings.batch_size or 4
    sizes = [pair for pair in _matched_sizes(settings) if pair[0] <= _MOST_MATCHED]
    for size, num_cells in sizes:
        apart = Contestant(build=forms.matched_apart)
        yield Case(
            {"loss": "matched", "rows": size, "batch": batch},
            partial(draws.matched, size, num_cells, batch),
            {"fused": forms.matched_loss, "separate": apart},
            expected=jax.jit(forms.matched_loss),
            against="separate",
            passes={FORWARD: 30.0 * batch * size, BOTH: 50.0 * batch * size},
        )


def _density(settings: Settings) -> Iterator[Case]:
    """Forward only: the loss takes the energy as a constant."""
    ours, dense = (partial(forms.box_density, form=f) for f in ("sorted", "dense"))
    for batch in _batches(settings, 1, 4, 16, 64):
        for size in settings.sizes or (256, 512, 1024, 2048, 4096, 8000, 16384, 32768):
            pairs = float(batch * size**2)
            steps = batch * size * (math.log2(max(size, 2)) + 8)
            peer = Contestant(forms.torch_density, held_bytes=4 * pairs)
            yield Case(
                {"boxes": size, "batch": batch},
                partial(draws.points, size, batch),
                {
                    "sorted": Contestant(ours, flops=2 * steps),
                    "dense": dense,
                    "torch cdist": peer,
                },
                expected=jax.jit(ours),
                against="dense",
                passes={FORWARD: 6 * pairs},  # differences, magnitudes and sums
            )


def _matching(settings: Settings) -> Iterator[Case]:
    """Every way must reach SciPy's least total cost in every image."""
    batches = _batches(settings, 1, 4, 16)
    sizes = [(*pair, batch) for pair in _matched_sizes(settings) for batch in batches]
    scenes = [(*size, False) for size in sizes]
    scenes += [(*size, True) for size in sizes if size[2] == batches[:2][-1]]
    for size, num_cells, batch, crowded in sorted(scenes):
        pairs = float(batch * size * num_cells)
        point = {"proposals": size, "cells": num_cells, "batch": batch}
        yield Case(
            {**point, "scene": "crowded" if crowded else "scattered"},
            partial(draws.scene, 0, size, num_cells, batch, crowded),
            {
                "device": partial(forms.match, backend="device"),
                "host": partial(forms.match, backend="host"),
                "optax": forms.optax_match,
                "cdist + scipy": Contestant(build=forms.scipy_match, flops=8 * pairs),
            },
            expected=forms.least_costs,
            read=forms.total_costs,
            against="cdist + scipy",
            passes={FORWARD: 0.0},
            tolerance=1e-5,  # PyTorch's distances are off by up to 0.04 px
            held_bytes=4 * pairs,
        )


def _matching_step(
    settings: Settings, sizes: Sequence[tuple[int, int]] = ()
) -> Iterator[Case]:
    batch, backends = settings.batch_size or 4, ("none", "device", "host")
    for size, num_cells in sizes or _matched_sizes(settings):
        pixels = max(1, size // matching_step.ANCHORS)
        rows = pixels * matching_step.ANCHORS
        yield Case(
            {"proposals": rows, "cells": num_cells, "batch": batch},
            partial(matching_step.inputs, rows, num_cells, batch),
            {name: partial(matching_step.loss, backend=name) for name in backends},
            expected=jax.jit(partial(matching_step.loss, backend="none")),
            against="none",
            passes={BOTH: matching_step.flops(batch * pixels)},
            tolerance=1e-3,
        )


def _matching_auto(settings: Settings) -> Iterator[Case]:
    """The same step with fewer and fewer proposals a cell, so many as are annotated."""
    for size in settings.sizes or (1024,):
        cells = [size // few for few in (8, 4, 2, 1) if size >= few]
        yield from _matching_step(settings, [(size, number) for number in cells])


def _ranking(settings: Settings) -> Iterator[Case]:
    """A pass at given weights, then solves; sizes are rows of the paper's features."""
    for size in settings.sizes or (10**3, 10**4, 10**5, 10**6):
        held_bytes, work = size * (4.0 * DIM + 2.0), 2.0 * size * DIM
        peer = Contestant(ranking.torch_log_loss, held_bytes=2 * held_bytes)
        yield _loss(
            {"task": "pass", "rows": size},
            partial(draws.ranked, size),
            {"log_p_classification": ranking.log_loss, "torch": peer},
            ranking.plain_log_loss,
            (work, 2 * work),
            held_bytes=held_bytes,
            expected=ranking.right_log_loss,
        )
        steps: dict[str, Any] = {"flops": 2 * ranking.STEPS * work}
        steps["expected"] = ranking.sgd_total
        peer = Contestant(ranking.torch_sgd, held_bytes=2 * held_bytes, **steps)
        yield Case(
            {"task": "solve", "rows": size},
            partial(draws.features, size),
            {
                "L-BFGS": ranking.lbfgs,
                "optax L-BFGS": ranking.optax_lbfgs,
                f"SGD, {ranking.STEPS} steps": Contestant(ranking.sgd, **steps),
                f"torch SGD, {ranking.STEPS} steps": peer,
            },
            expected=ranking.least_total,
            against="L-BFGS",
            passes={FORWARD: 0.0},  # how many steps they take depends on the data
            tolerance=0.01,
            held_bytes=held_bytes,
        )


def _nms(settings: Settings) -> Iterator[Case]:
    """Boxes crowd around cells, as proposals do."""
    batch = settings.batch_size or 1
    cases = [("proposals", n, max(1, n // 6), 0.7) for n in settings.sizes] or _NMS
    for name, size, slots, iou in cases:
        blocked, loop = (
            jax.vmap(partial(form, iou_threshold=iou, max_kept=slots))
            for form in (nms.nms, forms.loop_nms)
        )
        yield Case(
            {"case": name, "boxes": size, "slots": slots, "batch": batch},
            partial(draws.boxes, size, batch),
            {"blocked": blocked, "loop": loop},
            expected=jax.jit(loop),
            read=lambda found, *_: (found[0] * found[1], found[1]),  # no empty slots
            against="blocked",
            passes={FORWARD: 0.0},
            tolerance=0.0,
        )


def _roi_align(settings: Settings) -> Iterator[Case]:
    """Training has both passes; the gradient is that to the features."""
    batch = settings.batch_size or 1
    cases = [(f"small, {n} RoIs, training", 256, 48, n) for n in settings.sizes]
    for name, side_px, channels, num_rois in cases or _ROIS:
        long = name == "paper, testing" and jax.default_backend() == "cpu"
        both = (FORWARD, BOTH) if "training" in name else (FORWARD,)
        yield Case(
            {"case": name, "rois": num_rois, "batch": batch},
            partial(draws.pyramid, side_px, channels, num_rois, batch),
            {
                form: partial(forms.roi_pool, form=form)
                for form in (("gather",) if long else ("gather", "einsum"))
            },
            expected=jax.jit(partial(forms.roi_pool, form="gather")),
            against="gather",
            passes=dict.fromkeys(both, 0.0),
        )


def _roi_align_notes(rows: Sequence[Row]) -> Iterator[str]:
    platform = jax.default_backend()
    taken = "einsum" if platform == "tpu" else "gather"
    yield f'form="auto" takes {taken} on {platform}'
    if platform == "cpu" and any(row["case"] == "paper, testing" for row in rows):
        yield "paper, testing, einsum skipped: it takes minutes on a CPU"


def _convolution(settings: Settings) -> Iterator[Case]:
    """The gradient of the kernel alone; on accelerators both forms are XLA's."""
    layers = [(*_LAYERS[1][:3], px, 4) for px in settings.sizes] or _LAYERS
    for taps, channels, features, px, batch in layers:
        gradient = partial(forms.kernel_gradient, taps=taps)
        xla = partial(gradient, convolve=jax.lax.conv_general_dilated)
        layer = f"{taps}x{taps}, {channels} to {features}"
        yield Case(
            {"layer": layer, "px": px, "batch": batch},
            partial(draws.layer, px, batch, channels, features),
            {
                "blocks": partial(gradient, convolve=convolution.conv_general_dilated),
                "XLA": xla,
                "torch": partial(forms.torch_kernel_gradient, taps=taps),
            },
            expected=jax.jit(xla),
            against="XLA",
            passes={"gradient": 2.0 * batch * px**2 * taps**2 * channels * features},
        )


def _batches(settings: Settings, *default: int) -> tuple[int, ...]:
    return (settings.batch_size,) if settings.batch_size else default


def _matched_sizes(settings: Settings) -> Sequence[tuple[int, int]]:
    """Numbers of proposals, with the cells of `_MATCHED` or an eighth as many."""
    cells = dict(_MATCHED)
    return [(n, cells.get(n, max(1, n // 8))) for n in settings.sizes] or _MATCHED


KERNELS = {
    "convolution": Kernel("px", _convolution),
    "density": Kernel("boxes", _density, forms.density_notes),
    "pu": Kernel("scores", _pu),
    "points": Kernel("rows", _points),
    "matching": Kernel("proposals", _matching),
    "matching_step": Kernel("proposals", _matching_step, matching_step.notes),
    "matching_auto": Kernel("cells", _matching_auto, matching_step.auto_notes),
    "ranking": Kernel("rows", _ranking, ranking.notes),
    "nms": Kernel("boxes", _nms),
    "roi_align": Kernel("rois", _roi_align, _roi_align_notes),
    "targets": Kernel("cells", targets.cases, targets.notes),
}
"""Name on the command line -> what is measured."""
