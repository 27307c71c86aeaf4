"""A training that compiles in seconds."""

import pytest

from cellrec_jax import methods
from cellrec_jax.config import Experiment


@pytest.fixture(scope="session")
def map_experiment() -> Experiment:
    """Four steps of four of five generated images of 32 x 48 px; one to choose by."""
    return methods.freeze(
        {
            "method": "heatmap_pu",
            "total_steps": 4,
            "batch_size": 4,
            "model": {"width": 2, "max_detections": 8, "norm": "group"},
            "loss": {"sigma_px": 2.0, "radius_px": 6.0},
            "refine": {"rounds": 0},
            "data": {
                "classes": "cell=positive+negative",
                "size_hw": (32, 48),
                "synthetic_hw": (32, 48),
                "synthetic_train": 5,
                "synthetic_val": 1,
                "synthetic_test": 1,
            },
        }
    )
