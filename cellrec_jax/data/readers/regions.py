"""Annotated and ignored regions: masks beside the images, and boxes."""

import dataclasses

from etils.epath import Path
import numpy as np

from cellrec_jax.data.pixels.images import load_mask
from cellrec_jax.data.record import Record
from cellrec_jax.errors import DataError


def attach_regions(record: Record, root: str | Path) -> Record:
    """Adds `annotated/<id>.png` and `ignore/<id>.png` to a record, where they exist.

    Image 'train/12' looks for `annotated/train/12.png`, then `train/annotated/12.png`;
    not 0 is True. They cut (annotated) or join (ignore) the record's regions.
    Unreadable masks, or of another size, are a `DataError`.
    """
    annotated, ignore = (
        _read_region(record, Path(root), name) for name in ("annotated", "ignore")
    )
    if annotated is not None and record.annotated is not None:
        annotated &= record.annotated
    if ignore is not None and record.ignore is not None:
        ignore |= record.ignore
    return dataclasses.replace(
        record,
        annotated=record.annotated if annotated is None else annotated,
        ignore=record.ignore if ignore is None else ignore,
    )


def _read_region(record: Record, root: Path, name: str) -> np.ndarray | None:
    split, _, rest = record.image_id.partition("/")
    candidates = [root / name / f"{record.image_id}.png"]
    if rest:
        candidates.append(root / split / name / f"{rest}.png")
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        return None
    region = load_mask(path)
    if region.shape != record.image.shape[:2]:
        raise DataError(
            f"{path} is {region.shape[0]} x {region.shape[1]} px but its image is "
            f"{record.image.shape[0]} x {record.image.shape[1]}: draw it on the image"
        )
    return region


def ignore_boxes(boxes_yxyx: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray | None:
    """Marks pixels that boxes [N, 4] px (finite) touch, bool [H, W]; None if no boxes.

    Example:
      >>> ignore_boxes(np.array([[0.0, 1.5, 1.0, 3.0]]), (2, 4)).astype(int).tolist()
      [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    if len(boxes_yxyx) == 0:
        return None
    ignore = np.zeros(size_hw, dtype=bool)
    height, width = size_hw
    low = np.minimum(boxes_yxyx[:, :2], boxes_yxyx[:, 2:])
    high = np.maximum(boxes_yxyx[:, :2], boxes_yxyx[:, 2:])
    starts = np.clip(np.floor(low), 0, (height, width)).astype(int)
    ends = np.clip(np.ceil(high), 0, (height, width)).astype(int)
    for (top, left), (bottom, right) in zip(starts, ends, strict=True):
        ignore[top:bottom, left:right] = True
    return ignore
