"""What an image's pixels say of its cells: borders, empty ground, blank images."""

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from cellrec_jax import geometry
from cellrec_jax.check.rules import NOTE, Finding, finding
from cellrec_jax.data import example
from cellrec_jax.data.record import Record
from cellrec_jax.predict.slide import tissue

_SAME = 2  # grey levels of 255 that JPEG makes of one
_LEAST_BORDER_PX = 4
_LEAST_GROUND = 0.02  # of the image; with less ground tissue tells nothing
_LEAST_TISSUE = 0.01
_LEAST_CONTRAST = 2.5  # of the spreads of tissue and ground; stains have 2.5 to 20
_MANY = 0.25  # of an image's cells, and at least so many, are told as one
_LEAST_MANY = 5


def of_image(
    record: Record, small: np.ndarray, square: int, size_px: float
) -> list[Finding]:
    """All of these of a record and its `facts.small_of`; cells of `size_px` px."""
    inner = content(record.image)
    if inner[0] >= inner[2]:
        text = "all pixels have one colour"
        return [finding("blank", record.image_id, text)]
    return [
        *_in_padding(record, inner),
        *_off_tissue(record, small, square, size_px),
        *_not_counted(record),
    ]


def content(image: np.ndarray) -> tuple[int, int, int, int]:
    """What borders of one colour leave of [H, W, C]: (top, left, bottom, right), px.

    Borders are whole rows and columns, of the colour of their corner; (0, 0, 0, 0) of a
    blank image.
    """
    height, width = image.shape[:2]
    same = _SAME * (1 if image.dtype == np.uint8 else 257)

    def run(lines: np.ndarray) -> int:
        """Number of first lines [n, m, C] of the colour of the first pixel."""
        first = lines[0, 0].astype(np.int64)
        for number in range(len(lines)):
            if (np.abs(lines[number] - first) > same).any():
                return number
        return len(lines)

    top = run(image)
    if top == height:
        return 0, 0, 0, 0
    bottom = height - run(image[::-1])
    sideways = image[top:bottom].swapaxes(0, 1)
    return top, run(sideways), bottom, width - run(sideways[::-1])


def _in_padding(record: Record, inner: tuple[int, int, int, int]) -> Iterator[Finding]:
    """Cells in borders of some width."""
    height, width = record.image.shape[:2]
    top, left, bottom, right = inner
    low = np.array([top, left]) * (np.array([top, left]) >= _LEAST_BORDER_PX)
    high = np.where(
        np.array([height - bottom, width - right]) >= _LEAST_BORDER_PX,
        [bottom, right],
        [height, width],
    )
    outside = ((record.points_yx < low) | (record.points_yx >= high)).any(1)
    text = f"in a border of one colour: the picture is y {top} to {bottom}, x {left} "
    text += f"to {right}"
    for place in record.points_yx[outside]:
        yield finding("padding", record.image_id, text, place)


def _off_tissue(
    record: Record, small: np.ndarray, square: int, size_px: float
) -> Iterator[Finding]:
    """Cells with no tissue within half a cell, where tissue and ground differ.

    A few are notes: a cell may be paler than the palest ground.
    """
    if not len(record.points_yx):
        return
    margin = max(1, round(size_px / 2 / square))
    found = tissue.inside(small, 0)
    inside = ndimage.maximum_filter(found, 2 * margin + 1).astype(bool)
    if not _LEAST_TISSUE < inside.mean() < 1 - _LEAST_GROUND:
        return
    if not _is_even(small[~found], small[found]):
        return
    places = geometry.point_to_pixel(record.points_yx / square)
    row, column = np.minimum(places, np.array(inside.shape) - 1).T
    off = np.flatnonzero(~inside[row, column])
    number = len(record.points_yx)
    if len(off) >= max(_LEAST_MANY, _MANY * number):
        text = f"{len(off)} of {number} cells are where there is nothing but ground"
        yield finding("off-tissue", record.image_id, text)
        return
    for place in record.points_yx[off]:
        text = f"nothing but ground within {margin * square} px"
        yield finding("off-tissue", record.image_id, text, place, weight=NOTE)


def _is_even(ground: np.ndarray, rest: np.ndarray) -> bool:
    """Whether ground [n, 3] is glass or the like, and no brighter half of a texture."""
    spread = np.maximum(ground.std(axis=0), 1.0)
    return bool((rest.std(axis=0) / spread).max() > _LEAST_CONTRAST)


def _not_counted(record: Record) -> Iterator[Finding]:
    """Cells that regions leave out, as one."""
    left_out = ~example.lie_in(example.valid_region(record), record.points_yx)
    if left_out.any():
        text = f"{left_out.sum()} of {len(left_out)} cells do not count"
        yield finding("not-counted", record.image_id, text)
