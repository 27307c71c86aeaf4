"""Label images: every pixel holds the id of its cell, 0 is background.

`images/` with `labels/` or `masks/`, same names (also in splits); or `.../setK/raw.tif`
with `.../setK/instances_ids.png` (Usiigaci).
"""

from collections import Counter

from etils.epath import Path
import numpy as np
from PIL import Image

from cellrec_jax.data.pixels import tiff
from cellrec_jax.data.pixels.files import IMAGE_ENDINGS
from cellrec_jax.data.readers import frames, instance_masks, label_checks
from cellrec_jax.data.readers.folder import folder_source
from cellrec_jax.data.readers.instances import Instances, instances_from_ids
from cellrec_jax.data.readers.layout import check_pairs, index_files
from cellrec_jax.data.record import Record, Source
from cellrec_jax.errors import DataError

NAME = "label_images"
CLASS_NAMES = ("cell",)
SEVERAL_PARTS = "ids in several parts, point in the largest"

_LABEL_FOLDERS = ("labels", "masks")
_LABEL_ENDINGS = (".png", ".tif", ".tiff", ".bmp")
_LOSSY_ENDINGS = (".jpg", ".jpeg")
_USIIGACI = ("raw.tif", "instances_ids.png")


def matches(root: Path) -> bool:
    """Whether there are label images with the names of images, or Usiigaci folders."""
    try:
        images, labels = _find_files(root)
        paired = not images.keys().isdisjoint(labels)
        return paired and not instance_masks.matches(root)
    except (OSError, DataError):
        return False


def open_source(root: Path) -> Source:
    """Opens a set of label images of 1, 8, 16 or 32 bits (PNG, TIFF).

    Ids in several parts are counted and keep all their pixels in the masks.
    """
    images, labels = _find_files(root)
    if not images or not labels:
        raise DataError(
            f"{root}: no {'images' if not images else 'label images'}: put them into "
            "images/ and labels/ under equal names"
        )
    check_pairs(root, images, labels, f"{'/ or '.join(_LABEL_FOLDERS)}/")
    label_checks.refuse_lossy(labels.values(), _LOSSY_ENDINGS, "ids")

    def read(image_id: str, image: np.ndarray, repairs: Counter[str]) -> Record:
        found = read_instances(labels[image_id], image.shape[:2], repairs)
        class_ids = np.zeros(len(found.points_yx), np.int32)
        return Record(image_id, image, found.points_yx, class_ids, masks=found.masks)

    return folder_source(
        NAME,
        CLASS_NAMES,
        images,
        lambda image_id: [labels[image_id]],
        read,
        root,
        stated=lambda image_id: frames.of_mask(labels[image_id], images[image_id]),
    )


def _find_files(root: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Image id -> image file, and image id -> label image."""
    for endings in (_LABEL_ENDINGS, _LOSSY_ENDINGS):
        for folder in _LABEL_FOLDERS:
            if labels := index_files(root, folder, endings):
                return index_files(root, "images", IMAGE_ENDINGS), labels
    images, labels = (
        {
            file.parent.relative_to(root).as_posix(): file
            for pattern in ("*", "*/*")
            for file in root.glob(f"{pattern}/{name}")
        }
        for name in _USIIGACI
    )
    return images, labels


def read_instances(
    file: Path, size_hw: tuple[int, ...], repairs: Counter[str]
) -> Instances:
    """Reads a label image's cells; what marks no single cells is a `DataError` too."""
    ids = load_ids(file, size_hw)
    label_checks.check_values(ids, file)
    found = instances_from_ids(ids)
    label_checks.check_mask(ids, found.parts, file)
    label_checks.check_parts(found.parts, str(file))
    if (found.parts > 1).any():
        repairs[SEVERAL_PARTS] += int((found.parts > 1).sum())
    return found


def load_ids(file: Path, size_hw: tuple[int, ...]) -> np.ndarray:
    """Ids [H, W] >= 0 as stored; a `DataError` for other files or another size."""
    try:
        if file.suffix.lower() in (".tif", ".tiff"):
            ids = _load_tiff(file)
            tiff.check_one_plane(file)
        else:
            with file.open("rb") as stream, Image.open(stream) as image:
                ids = np.asarray(image)
    except DataError:
        raise
    # Decoders raise every kind of error on damaged files.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"cannot read {file}: {reason}; export it again") from error
    if ids.ndim != 2 or ids.dtype.kind not in "uib":
        raise DataError(
            f"{file} is no label image (shape {ids.shape}, {ids.dtype}): save one grey "
            "channel of whole numbers"
        )
    if ids.min(initial=0) < 0:
        raise DataError(f"{file} has negative ids: number the cells from 1")
    if ids.shape != tuple(size_hw):
        raise DataError(
            f"{file} is {ids.shape[0]} x {ids.shape[1]} px but its image is "
            f"{size_hw[0]} x {size_hw[1]}: export it again"
        )
    return ids


def _load_tiff(file: Path) -> np.ndarray:
    with tiff.opened(file) as opened:
        page = opened.pages.first
        # tifffile takes what lies behind the end of a truncated file for zeros.
        ends = np.add(page.dataoffsets, page.databytecounts)
        if ends.max() > opened.filehandle.size:
            raise ValueError("the file is truncated")
        return np.squeeze(page.asarray())
