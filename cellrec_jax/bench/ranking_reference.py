"""Right results for `bench.ranking`, in float64.

The rows of the benchmark repeat a pool, each copy with a label of its own. No
contestant knows, but here they are counted, so that any number of rows takes the time
of the pool. All take the features [N, D] and the masks of positives and negatives [N].
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import optimize

POOL = 1000  # different rows
P = 4.0
RIDGE = 0.1
STEPS = 100  # of the descents that do not reach the least total
_RATE = 1e-5  # of sums over ...
_RATE_ROWS = 1000  # ... so many rows, as published


class Counted(NamedTuple):
    """Rows that count several times, in float64."""

    features: np.ndarray  # [N, D]
    num_positive: np.ndarray  # [N]
    num_negative: np.ndarray

    def loss(self, scores: np.ndarray) -> tuple[float, np.ndarray]:
        """Sum over rows, and its gradient [N]."""
        of_positive = self.num_positive * np.exp(-scores)
        of_negative = self.num_negative * np.exp(P * scores)
        return of_positive.sum() + of_negative.sum() / P, of_negative - of_positive

    def total(self, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and ridge term, and their gradient [D]."""
        loss, slope = self.loss(self.features @ weights)
        shrunk = np.append(weights[:-1], 0)  # the bias has no ridge
        gradient = slope @ self.features + 2 * RIDGE * shrunk
        return loss + RIDGE * shrunk @ shrunk, gradient


def rate(num_rows: int) -> float:
    """Learning rate of gradient descent with full batches."""
    return _RATE * min(1.0, _RATE_ROWS / num_rows)


def pooled(features: Any, *masks: Any) -> Counted:
    """The pool in float64, with the numbers of its copies."""
    pool = np.asarray(features[:POOL], np.float64)
    rows = np.arange(len(features)) % len(pool)
    return Counted(pool, *(np.bincount(rows, mask, len(pool)) for mask in masks))


def expected_pass(weights: Any, *data: Any, backward: bool) -> Any:
    """Logarithm of the loss, without ridge; `backward`: and its gradient."""
    pool = pooled(*data)
    loss, slope = pool.loss(pool.features @ np.asarray(weights, np.float64))
    gradient = slope @ pool.features / loss
    return (np.log(loss), gradient) if backward else np.log(loss)


def least_total(*data: Any) -> float:
    """Total at the minimum."""
    pool = pooled(*data)

    def logarithm(weights: np.ndarray) -> tuple[float, np.ndarray]:
        total, gradient = pool.total(weights)
        return np.log(total), gradient / total

    options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-7, "gtol": 0.0}
    found = optimize.minimize(
        logarithm,
        np.zeros(pool.features.shape[1]),
        jac=True,
        method="L-BFGS-B",
        options=options,
    )
    return float(np.exp(found.fun))


def sgd_total(*data: Any) -> float:
    """Total after `STEPS` steps of gradient descent from 0."""
    pool = pooled(*data)
    weights = np.zeros(pool.features.shape[1])
    for _ in range(STEPS):
        weights -= rate(len(data[0])) * pool.total(weights)[1]
    return pool.total(weights)[0]
