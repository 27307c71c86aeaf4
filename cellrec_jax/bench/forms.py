"""What contestants of kernels compute: the package's forms, and those of others.

Peers are written from the formulas, as people do it today. Plain forms compute in 64
bits where these are enabled (`astype(float)`), and then say what is right.
"""

from collections.abc import Callable, Iterator, Sequence
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import optimize, spatial

from cellrec_jax.bench import contestants, draws, timing
from cellrec_jax.bench.report import Row
from cellrec_jax.losses import density, matched, points, pu
from cellrec_jax.ops import boxes, matching, roi_align

_WEIGHTS = {"regression": matched.PAPER_OPTIONS.regression_weight}
_TIE = 1.1  # ratios of repeated runs differ by this much
_PRIOR = 0.4  # of positive scores
_Q = 0.4  # of generalised cross entropy


def box_density(points_yx: jax.Array, mask: jax.Array, *, form: str) -> jax.Array:
    """The package's density of all images."""
    return jax.vmap(functools.partial(density.box_density, form=form))(points_yx, mask)


def torch_density(points_yx: Any, _: Any) -> Any:
    """All distances at once."""
    import torch

    return torch.cdist(points_yx, points_yx, p=1).mean(-1)


def dense_up_to(rows: Sequence[Row]) -> int:
    """The largest size to which dense is as good, at all smaller ones and every batch.

    It compiles faster, so ties count.
    """
    least: dict[int, float] = {}  # boxes -> least of sorted over dense
    for row in rows:
        if row["contestant"] == "sorted" and row["ratio"] is not None:
            least[row["boxes"]] = min(row["ratio"], least.get(row["boxes"], np.inf))
    lost = min((n for n in least if least[n] * _TIE < 1), default=np.inf)
    return max((n for n in least if n < lost), default=0)


def density_notes(rows: Sequence[Row]) -> Iterator[str]:
    """Where dense ends to be as good, beside what `form="auto"` takes."""
    best = dense_up_to(rows)
    platform = jax.default_backend()
    yield (
        f"dense is as fast up to {best} boxes on {platform}; "
        f"losses.density.DENSE_UP_TO says {density.DENSE_UP_TO.get(platform)}"
    )


def pu_risk(scores: jax.Array, *masks: jax.Array) -> jax.Array:
    """The package's non-negative PU risk."""
    positive, unlabeled = masks
    found = pu.pu_risk(scores, positive, unlabeled, _PRIOR, estimator="non_negative")
    return found.risk


def plain_pu_risk(
    scores: jax.Array, positive: jax.Array, unlabeled: jax.Array
) -> jax.Array:
    """Non-negative PU risk; where it is clipped, the gradient climbs."""
    scores = scores.astype(float)
    right, wrong = jax.nn.softplus(-scores), jax.nn.softplus(scores)
    positive_risk = _PRIOR * jnp.mean(right, where=positive)
    negative_risk = jnp.mean(wrong, where=unlabeled)
    negative_risk -= _PRIOR * jnp.mean(wrong, where=positive)
    ascent = jax.lax.stop_gradient(positive_risk + negative_risk) - negative_risk
    clipped = ascent + jax.lax.stop_gradient(-ascent + positive_risk)
    return jnp.where(negative_risk < 0, clipped, positive_risk + negative_risk)


def torch_pu_risk(scores: Any, positive: Any, unlabeled: Any) -> Any:
    """The original form: masks as float weights, a branch on the host."""
    from torch.nn import functional

    of_positive = _PRIOR * positive.float() / positive.sum().clamp(min=1)
    weights = unlabeled.float() / unlabeled.sum().clamp(min=1) - of_positive
    positive_risk = (of_positive * functional.softplus(-scores)).sum()
    negative_risk = (weights * functional.softplus(scores)).sum()
    if negative_risk < 0:  # the value of the first, the gradient of the second
        return positive_risk.detach() - negative_risk + negative_risk.detach()
    return positive_risk + negative_risk


def gce(*args: jax.Array) -> jax.Array:
    """The package's mean generalised cross entropy."""
    return jnp.mean(points.generalized_cross_entropy(*args, q=_Q))


def plain_gce(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The same, as the formula is written."""
    p = jax.nn.softmax(logits.astype(float))[jnp.arange(len(labels)), labels]
    return jnp.mean((1 - p**_Q) / _Q)


def torch_gce(logits: Any, labels: Any) -> Any:
    """The same in PyTorch."""
    p = logits.softmax(-1).gather(1, labels[:, None])
    return ((1 - p**_Q) / _Q).mean()


def matched_loss(pred: Any, *cells: jax.Array) -> jax.Array:
    """All losses of matched proposals of a batch."""
    return matched.total_loss(jax.vmap(matched.matched_losses)(*pred, *cells))[0]


def matched_term(name: str, pred: Any, *cells: jax.Array) -> jax.Array:
    """One of the terms of `losses.matched.total_loss` of a batch, as it counts."""
    losses = jax.vmap(matched.matched_losses)(*pred, *cells)
    return _WEIGHTS.get(name, 1.0) * matched.total_loss(losses)[1][name]


def matched_apart(gradient: bool, *args: Any) -> timing.Call:
    """One compiled call a term; their results are added by another one."""
    parts = []
    for name in ("regression", "detection", "classification"):
        part = contestants.Contestant(functools.partial(matched_term, name))
        parts.append(contestants.build(name, part, gradient, args))
    add = jax.jit(lambda *results: jax.tree.map(lambda *terms: sum(terms), *results))

    def run() -> Any:
        return jax.block_until_ready(add(*(part.run() for part in parts)))

    run()  # compiles the sum
    return timing.Call(run, sum(part.compile_s for part in parts))


def match(*images: jax.Array, backend: str) -> jax.Array:
    """The package's matching; i32 [B, N]."""
    return matching.match(*images, backend=backend).proposal_idx


def optax_match(*images: jax.Array) -> jax.Array:
    """Optax's Hungarian method, image by image; i32 [B, N]."""

    def one_image(*image: jax.Array) -> jax.Array:
        cost = matching.matching_cost(*image)
        cells, proposals = optax.assignment.hungarian_algorithm(cost)
        return jnp.zeros(len(cost), jnp.int32).at[cells].set(proposals)

    return jax.vmap(one_image)(*images[:5])


def scipy_match(_: bool, *args: Any) -> timing.Call:
    """P2PNet's way: all costs of an image by `cdist`, then SciPy, image by image."""
    images = [np.array(array) for array in args]  # PyTorch wants to be able to write
    return timing.Call(lambda: _assign(images, _distances))


def least_costs(*images: Any) -> np.ndarray:
    """Least total cost of each image, f64 [B]."""
    found = _assign(list(map(np.asarray, images)), spatial.distance.cdist)
    return total_costs(found, *images)


def total_costs(found: np.ndarray, *images: Any) -> np.ndarray:
    """Total cost of each image, f64 [B]; NaN where two cells share a proposal."""
    totals = np.full(len(found), np.nan)
    for image, one in enumerate(zip(*map(np.asarray, images), strict=True)):
        chosen = found[image]
        if len(np.unique(chosen)) == len(chosen) and chosen.min() >= 0:
            cost = _costs(spatial.distance.cdist, *one)
            totals[image] = cost[chosen, np.arange(len(chosen))].sum()
    return totals


def _assign(images: list[np.ndarray], distances: Callable[..., Any]) -> np.ndarray:
    found = []
    for one in zip(*images, strict=True):
        proposals, cells = optimize.linear_sum_assignment(_costs(distances, *one))
        found.append(proposals[np.argsort(cells)])
    return np.stack(found)


def _costs(
    distances: Callable[..., Any],
    points_yx: np.ndarray,
    objectness: np.ndarray,
    class_probs: np.ndarray,
    true_yx: np.ndarray,
    labels: np.ndarray,
    _: np.ndarray,
) -> np.ndarray:
    cost = 0.05 * distances(points_yx, true_yx)
    cost -= objectness[:, None] + class_probs[:, labels]
    return cost


def _distances(points_yx: np.ndarray, cells_yx: np.ndarray) -> np.ndarray:
    if not contestants.has_torch():
        return spatial.distance.cdist(points_yx, cells_yx)
    import torch

    return torch.cdist(*map(torch.from_numpy, (points_yx, cells_yx))).numpy()


def loop_nms(
    boxes_yxyx: jax.Array,
    scores: jax.Array,
    mask: jax.Array,
    *,
    iou_threshold: float,
    max_kept: int,
) -> tuple[jax.Array, jax.Array]:
    """`ops.nms.nms` as a loop: take the best box left, drop what overlaps it, again."""

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


def roi_pool(
    features: list[jax.Array], rois_yxyx: jax.Array, *, form: str
) -> jax.Array:
    """RoIAlign of a batch over the levels of a pyramid."""

    def one_image(features: list[jax.Array], rois_yxyx: jax.Array) -> jax.Array:
        level = roi_align.roi_levels(rois_yxyx, 2, 5) - 2
        return roi_align.roi_align(features, rois_yxyx, draws.STRIDES, level, form=form)

    return jax.vmap(one_image)(features, rois_yxyx)


def kernel_gradient(
    x: jax.Array, gradient: jax.Array, *, taps: int, convolve: Callable[..., jax.Array]
) -> jax.Array:
    """Gradient of a convolution's kernel, [taps, taps, in, out]."""

    def of_kernel(weights: jax.Array) -> jax.Array:
        numbers = ("NHWC", "HWIO", "NHWC")
        return convolve(x, weights, (1, 1), "SAME", dimension_numbers=numbers)

    shape = (taps, taps, x.shape[-1], gradient.shape[-1])
    return jax.vjp(of_kernel, jnp.zeros(shape, x.dtype))[1](gradient)[0]


def torch_kernel_gradient(x: Any, gradient: Any, *, taps: int) -> Any:
    """The same in PyTorch."""
    import torch

    # Views in the layout "channels last", which PyTorch takes as it is.
    x, gradient = x.permute(0, 3, 1, 2), gradient.permute(0, 3, 1, 2)
    shape = (gradient.shape[1], x.shape[1], taps, taps)
    found = torch.nn.grad.conv2d_weight(x, shape, gradient, padding=taps // 2)
    return found.permute(2, 3, 1, 0)
