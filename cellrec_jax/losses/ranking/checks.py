"""Checks of the arguments of `losses.ranking.solvers`: values where they are known."""

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import masking
from cellrec_jax.losses.ranking import objective as ranking


def check_problem(
    features: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    p: jax.Array | float,
    ridge: jax.Array | float,
    initial: jax.Array | None,
) -> None:
    """Checks the arguments that all solvers take.

    Raises:
      ValueError: see `ranking_solvers.solve_sgd`.
    """
    if features.ndim != 2 or features.shape[:1] != positive.shape:
        raise ValueError(
            f"features [N, D] and masks [N] do not fit: {features.shape} and "
            f"{positive.shape}"
        )
    if features.shape[1] == 0:
        raise ValueError("features have no columns: D >= 1, the last one is constant")
    ranking.check_sides(positive, negative, p)
    if masking.is_known(ridge) and not 0 <= float(ridge) < jnp.inf:
        raise ValueError(f"ridge must be >= 0 and finite, not {ridge}")
    if initial is not None:
        _check_initial(initial, features.shape[1:])
    if all(map(masking.is_known, (features, positive, negative))):
        _check_features(features, np.asarray(positive) | np.asarray(negative))


def check_descent(max_steps: int, tolerance: jax.Array | float) -> None:
    """Checks what the solvers of the convex problem take besides.

    Raises:
      ValueError: for no steps, or a known tolerance that is not >= 0.
    """
    _at_least_one(max_steps=max_steps)
    if masking.is_known(tolerance) and not float(tolerance) >= 0:
        raise ValueError(f"tolerance must be >= 0, not {tolerance}")


def check_epochs(
    epochs: int, batch_size: int, learning_rate: jax.Array | float
) -> None:
    """Checks what gradient descent takes besides.

    Raises:
      ValueError: for no epochs, empty batches, or a known rate out of range.
    """
    _at_least_one(epochs=epochs, batch_size=batch_size)
    if masking.is_known(learning_rate) and not 0 < float(learning_rate) < jnp.inf:
        raise ValueError(
            f"learning_rate must be above 0 and finite, not {learning_rate}"
        )


def _check_initial(initial: jax.Array, shape: tuple[int, ...]) -> None:
    if initial.shape != shape:
        raise ValueError(f"initial weights must be [D] = {shape}, not {initial.shape}")
    if masking.is_known(initial) and not np.isfinite(np.asarray(initial)).all():
        raise ValueError("initial weights must be finite: some are NaN or infinite")


def _check_features(features: jax.Array, real: np.ndarray) -> None:
    with jax.ensure_compile_time_eval():  # features may be large: stay on the device
        finite = np.asarray(_finite_rows(jnp.asarray(features)))
    bad_rows = np.flatnonzero(real & ~finite)
    if bad_rows.size:
        raise ValueError(
            f"features of {bad_rows.size} rows are NaN or infinite, the first at row "
            f"{bad_rows[0]}: leave them out of both masks"
        )


def _at_least_one(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, not {count}")


@jax.jit
def _finite_rows(features: jax.Array) -> jax.Array:
    return jnp.all(jnp.isfinite(features), axis=1)
