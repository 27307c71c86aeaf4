"""Detections and annotations drawn on the image, as in Fig. 7 of the BDE paper."""

from collections.abc import Sequence
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cellrec_jax.io import atomic, palette

_RED = (230, 20, 20)
_DARK = (20, 20, 20)
_WHITE = (255, 255, 255)
_MARKER_PX = 7.0  # from the centre of a diamond to its corners
_TEXT_PX = (10, 28)  # least and largest height of the legend's text
_TEXT_SHARE = 40  # of the image's shorter side, inside these limits
_LEGEND_SHARE = 1 / 3  # of the image; a legend that would cover more is left out


def draw_overlay(
    image: np.ndarray,
    points_yx: np.ndarray,
    scores: np.ndarray,
    *,
    true_boxes_yxyx: np.ndarray | None = None,
    true_labels: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    score_threshold: float = 0.6,
    colors: Sequence[tuple[int, int, int]] = (),
    legend: Sequence[str] = (),
) -> Image.Image:
    """Draws detections as diamonds and annotations as boxes: RGB, [H, W].

    Both are of their class's colour (K `colors`, else `palette.class_colors`), without
    class ids green and red; diamonds lie above the boxes and are edged in dark, to be
    seen on pale and on dark cells. Of an image uint8 [H, W, 3] or [H, W, 1] (not
    changed; ValueError for others), detections [M, 2] in px from `score_threshold` on,
    boxes [N, 4] in px, and class ids 0..K-1, `labels` [M] and `true_labels` [N].
    `legend` is a line of text a class, in the corner with the fewest cells, unless it
    would cover a third of the image.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(f"uint8 [H, W, 3] wanted, not {image.dtype} {image.shape}")
    image = np.broadcast_to(image, (*image.shape[:2], 3))
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    if labels is None:
        labels = np.zeros(len(points_yx), np.int64)
    seen = [labels] if true_labels is None else [labels, true_labels]
    highest = max(int(np.max(one, initial=0)) for one in seen)
    colors = colors or palette.class_colors(max(highest + 1, len(legend)))
    boxes = np.zeros((0, 4)) if true_boxes_yxyx is None else true_boxes_yxyx
    edges = [_RED] * len(boxes)
    if true_labels is not None:
        edges = [colors[int(label)] for label in true_labels]
    for box_yxyx, edge in zip(boxes, edges, strict=True):
        _draw_box(pen, box_yxyx, edge)
    for point_yx, score, label in zip(points_yx, scores, labels, strict=True):
        if score >= score_threshold:
            _draw_diamond(pen, point_yx, colors[int(label)])
    if legend:
        shown = np.asarray(points_yx)[np.asarray(scores) >= score_threshold]
        draw_legend(canvas, legend, colors, shown)
    return canvas


def write_png(path: str | os.PathLike[str], image: Image.Image | np.ndarray) -> None:
    """Writes an image, drawn or uint8 [H, W, 3] or [H, W], whole or not at all."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    with atomic.atomic_path(path) as temporary:
        # Five times as fast as the default, for files that are a tenth larger.
        image.save(temporary, format="PNG", compress_level=1)


def _draw_box(
    pen: ImageDraw.ImageDraw, box_yxyx: np.ndarray, color: tuple[int, int, int]
) -> None:
    """Outlines the pixels that a half-open box covers."""
    # Pixel i covers [i, i + 1): the last pixel of [y0, y1) is y1 - 1.
    y0, x0, y1, x1 = (round(float(value)) for value in box_yxyx)
    pen.rectangle((x0, y0, max(x1 - 1, x0), max(y1 - 1, y0)), outline=color, width=2)


def draw_legend(
    image: Image.Image,
    lines: Sequence[str],
    colors: Sequence[tuple[int, int, int]],
    points_yx: np.ndarray,
) -> None:
    """Writes a swatch and a line for each class where it hides the fewest points.

    In a corner of an RGB image, which is changed, unless it would cover a third.
    """
    pen, size_wh = ImageDraw.Draw(image), image.size
    least, most = _TEXT_PX
    text_px = min(max(min(size_wh) // _TEXT_SHARE, least), most)
    font = ImageFont.load_default(text_px)
    pad, row = text_px // 2, round(1.5 * text_px)
    widths = [pen.textlength(line, font=font) for line in lines]
    box_w = round(max(widths) + text_px + 3 * pad)
    box_h = row * len(lines) + pad
    width, height = size_wh
    if box_w > width or box_w * box_h > _LEGEND_SHARE * width * height:
        return
    left, top = _emptiest_corner((box_h, box_w), (height, width), points_yx)
    corner_xy = (left + box_w - 1, top + box_h - 1)
    pen.rectangle((left, top, *corner_xy), fill=_WHITE, outline=_DARK)
    for place, (line, color) in enumerate(zip(lines, colors, strict=False)):
        y, x = top + pad + place * row, left + pad
        swatch = (x, y, x + text_px - 1, y + text_px - 1)
        pen.rectangle(swatch, fill=color, outline=_DARK)
        text_xy = (x + text_px + pad, y + text_px // 2)
        pen.text(text_xy, line, fill=_DARK, font=font, anchor="lm")


def _emptiest_corner(
    box_hw: tuple[int, int], size_hw: tuple[int, int], points_yx: np.ndarray
) -> tuple[int, int]:
    """Left and top, px, of a box in the corner where it hides the fewest points."""
    (box_h, box_w), (height, width) = box_hw, size_hw
    corners = [(x, y) for y in (0, height - box_h) for x in (0, width - box_w)]
    hidden = [
        np.sum(np.all((points_yx >= (y, x)) & (points_yx < (y + box_h, x + box_w)), 1))
        for x, y in corners
    ]
    return corners[int(np.argmin(hidden))]


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
