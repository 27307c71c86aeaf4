"""The cells of one image, as writers of formats get them."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from etils.epath import Path
import numpy as np
from scipy import ndimage

from cellrec_jax import errors, geometry
from cellrec_jax.data import transforms
from cellrec_jax.data.record import Record

LEAST_PX = 0.02
"""Least side of boxes drawn around points, at the border of an image."""
_STEP = 0.001
"""What writers keep of a px."""


class ImageCells(NamedTuple):
    """An image and its cells, (y, x) in px as shown."""

    image_id: str
    """'/'-separated."""
    file: Path
    """The image."""
    size_hw: tuple[int, int]
    points_yx: np.ndarray
    """f64 [N, 2], to a thousandth."""
    labels: np.ndarray
    """int [N] class ids."""
    boxes_yxyx: np.ndarray | None
    """f64 [N, 4], to a thousandth; None: the format or the set has none."""
    scores: np.ndarray | None
    """f64 [N], NaN where there is none; None where there are none at all."""
    masks: np.ndarray | None
    """i32 [H, W]: i + 1 at cell i."""
    ignore: np.ndarray | None
    annotated: np.ndarray | None

    @property
    def name(self) -> str:
        """Of the image's file, below the folder of images."""
        return f"{self.image_id}{self.file.suffix}"

    def score(self, index: int) -> float | None:
        """Of one cell, to a millionth; None where there is none."""
        if self.scores is None or not np.isfinite(self.scores[index]):
            return None
        return round(float(self.scores[index]), 6)


class Format(NamedTuple):
    """How cells are written."""

    write: Callable[[Path, Iterable[ImageCells], Sequence[str]], None]
    """Into a folder, image by image; the names are those of classes."""
    holds: frozenset[str]
    """Of points, boxes, masks, classes, numbers (of classes), scores and regions."""
    least_px: float = 0.0
    """The least side of a box that it can say."""


def of_record(record: Record, file: Path) -> ImageCells:
    """Cells of a record, of which `file` is the image; no known background."""
    if record.trust is not None:
        record = transforms.select_cells(record, record.trust >= 0)
    boxes = record.boxes_yxyx
    return ImageCells(
        record.image_id,
        file,
        (record.image.shape[0], record.image.shape[1]),
        _rounded(record.points_yx),
        record.labels,
        None if boxes is None else _rounded(boxes),
        record.scores,
        record.masks,
        record.ignore,
        record.annotated,
    )


def with_boxes(cells: ImageCells, side_px: float) -> ImageCells:
    """Boxes of a side around points; at the border smaller, so that they stay centred.

    Points nearer to it than half of `LEAST_PX` are moved inside by as much.
    """
    size = np.array(cells.size_hw, np.float64)
    points_yx = np.clip(cells.points_yx, LEAST_PX / 2, size - LEAST_PX / 2)
    reach = np.minimum(points_yx, size - points_yx).clip(max=side_px / 2)
    boxes = np.concatenate([points_yx - reach, points_yx + reach], axis=1)
    return cells._replace(boxes_yxyx=_rounded(boxes))


def widened(cells: ImageCells, least_px: float) -> tuple[ImageCells, int]:
    """Boxes with sides of at least `least_px`, inside the image; how many changed."""
    if cells.boxes_yxyx is None or not least_px:
        return cells, 0
    low, high = np.split(cells.boxes_yxyx, 2, axis=1)
    is_narrow = high - low < least_px
    limit = np.array(cells.size_hw) - least_px
    start = np.clip((low + high - least_px) / 2, 0, limit.clip(min=0))
    low, high = (
        np.where(is_narrow, new, old)
        for new, old in ((start, low), (start + least_px, high))
    )
    boxes = _rounded(np.concatenate([low, high], axis=1))
    return cells._replace(boxes_yxyx=boxes), int(is_narrow.any(axis=1).sum())


def not_whole(points_yx: np.ndarray) -> np.ndarray:
    """Points that do not look like clicks: a thousandth is added to one of whole ones.

    Example:
      >>> not_whole(np.array([[3.0, 7.0], [4.0, 8.0]])).tolist()
      [[3.0, 7.001], [4.0, 8.0]]
    """
    if not len(points_yx) or (points_yx != np.floor(points_yx)).any():
        return points_yx
    changed = points_yx.copy()
    changed[0, 1] += _STEP
    return changed


def below(folder: Path, place: str, cells: ImageCells, ending: str) -> Path:
    """File of an image in a sub-folder, whose folder is there."""
    file = folder / place / f"{cells.image_id}{ending}"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def need_boxes(cells: ImageCells) -> np.ndarray:
    """The boxes; RunError where nobody drew them."""
    if cells.boxes_yxyx is None:
        raise errors.RunError(f"{cells.image_id}: no boxes")  # `fitting` draws them
    return cells.boxes_yxyx


def around_masks(cells: ImageCells) -> np.ndarray:
    """Boxes f64 [N, 4] around the masks of cells, which have some."""
    windows = ndimage.find_objects(cells.masks, len(cells.labels))
    corners = [
        (rows.start, columns.start, rows.stop, columns.stop)
        for rows, columns in filter(None, windows)
    ]
    return np.array(corners, np.float64).reshape(-1, 4)


def _rounded(values: np.ndarray) -> np.ndarray:
    """To a thousandth, without negative zeros."""
    return np.round(np.asarray(values, np.float64), 3) + 0.0


def centers(cells: ImageCells) -> np.ndarray:
    """Middles of boxes, else the points."""
    if cells.boxes_yxyx is None:
        return cells.points_yx
    found: np.ndarray = geometry.box_centers(cells.boxes_yxyx)
    return found


def guarded(text: str) -> str:
    """With an apostrophe where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def texts(values: Sequence[float] | np.ndarray) -> list[str]:
    """Numbers without needless decimals.

    Example:
      >>> texts([3.0, 7.125])
      ['3', '7.125']
    """
    return [f"{value:.3f}".rstrip("0").rstrip(".") for value in values]
