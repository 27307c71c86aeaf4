"""Bootstrap intervals of ratios, for few units.

The percentile interval of few units is too narrow: bootstrap draws vary by (n - 1) / n
of the variance, and normal tails stand for those of Student's t. Hesterberg's expanded
percentiles mend both. Of simulated slides (see `units`) with 16 squares the plain
percentiles held in 0.92, BCa in 0.92, these in 0.96; with 9 squares in 0.89, 0.88 and
0.96.

References:
  Hesterberg, What teachers should know about the bootstrap, The American Statistician
  2015, section 4.
"""

import functools

import numpy as np
from scipy import special

from cellrec_jax.metrics import samples
from cellrec_jax.score.definitions import Score

NUM_DRAWS = 2000
_LEVEL = 0.95
_MOST_UNDEFINED = 0.05  # of the draws; of more nothing is told
_BLOCK = 2**22  # numbers of weights that are in memory at a time

Interval = tuple[float | None, float | None]


def totals(parts: np.ndarray, seed: int = 0, num_draws: int = NUM_DRAWS) -> np.ndarray:
    """Sums of drawn sets of units, f64 [S, D] of parts [U, D]; row 0 is the set itself.

    One row alone for fewer than two units.
    """
    num_units = len(parts)
    if num_units * num_draws <= _BLOCK:
        return _weights(num_units, seed, num_draws) @ parts
    step = max(_BLOCK // num_units, 1)
    drawn = [parts.sum(axis=0, keepdims=True)]
    for i, start in enumerate(range(0, num_draws, step)):
        number = min(step, num_draws - start)
        drawn.append(samples.draw(num_units, number, seed + i)[1:] @ parts)
    return np.concatenate(drawn)


@functools.lru_cache(maxsize=16)
def _weights(num_units: int, seed: int, num_draws: int) -> np.ndarray:
    return samples.draw(num_units, num_draws, seed).astype(np.float64)


def num_effective(below: np.ndarray) -> float:
    """As how many equal units those of sizes `below` [U] count (Kish), 0 of none."""
    total = float(np.square(below).sum())
    return float(below.sum()) ** 2 / total if total > 0 else 0.0


def interval(drawn: np.ndarray, num_units: float) -> Interval:
    """Expanded percentiles, 95 %, of a score's draws [S - 1].

    `num_units` may be a fraction, see `num_effective`. None where fewer than two units
    count, or more than 5 % of the draws are undefined.
    """
    defined = drawn[np.isfinite(drawn)]
    if num_units < 2 or len(defined) < (1 - _MOST_UNDEFINED) * max(len(drawn), 1):
        return None, None
    t = special.stdtrit(num_units - 1, (1 - _LEVEL) / 2)
    tail = special.ndtr(t * np.sqrt(num_units / (num_units - 1)))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def of_cells(score: Score, above: float, below: float) -> Interval:
    """The interval of cells as independent draws: Wilson's, or Poisson's of a count.

    What other units vary by is more, but of few cells, or none above the line, they may
    not show it. None where a score is neither a share nor a count over something.
    """
    if below <= 0:
        return None, None
    if score.is_share:
        return samples.wilson(int(above), int(below), _LEVEL)
    if set(score.above) <= {0.0, 1.0}:
        low, high = poisson(above)
        scale = score.scale / below
        return min(scale * low, score.most), min(scale * high, score.most)
    return None, None


def poisson(count: float) -> tuple[float, float]:
    """Garwood's exact 95 % interval of the mean of a count.

    Example:
      >>> [round(end, 3) for end in poisson(10)]
      [4.795, 18.39]
    """
    tail = (1 - _LEVEL) / 2
    low = special.gammaincinv(count, tail) if count > 0 else 0.0
    return float(low), float(special.gammaincinv(count + 1, 1 - tail))


def wider(first: Interval, second: Interval) -> Interval:
    """From the lower of two low ends to the higher of two high ones."""
    lows = [one for one in (first[0], second[0]) if one is not None]
    highs = [one for one in (first[1], second[1]) if one is not None]
    return (min(lows), max(highs)) if lows and highs else (None, None)
