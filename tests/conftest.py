"""Four CPU devices, no silent broadcasting, TensorFlow kept off the GPU."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import hypothesis
import jax
import numpy as np
import pytest

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")

hypothesis.settings.register_profile(
    "cellrec", derandomize=True, max_examples=50, deadline=None
)
hypothesis.settings.load_profile("cellrec")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
