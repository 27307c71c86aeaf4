"""Array operations of detectors: fixed shapes, one image each, vmapped by callers.

`matching` is the exception: it takes the batch.
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
    roi_align,
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
    "roi_align",
]
