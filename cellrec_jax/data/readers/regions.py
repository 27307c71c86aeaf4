"""Optional masks of annotated and ignored regions that lie beside the images."""

import dataclasses
from pathlib import Path

import numpy as np

from cellrec_jax.data.pixels.images import load_mask
from cellrec_jax.data.record import Record
from cellrec_jax.errors import DataError


def attach_regions(record: Record, root: str | Path) -> Record:
    """Adds `annotated/<id>.png` and `ignore/<id>.png` to a record, where they exist.

    They lie beside the images folder: image 'train/12' looks for
    `annotated/train/12.png`, then for `train/annotated/12.png`. Not 0 is True. Regions
    that the record has already are cut (annotated) or joined (ignore) with the file's.

    Args:
      record: one image.
      root: folder of the set.

    Returns:
      The record with its regions.

    Raises:
      DataError: if a mask is unreadable or not of the image's size.
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
