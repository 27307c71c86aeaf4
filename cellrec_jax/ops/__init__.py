"""Array operations of detectors: fixed shapes, one image each, vmapped by callers.

Exceptions: `matching` takes the batch, `watershed_seeds` is NumPy and SciPy.
"""

from cellrec_jax.ops import (
    anchors,
    assign,
    assignment,
    boxes,
    heatmaps,
    matching,
    nms,
    peaks,
    phase_optics,
    restoration,
    roi_align,
    watershed_seeds,
)

__all__ = [
    "anchors",
    "assign",
    "assignment",
    "boxes",
    "heatmaps",
    "matching",
    "nms",
    "peaks",
    "phase_optics",
    "restoration",
    "roi_align",
    "watershed_seeds",
]
