"""Slides that are arrays."""

from pathlib import Path

import numpy as np

from cellrec_jax.data.pixels import slides
from cellrec_jax.data.pixels.slide_reader import BadRegion, Reader, find_levels


def slide(image: np.ndarray, num_levels: int = 1, bad_yxyx=None) -> slides.Slide:
    """A slide of an image uint8 [H, W, 3], halved by means; level 0 bad in a part."""
    images = [image]
    for _ in range(num_levels - 1):
        height, width = (side // 2 * 2 for side in images[-1].shape[:2])
        quarters = images[-1][:height, :width].reshape(height // 2, 2, width // 2, 2, 3)
        images.append(quarters.mean((1, 3)).round().astype(np.uint8))
    levels = find_levels(Path("array"), [one.shape[:2] for one in images])

    def read(level, origin_yx, size_hw):
        (top, left), (height, width) = origin_yx, size_hw
        if bad_yxyx is not None and level == 0:
            y0, x0, y1, x1 = bad_yxyx
            if top < y1 and left < x1 and top + height > y0 and left + width > x0:
                raise BadRegion("damaged")
        return images[level][top : top + height, left : left + width]

    reader = Reader("array", "", tuple(levels.values()), read, lambda: None)
    return slides.Slide(Path("array"), reader.levels, reader)
