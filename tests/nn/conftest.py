"""What several networks are tested for."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest


def _check_training_step(
    model: nn.Module,
    variables: Any,
    image: jax.Array,
    read: Callable[[Any], jax.Array] = lambda outputs: outputs,
) -> Callable[[int], jax.Array]:
    """One step reaches every layer and moves every batch statistic.

    Args:
      model: with norm "sync_batch", called as (image, train).
      variables: of its `init`.
      image: f32 [B, H, W, 3].
      read: picks the array that is trained from what the model returns.

    Returns:
      The loss of that step by the seed of its dropout.
    """

    def loss(params: Any, key: jax.Array) -> tuple[jax.Array, Any]:
        outputs, new = model.apply(
            {**variables, "params": params},
            image,
            True,
            mutable=["batch_stats"],
            rngs={"dropout": key},
        )
        return jnp.mean(read(outputs) ** 2), new["batch_stats"]

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))

    def run(seed: int) -> Any:
        return step(variables["params"], jax.random.key(seed))

    (_, stats), grads = run(0)
    for path, leaf in jax.tree_util.tree_flatten_with_path(grads)[0]:
        assert np.all(np.isfinite(leaf)), path
        assert np.any(leaf != 0), path
    old_stats = jax.tree.leaves(variables["batch_stats"])
    for new, old in zip(jax.tree.leaves(stats), old_stats, strict=True):
        assert np.any(new != old)
    return lambda seed: run(seed)[0][0]


@pytest.fixture
def check_training_step() -> Callable[..., Callable[[int], jax.Array]]:
    return _check_training_step
