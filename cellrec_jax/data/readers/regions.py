"""Annotated and ignored regions: masks beside the images, and boxes."""

from collections import Counter
from collections.abc import Iterable, Mapping
import dataclasses
from typing import NamedTuple

from etils.epath import Path
import numpy as np

from cellrec_jax.data.pixels import orientation
from cellrec_jax.data.pixels.files import IMAGE_ENDINGS
from cellrec_jax.data.pixels.images import Sizes, load_image, load_mask
from cellrec_jax.data.readers import frames
from cellrec_jax.data.readers.layout import index_files
from cellrec_jax.data.record import Record
from cellrec_jax.errors import DataError

_LOSSY = (".jpg", ".jpeg", ".webp")


class Regions(NamedTuple):
    """Masks of a set by image id."""

    annotated: Mapping[str, Path]
    ignore: Mapping[str, Path]

    def files_of(self, image_id: str) -> list[Path]:
        """The masks of an image, none to two."""
        return [files[image_id] for files in self if image_id in files]


def find_regions(root: str | Path, image_ids: Iterable[str]) -> Regions:
    """Finds `annotated/<id>.*` and `ignore/<id>.*`, images of any ending.

    Image 'train/12' has `annotated/train/12.png` or `train/annotated/12.png`. Two masks
    of an image, or one without image, are a `DataError`.
    """
    known, root = set(image_ids), Path(root)
    found = Regions(*(index_files(root, n, IMAGE_ENDINGS) for n in Regions._fields))
    for files in found:
        for image_id, file in files.items():
            if image_id not in known:
                raise DataError(
                    f"{file} is of no image: there is none named '{image_id}'; rename "
                    "or remove it"
                )
    return found


def attach_regions(
    record: Record, regions: Regions, sizes: Sizes, repairs: Counter[str]
) -> Record:
    """Adds an image's masks to its record: not 0 is True, of JPEG from half on.

    They cut (annotated) or join (ignore) the record's regions, turned if they are of
    the stored picture. Unreadable ones, or of another size: `DataError`.
    """
    annotated, ignore = (
        _read_region(files.get(record.image_id), sizes, repairs) for files in regions
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


def _read_region(
    path: Path | None, sizes: Sizes, repairs: Counter[str]
) -> np.ndarray | None:
    if path is None:
        return None
    if path.suffix.lower() in _LOSSY:
        pixels = load_image(path, channels=1)[..., 0]
        region = pixels > np.iinfo(pixels.dtype).max // 2
    else:
        region = load_mask(path)
    stated = frames.Stated(str(path), (region.shape[0], region.shape[1]))
    turn = frames.turn_of(sizes, stated, repairs)
    return np.array(orientation.turn(region, turn))


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
