"""Losses: pure functions of one example, reduced by `masking.masked_mean` alone.

- `density`, `calibration`: Boxes Density Energy and its rivals (unmatched boxes).
- `detection`: cross entropy and box regression of two-stage detectors.
- `heatmap`: regression of position maps.
- `points`, `matched`: point annotations; terms, and the loss of matched proposals.
- `pu`, `class_prior`: positive-unlabelled risk and the prior that it needs.
- `ranking`, `ranking_solvers`: P-classification and three ways to solve it.
"""

from cellrec_jax.losses import (
    calibration,
    class_prior,
    density,
    detection,
    heatmap,
    matched,
    points,
    pu,
)
from cellrec_jax.losses.ranking import objective as ranking
from cellrec_jax.losses.ranking import solvers as ranking_solvers

__all__ = [
    "calibration",
    "class_prior",
    "density",
    "detection",
    "heatmap",
    "matched",
    "points",
    "pu",
    "ranking",
    "ranking_solvers",
]
