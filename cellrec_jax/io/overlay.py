"""Detections and annotations drawn on the image, as in Fig. 7 of the BDE paper."""

import io
import os

import numpy as np
from PIL import Image, ImageDraw

from cellrec_jax.io import atomic, palette

_RED = (230, 20, 20)
_DARK = (20, 20, 20)
_MARKER_PX = 7.0  # from the centre of a diamond to its corners


def draw_overlay(
    image: np.ndarray,
    points_yx: np.ndarray,
    scores: np.ndarray,
    *,
    true_boxes_yxyx: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    score_threshold: float = 0.6,
) -> np.ndarray:
    """Draws detections as diamonds and annotations as red boxes: uint8 [H, W, 3].

    Diamonds are of their class's colour (`palette.class_colors`), else green, above the
    boxes and edged in dark, to be seen on pale and on dark cells. Of an image uint8 [H,
    W, 3] or [H, W, 1] (not changed; ValueError for others), detections [M, 2] in px
    from `score_threshold` on, boxes [N, 4] in px and class ids 0..K-1 [M].
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(f"uint8 [H, W, 3] wanted, not {image.dtype} {image.shape}")
    image = np.broadcast_to(image, (*image.shape[:2], 3))
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    for box_yxyx in () if true_boxes_yxyx is None else true_boxes_yxyx:
        _draw_box(pen, box_yxyx)
    if labels is None:
        labels = np.zeros(len(points_yx), np.int64)
    colors = palette.class_colors(int(np.max(labels, initial=0)) + 1)
    for point_yx, score, label in zip(points_yx, scores, labels, strict=True):
        if score >= score_threshold:
            _draw_diamond(pen, point_yx, colors[int(label)])
    return np.array(canvas)


def write_png(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Writes an image, uint8 [H, W, 3] or [H, W], as PNG, whole or not at all."""
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, format="PNG")
    atomic.write_bytes(path, encoded.getvalue())


def _draw_box(pen: ImageDraw.ImageDraw, box_yxyx: np.ndarray) -> None:
    """Outlines the pixels that a half-open box covers."""
    # Pixel i covers [i, i + 1): the last pixel of [y0, y1) is y1 - 1.
    y0, x0, y1, x1 = (round(float(value)) for value in box_yxyx)
    pen.rectangle((x0, y0, max(x1 - 1, x0), max(y1 - 1, y0)), outline=_RED, width=2)


def _draw_diamond(
    pen: ImageDraw.ImageDraw, point_yx: np.ndarray, color: tuple[int, int, int]
) -> None:
    # The drawing library puts pixel centres on whole numbers.
    y, x = (float(value) - 0.5 for value in point_yx)
    r = _MARKER_PX
    corners_xy = [(x, y - r), (x + r, y), (x, y + r), (x - r, y)]
    outline_xy = [*corners_xy, corners_xy[0]]
    pen.line(outline_xy, fill=_DARK, width=4, joint="curve")
    pen.line(outline_xy, fill=color, width=2, joint="curve")
