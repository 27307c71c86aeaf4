"""Random numbers that belong to an image: the same on every host and in any order."""

import hashlib

import numpy as np


def words(text: str, number: int) -> np.ndarray:
    """uint64 [number] of random words keyed by a text; of a longer draw the first."""
    key = hashlib.blake2b(text.encode(), digest_size=16)
    # Raw Philox words are the same in all NumPy versions; Generator methods may not be.
    bits = np.random.Philox(key=int.from_bytes(key.digest(), "little"))
    return bits.random_raw(number)


def by_place(points_yx: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Order of cells by y, x and label, int64 [N], however a reader lists them."""
    points_yx = np.asarray(points_yx, np.float32).reshape(-1, 2)
    return np.lexsort((np.asarray(labels), points_yx[:, 1], points_yx[:, 0]))
