"""Cells of a slide on a small picture of it, with what was analysed."""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

from cellrec_jax.cells import Cells
from cellrec_jax.io import overlay
from cellrec_jax.predict.slide import tissue
from cellrec_jax.predict.slide.tissue import Mask

_CELL_UM = 2.0  # half the side of a square that a cell is, at least a px
_DARK, _LIGHT = (20, 20, 20), (235, 235, 235)
_LINE_PX = 2


def add_cells(
    canvas: np.ndarray,
    part: Cells,
    colors: Sequence[Sequence[int]],
    native_px: Sequence[float],
    mpp: float,
) -> None:
    """Paints cells as squares on uint8 [h, w, 3], in place.

    `native_px`: px of level 0, of `mpp` um, a px of the canvas, (y, x).
    """
    places = (part.points_yx / np.asarray(native_px)).astype(np.int64)
    shades = np.asarray(colors, np.uint8)[part.labels]
    reach = round(_CELL_UM / mpp / max(native_px))
    height, width = canvas.shape[:2]
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            y = np.clip(places[:, 0] + dy, 0, height - 1)
            x = np.clip(places[:, 1] + dx, 0, width - 1)
            canvas[y, x] = shades


def add_outline(
    canvas: np.ndarray, analysed: Mask, native_px: Sequence[float]
) -> np.ndarray:
    """Draws the edge of what was analysed, in place; points [M, 2] inside, px."""
    rows, columns = (
        np.clip(((np.arange(size) + 0.5) * own / there).astype(int), 0, most - 1)
        for size, own, there, most in zip(
            *(canvas.shape[:2], native_px, analysed.native_px, analysed.inside.shape),
            strict=True,
        )
    )
    inside = analysed.inside[np.ix_(rows, columns)]
    inner = ndimage.binary_erosion(inside, np.ones((3, 3)), _LINE_PX, border_value=1)
    is_dark = np.median(canvas[::8, ::8]) < tissue.DARK
    canvas[inside & ~inner] = _LIGHT if is_dark else _DARK
    return np.argwhere(inside[::8, ::8]) * 8


def with_legend(
    canvas: np.ndarray,
    class_names: Sequence[str],
    counts: Sequence[int],
    colors: Sequence[tuple[int, int, int]],
    inside_yx: np.ndarray,
) -> Image.Image:
    """A line a class, and its number of cells, where it hides the least inside."""
    lines = [
        f"{name}: {count}" for name, count in zip(class_names, counts, strict=True)
    ]
    picture = Image.fromarray(canvas)
    overlay.draw_legend(picture, lines, colors, inside_yx)
    return picture
