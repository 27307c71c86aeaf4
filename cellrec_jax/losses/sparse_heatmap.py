"""How pixels without a label count in a heat map's loss, when few cells are labelled.

Each form gives, for one image, a cost of every pixel and the weight it has in the mean.
Those but "masked" and "plain" are none of Fujii et al.'s: they carry ideas for missing
boxes over to heat maps, so that all can be compared.

Sources: Fujii et al., Cell Detection from Imperfect Annotation by Pseudo Label
Selection Using P-classification, MICCAI 2021 (masked); Nishimura et al., Weakly
Supervised Cell Instance Segmentation by Propagating from Detection Response, MICCAI
2019 (plain); Li et al., A Robust Training Method for Pathological Cellular Detector via
Spatial Loss Calibration, 2021 (bde); Zhang et al., Solving Missing-Annotation Object
Detection with Background Recalibration Loss, ICASSP 2020 (recalibrated); Tarvainen and
Valpola, Mean Teachers are Better Role Models, NeurIPS 2017 (mean_teacher).
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cellrec_jax.losses import density
from cellrec_jax.ops import heatmaps, peaks


class PixelLoss(NamedTuple):
    """The cost of one image's pixels."""

    costs: jax.Array
    """f32 [H, W] >= 0."""
    weights: jax.Array
    """f32 [H, W] >= 0; without gradient."""


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
    """Paints labels: cells have a Gaussian and a disc, background points a disc alone.

    Args:
      points_yx: [N, 2] px.
      is_cell: bool [N].
      is_background: bool [N], apart from `is_cell`.
      size_hw: height and width, px; static.
      sigma_px: of the Gaussians, px.
      radius_px: of the discs, px.

    References:
      Fujii et al. 2021, position heat map and mask; their code.
    """
    options = heatmaps.MapOptions(sigma_px=sigma_px)
    labeled = is_cell | is_background
    return Painted(
        heatmaps.position_map(points_yx, is_cell, size_hw, options),
        heatmaps.disc_mask(points_yx, labeled, size_hw, radius_px=radius_px),
    )


def masked(pred: jax.Array, painted: Painted, valid: jax.Array) -> PixelLoss:
    """Squared error near labels; the rest of the image does not count.

    Args:
      pred: [H, W] heights.
      painted: labels.
      valid: bool [H, W].

    References:
      Fujii et al. 2021, masked loss.
    """
    return _squared(pred, painted.target, painted.known & valid)


def plain(pred: jax.Array, painted: Painted, valid: jax.Array) -> PixelLoss:
    """Squared error everywhere: what has no label is background.

    Args:
      pred: [H, W] heights.
      painted: labels.
      valid: bool [H, W].

    References:
      Nishimura et al. 2019.
    """
    return _squared(pred, painted.target, valid)


def energy_weighted(
    pred: jax.Array,
    painted: Painted,
    valid: jax.Array,
    *,
    window_px: int = 6,
    radius_px: float = 12.0,
    threshold: float = 0.5,
    max_peaks: int = 256,
) -> PixelLoss:
    """As `plain`, but discs around unlabelled peaks weigh their boxes density energy.

    Peaks are those of the current prediction above `threshold`; one is unlabelled
    where no label is within the radius. The energy is over all peaks.

    Args:
      pred: [H, W] heights.
      painted: labels.
      valid: bool [H, W].
      window_px: of peaks, see `peaks.find_peaks`.
      radius_px: of the discs, px.
      threshold: least height of a peak.
      max_peaks: highest peaks that count.

    References:
      Li et al. 2021, Eq. 8 to 11. Differs from the paper: peaks in place of boxes, and
      pixels far from any peak keep their full weight.
    """
    chex.assert_rank(pred, 2)
    size_hw = (pred.shape[0], pred.shape[1])
    found = peaks.find_peaks(
        jax.lax.stop_gradient(pred),
        max_peaks=max_peaks,
        window_px=window_px,
        threshold_abs=threshold,
        valid=valid,
    )
    energy = density.box_energy(found.points_yx, found.mask)
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
    threshold: float = 0.5,
    weight: float = 0.1,
) -> PixelLoss:
    """As `plain`, but unlabelled pixels above a threshold are pulled up, gently.

    Their cost h^2 is replaced by its mirror, weight (1 - h)^2.

    Args:
      pred: [H, W] heights h.
      painted: labels.
      valid: bool [H, W].
      threshold: height above which an unlabelled pixel may be a cell.
      weight: of such a pixel.

    References:
      Zhang et al. 2020, background recalibration loss: their mirror and weight, on the
      squared error in place of the focal loss.
    """
    doubtful = ~painted.known & (jax.lax.stop_gradient(pred) > threshold)
    target = jnp.where(doubtful, 1.0, painted.target)
    loss = _squared(pred, target, valid)
    return loss._replace(weights=jnp.where(doubtful, weight, 1.0) * loss.weights)


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

    A teacher's peak above the threshold is a label. Elsewhere, pixels where the teacher
    is above half the threshold do not count, unless they are near a label.

    Args:
      pred: [H, W] heights.
      teacher: [H, W] heights of the averaged network; no gradient.
      painted: labels.
      valid: bool [H, W].
      sigma_px: of the Gaussians at the teacher's peaks, px.
      window_px: of peaks.
      threshold: least height of a peak that becomes a label.
      max_peaks: highest peaks that count.

    References:
      Tarvainen and Valpola 2017; a confidence threshold as in Sohn et al., FixMatch,
      2020.
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
    """Squared distance of heights to [0, 1], for pixels with or without a label.

    A masked loss leaves heights far from labels free. A linear output then falls far
    below 0 on the background, and half of an image's range, the relative threshold of
    its peaks, is reached by much that is no cell.

    Args:
      pred: [..., H, W] heights.
      valid: bool [..., H, W].

    Returns:
      f32 [..., H, W], 0 where not valid; not reduced.
    """
    pred = jnp.where(valid, pred.astype(jnp.float32), 0.0)
    return (pred - jnp.clip(pred, 0.0, 1.0)) ** 2


def _squared(pred: jax.Array, target: jax.Array, counted: jax.Array) -> PixelLoss:
    chex.assert_rank([pred, target, counted], 2)
    chex.assert_equal_shape([pred, target, counted])
    # Twice where: what does not count may hold anything.
    error = jnp.where(counted, pred.astype(jnp.float32) - target, 0.0)
    return PixelLoss(error**2, counted.astype(jnp.float32))
