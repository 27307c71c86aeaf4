"""How pixels without a label count in a heat map's loss, when few cells are labelled.

Each form gives a cost of every pixel and its weight in the mean, [H, W]. Those but
"masked" and "plain" carry ideas for boxes over to heat maps, for comparison, or
("constant") are what to compare those with.

Sources: Fujii et al., MICCAI 2021 (masked); Nishimura et al., Weakly Supervised Cell
Instance Segmentation, MICCAI 2019 (plain); Li et al., Spatial Loss Calibration, 2021
(bde); Zhang et al., Background Recalibration Loss, ICASSP 2020 (recalibrated);
Tarvainen and Valpola, Mean Teachers, NeurIPS 2017 (mean_teacher).
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cellrec_jax.losses import calibration
from cellrec_jax.losses.calibration import DOUBT, Doubt
from cellrec_jax.ops import heatmaps, peaks


class PixelLoss(NamedTuple):
    """Costs of pixels and their weights (no gradient), f32 [H, W] >= 0."""

    costs: jax.Array
    weights: jax.Array


class Painted(NamedTuple):
    """One image's labels as maps; see `paint`."""

    target: jax.Array
    """f32 [H, W] in [0, 1], height 1 at labelled cells."""
    known: jax.Array
    """bool [H, W], within a radius of a label, be it cell or background."""


def paint(
    points_yx: jax.Array,
    is_cell: jax.Array,
    is_background: jax.Array,
    size_hw: tuple[int, int],
    *,
    sigma_px: float = 6.0,
    radius_px: float = 12.0,
) -> Painted:
    """Paints points [N, 2] px: cells a Gaussian and a disc, background a disc alone.

    As in the code of Fujii et al. 2021.
    """
    options = heatmaps.MapOptions(sigma_px=sigma_px)
    labeled = is_cell | is_background
    return Painted(
        heatmaps.position_map(points_yx, is_cell, size_hw, options),
        heatmaps.disc_mask(points_yx, labeled, size_hw, radius_px=radius_px),
    )


def masked(pred: jax.Array, painted: Painted, valid: jax.Array) -> PixelLoss:
    """Squared error near labels; the rest does not count (Fujii et al. 2021)."""
    return _squared(pred, painted.target, painted.known & valid)


def plain(pred: jax.Array, painted: Painted, valid: jax.Array) -> PixelLoss:
    """Squared error everywhere: no label is background (Nishimura et al. 2019)."""
    return _squared(pred, painted.target, valid)


def constant(
    pred: jax.Array, painted: Painted, valid: jax.Array, *, weight: float = 0.4
) -> PixelLoss:
    """As `plain`, but all pixels away from labels weigh the same: a control of ours."""
    loss = plain(pred, painted, valid)
    return loss._replace(weights=jnp.where(painted.known, 1.0, weight) * loss.weights)


def energy_weighted(
    pred: jax.Array,
    painted: Painted,
    valid: jax.Array,
    *,
    window_px: int = 6,
    radius_px: float = 12.0,
    doubt: Doubt = DOUBT,
    max_peaks: int = 256,
) -> PixelLoss:
    """As `plain`, but discs around unlabelled peaks weigh their boxes density energy.

    Of the `max_peaks` highest peaks above 0 those that are `doubtful`; unlabelled are
    those without a label within the radius. Li et al. 2021, Eq. 8 to 11, with peaks for
    boxes; pixels far from peaks weigh 1, so without such peaks this is `plain`.
    """
    chex.assert_rank(pred, 2)
    size_hw = (pred.shape[0], pred.shape[1])
    found = peaks.find_peaks(
        jax.lax.stop_gradient(pred),
        max_peaks=max_peaks,
        window_px=window_px,
        threshold_abs=0.0,
        valid=valid,
    )
    energy = calibration.doubtful_energy(
        found.points_yx, found.scores, found.mask, doubt=doubt
    )
    labeled = peaks.read_maps(painted.known[..., None], found.points_yx)[:, 0]
    # Painted is what is taken off, so that the least weight wins where discs overlap.
    taken_off = heatmaps.disc_values(
        found.points_yx,
        found.mask & ~labeled,
        1.0 - energy,
        size_hw,
        radius_px=radius_px,
    )
    loss = plain(pred, painted, valid)
    weights = jnp.where(painted.known, 1.0, 1.0 - taken_off)
    return loss._replace(weights=loss.weights * weights)


def recalibrated(
    pred: jax.Array,
    painted: Painted,
    valid: jax.Array,
    *,
    doubt: Doubt = DOUBT,
    weight: float = 0.1,
) -> PixelLoss:
    """As `plain`, but unlabelled pixels that may be cells are pulled up, gently.

    The cost h^2 of the `doubtful` becomes `weight` (1 - h)^2: Zhang et al. 2020 (who
    have a threshold), on the squared error in place of the focal loss. "weighted" mixes
    both costs, (1 - h) of the first with h of the other.
    """
    doubtful = calibration.doubtful(pred, ~painted.known & valid, doubt)
    down = _squared(pred, painted.target, valid)
    up = _squared(pred, jnp.ones_like(painted.target), valid)
    kept, raised = 1.0 - doubtful, weight * doubtful
    weights = kept + raised
    costs = kept * down.costs + raised * up.costs
    costs = jnp.where(weights > 0, costs / jnp.where(weights > 0, weights, 1.0), 0.0)
    return PixelLoss(costs, weights * down.weights)


def mean_teacher(
    pred: jax.Array,
    teacher: jax.Array,
    painted: Painted,
    valid: jax.Array,
    *,
    sigma_px: float = 6.0,
    window_px: int = 6,
    threshold: float = 0.5,
    max_peaks: int = 256,
) -> PixelLoss:
    """As `plain`, with the peaks of an averaged network as labels, if they are sure.

    A peak of `teacher` [H, W] (no gradient) above the threshold is a label; other
    pixels above half of it do not count. Tarvainen and Valpola 2017; Sohn et al.,
    FixMatch, 2020.
    """
    teacher = jax.lax.stop_gradient(teacher)
    found = peaks.find_peaks(
        teacher,
        max_peaks=max_peaks,
        window_px=window_px,
        threshold_abs=threshold,
        valid=valid,
    )
    size_hw = (pred.shape[0], pred.shape[1])
    options = heatmaps.MapOptions(sigma_px=sigma_px)
    guessed = heatmaps.position_map(found.points_yx, found.mask, size_hw, options)
    target = jnp.where(
        painted.known, painted.target, jnp.maximum(painted.target, guessed)
    )
    unsure = (teacher > threshold / 2) & (guessed < threshold / 2)
    return _squared(pred, target, valid & (painted.known | ~unsure))


def outside_range(pred: jax.Array, valid: jax.Array) -> jax.Array:
    """Squared distance of heights to [0, 1], [..., H, W], 0 where not valid.

    Else a masked loss lets the background fall far below 0, and a relative threshold of
    peaks is reached by much that is no cell.
    """
    pred = jnp.where(valid, pred.astype(jnp.float32), 0.0)
    return (pred - jnp.clip(pred, 0.0, 1.0)) ** 2


def _squared(pred: jax.Array, target: jax.Array, counted: jax.Array) -> PixelLoss:
    chex.assert_rank([pred, target, counted], 2)
    chex.assert_equal_shape([pred, target, counted])
    # Twice where: what does not count may hold anything.
    error = jnp.where(counted, pred.astype(jnp.float32) - target, 0.0)
    return PixelLoss(error**2, counted.astype(jnp.float32))
