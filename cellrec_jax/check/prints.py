"""A print of an image that survives turns, resizing, lossy saving and new colours.

The image is made 16 x 16 px grey values; each is one bit: brighter or darker than the
mean of the 5 x 5 around it. Two prints differ in about half of their bits. Of 6 to 120
fields of cells of five sets, all pairs in all eight orientations, none of different
places differed in fewer than 86 bits; one place at two focuses in 16; the same image
resized, blurred, saved as JPEG of quality 20 or made grey in 15 at most, and cropped by
3 % in 41. Crops that share half of their area are not found.
"""

import numpy as np
from scipy import ndimage

SIDE = 16
LENGTH = SIDE * SIDE
MOST_BITS = 48
"""Prints that differ in as many bits or fewer are of one image."""

_AROUND = 5
_BLOCK = 2048  # images compared at a time


def look_of(small: np.ndarray) -> np.ndarray:
    """The print of an image [h, w, 3], of any size: i8 [256] of -1 and 1."""
    grey = small.mean(-1, dtype=np.float64)
    for axis in (0, 1):
        grey = _shrunk(grey, axis)
    around = ndimage.uniform_filter(grey, _AROUND, mode="nearest")
    # What is even, as a blank image, is the same everywhere, whatever is rounded.
    return np.where(grey > around + 1e-6, 1, -1).astype(np.int8).ravel()


def _shrunk(values: np.ndarray, axis: int) -> np.ndarray:
    """Means over `SIDE` equal parts of an axis; what a border cuts counts in part."""
    length = values.shape[axis]
    sums = np.cumsum(np.moveaxis(values, axis, 0), axis=0)
    sums = np.concatenate([np.zeros_like(sums[:1]), sums])
    ends = np.linspace(0, length, SIDE + 1)
    low = np.minimum(ends.astype(int), length - 1)
    at = sums[low] + (ends - low)[:, None] * (sums[low + 1] - sums[low])
    return np.moveaxis(np.diff(at, axis=0) * (SIDE / length), 0, axis)


def turned(looks: np.ndarray) -> list[np.ndarray]:
    """The prints [I, 256] of images turned and mirrored: eight, the first as it is."""
    grids = looks.reshape(-1, SIDE, SIDE)
    found = []
    for mirrored in (grids, grids[:, :, ::-1]):
        found += [np.rot90(mirrored, k, (1, 2)) for k in range(4)]
    return [one.reshape(len(looks), LENGTH) for one in found]


def pairs(looks: np.ndarray, most: int = MOST_BITS) -> list[tuple[int, int, int]]:
    """Pairs (i, j, differing bits) of prints [I, 256], i < j, in any orientation."""
    found: dict[tuple[int, int], int] = {}
    values = looks.astype(np.float32)
    for other in turned(looks):
        columns = other.astype(np.float32).T
        for start in range(0, len(values), _BLOCK):
            differing = (LENGTH - values[start : start + _BLOCK] @ columns) / 2
            for i, j in np.argwhere(differing <= most).tolist():
                bits, i = round(float(differing[i, j])), i + start
                if i < j:
                    found[i, j] = min(bits, found.get((i, j), LENGTH))
    return sorted((i, j, bits) for (i, j), bits in found.items())
