"""How much a metric would vary with another draw of images."""

import numpy as np


def resample_counts(num_images: int, num_bootstrap: int, seed: int) -> np.ndarray:
    """Draws sets of images with replacement, as counts.

    Args:
      num_images: images of the set, I.
      num_bootstrap: sets to draw, R.
      seed: of the draw; equal seeds give equal sets.

    Returns:
      int64 [R, I] how often each image is in each set; rows sum to I. No rows for
      fewer than two images, which tell nothing about how images vary.
    """
    if num_images < 2:
        return np.zeros((0, num_images), np.int64)
    rng = np.random.default_rng(seed)
    return rng.multinomial(
        num_images, np.full(num_images, 1 / num_images), num_bootstrap
    )


def interval(samples: np.ndarray, level: float = 0.95) -> tuple[float | None, ...]:
    """Central interval of bootstrap samples.

    Args:
      samples: [R] values of a metric; NaN where it was undefined (left out).
      level: share of samples inside the interval.

    Returns:
      (low, high), both None where no sample is defined.
    """
    defined = samples[np.isfinite(samples)]
    if len(defined) == 0:
        return None, None
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
