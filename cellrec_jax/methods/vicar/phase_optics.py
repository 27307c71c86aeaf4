"""The point spread of a phase-contrast microscope, and the options of a restoration.

Sources: Yin et al., Understanding the phase contrast optics to restore artifact-free
microscopy images for segmentation, Med. Image Anal. 2012; parameters of Vicar et al.,
BMC Bioinformatics 2019.
"""

from typing import NamedTuple

import numpy as np
from scipy import special


class PhaseOptions(NamedTuple):
    """Optics and weights; hashable, so that it can be static under jit."""

    outer_radius: float = 4000.0
    """R of the phase ring, in the units of the microscope's maker."""
    ring_width: float = 800.0
    """W of the ring, in those units; in (0, R)."""
    radius_px: int = 2
    """The kernel has 2 radius + 1 px a side."""
    least_tap: float = 0.01
    """Kernel values up to this are dropped."""
    smoothness: float = 1.0
    sparsity: float = 0.5
    epsilon: float = 100.0
    """How little an edge of the image weakens the smoothness across it; >= 0."""
    gamma: float = 3.0
    """Of the re-weighting 1 / (f + gamma); > 0."""
    max_iterations: int = 100
    tolerance: float = 1e-5
    """Stop when the mean change of f a pixel is below this."""
    bright: bool = False
    """Whether bodies are brighter than the background (negative phase contrast)."""


DEFAULTS = PhaseOptions()


def kernel(options: PhaseOptions = DEFAULTS) -> np.ndarray:
    """The kernel of the imaging model: the Airy patterns of a ring, less the centre.

    pi R^2 somb(2 R r) - pi (R - W)^2 somb(2 (R - W) r), somb(x) = 2 J1(pi x) / (pi x),
    normalised (Yin et al. 2012), minus 1 at the centre, so dark bodies need f > 0: f64
    [2 radius + 1, 2 radius + 1]. Each ring's pattern has an absolute sum of 1, and so
    has their difference: at R = 4000 patterns are spikes, which cancel then; a joint
    spectral norm of 1, as in Vicar's code, leaves no kernel. A ValueError for
    impossible options.
    """
    _check_options(options)
    offsets = np.arange(-options.radius_px, options.radius_px + 1)
    r = np.hypot(offsets[:, None], offsets[None, :])
    outer = _airy(r, options.outer_radius)
    inner = _airy(r, options.outer_radius - options.ring_width)
    outer, inner = outer / np.abs(outer).sum(), inner / np.abs(inner).sum()
    norm = np.abs(outer - inner).sum()
    taps = (outer - inner) / norm if norm > 0 else outer - inner
    taps[options.radius_px, options.radius_px] -= 1.0
    return np.where(np.abs(taps) > options.least_tap, taps, 0.0)


def _check_options(options: PhaseOptions) -> None:
    if not 0 < options.ring_width < options.outer_radius or options.radius_px < 0:
        raise ValueError(
            f"ring_width={options.ring_width} must be between 0 and "
            f"outer_radius={options.outer_radius}, radius_px={options.radius_px} >= 0"
        )
    if options.gamma <= 0 or min(options.smoothness, options.sparsity) < 0:
        raise ValueError(
            f"gamma={options.gamma} must be > 0, smoothness={options.smoothness} and "
            f"sparsity={options.sparsity} >= 0"
        )


def _airy(r: np.ndarray, radius: float) -> np.ndarray:
    """The pattern of a disc: pi radius^2 somb(2 radius r)."""
    x = 2 * np.pi * radius * r
    safe = np.where(x > 0, x, 1.0)
    somb = np.where(x > 0, 2 * special.j1(safe) / safe, 1.0)
    return np.pi * radius**2 * somb
