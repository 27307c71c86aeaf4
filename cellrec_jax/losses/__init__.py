"""Losses: pure functions of one example, reduced by `masking.masked_mean` alone.

- `density`, `calibration`: Boxes Density Energy and its rivals (unmatched boxes).
- `detection`: cross entropy and box regression of two-stage detectors.
- `heatmap`: regression of position maps.
- `points`, `matched`: point annotations; terms, and the loss of matched proposals.
- `pu`, `class_prior`: positive-unlabelled risk and the prior that it needs.
- `ranking`: P-classification and its solvers.
"""
