"""Which cells of a training image stay annotated, the same everywhere.

The draw depends on the seed, the image id and the image's points alone: not on the
method, epoch, worker, host, backend, or the order in which a reader lists the points.
Paper: Boxes Density Energy, Section 4 (random subsets of the annotations).
*Differs from the paper*: subsets of growing rates are nested.
"""

import math

import numpy as np

from cellrec_jax import errors
from cellrec_jax.data import keyed

_ROUNDING = 1e-9  # 0.1 * 30 is 3.0000000000000004: its ceiling must be 3


def keep_order(
    image_id: str, points_yx: np.ndarray, labels: np.ndarray, seed: int
) -> np.ndarray:
    """Fixed random order of an image's cells, int64 [N]; a rate keeps a prefix."""
    by_place = keyed.by_place(points_yx, labels)
    words = keyed.words(f"{int(seed)}/{image_id}", len(by_place))
    return by_place[np.argsort(words, kind="stable")]


def num_kept(num_cells: int, rate: float, *, keep_one: bool = False) -> int:
    """Number of cells that stay annotated: ceil(rate * n), at least one of any.

    The rate is in (0, 1], else a `ConfigError`; `keep_one` keeps one whatever it is.

    Example:
      >>> num_kept(30, 0.1), num_kept(31, 0.1), num_kept(3, 0.01), num_kept(0, 0.5)
      (3, 4, 1, 0)
    """
    if not 0 < rate <= 1:
        raise errors.ConfigError(
            f"data.keep_rate is {rate}; give a share above 0 and up to 1, such as 0.1"
        )
    wanted = 1 if keep_one else math.ceil(float(rate) * num_cells - _ROUNDING)
    return min(max(wanted, 1), num_cells)


def num_withheld(num_kept: int, share: float) -> int:
    """Number of kept cells that training does not see: floor(share * n), never all.

    Example:
      >>> [num_withheld(n, 0.2) for n in (0, 4, 5, 14, 15)]
      [0, 0, 1, 2, 3]
    """
    return math.floor(float(share) * num_kept + _ROUNDING)


def kept_mask(
    image_id: str,
    points_yx: np.ndarray,
    labels: np.ndarray,
    *,
    rate: float,
    keep_one: bool = False,
    seed: int,
    withheld: float = 0.0,
) -> np.ndarray:
    """Marks the cells of one training image that stay annotated, bool [N].

    Points are [N, 2] px in any order. `rate` is in (0, 1]; a higher one keeps the same
    cells and more. `keep_one` keeps a single cell whatever the rate. The last of them,
    a share `withheld` in [0, 1), are left out: see `withheld_mask`.
    """
    order = keep_order(image_id, points_yx, labels, seed)
    number = num_kept(len(order), rate, keep_one=keep_one)
    mask = np.zeros(len(order), dtype=bool)
    mask[order[: number - num_withheld(number, withheld)]] = True
    return mask


def withheld_mask(
    image_id: str,
    points_yx: np.ndarray,
    labels: np.ndarray,
    *,
    rate: float,
    keep_one: bool = False,
    seed: int,
    withheld: float,
) -> np.ndarray:
    """Marks what `kept_mask` leaves out of what it would keep otherwise, bool [N]."""
    cells = image_id, points_yx, labels
    given = kept_mask(*cells, rate=rate, keep_one=keep_one, seed=seed)
    return given & ~kept_mask(
        *cells, rate=rate, keep_one=keep_one, seed=seed, withheld=withheld
    )
