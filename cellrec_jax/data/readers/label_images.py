"""Label images: every pixel holds the id of its cell, 0 is background, -1 ignored.

`images/` with `labels/` or `masks/`, same names (also in splits), as StarDist has them;
`NAME.tif` with `NAME_cp_masks.tif` beside it, or `NAME_img.png` with `NAME_masks.png`
(Cellpose); or `.../setK/raw.tif` with `.../setK/instances_ids.png` (Usiigaci).
"""

from collections import Counter
from collections.abc import Container, Mapping

from etils.epath import Path
import numpy as np

from cellrec_jax.data.pixels.files import IMAGE_ENDINGS
from cellrec_jax.data.readers import instance_masks, label_checks, label_files
from cellrec_jax.data.readers.folder import folder_source
from cellrec_jax.data.readers.instances import Instances, instances_from_ids
from cellrec_jax.data.readers.layout import check_pairs, has_pair, index_files
from cellrec_jax.data.record import Record, Source
from cellrec_jax.errors import DataError

NAME = "label_images"
CLASS_NAMES = ("cell",)
OTHERS = "label images in masks/ left out, those in labels/ are read"
SEVERAL_PARTS = "ids in several parts, point in the largest"

_LABEL_FOLDERS = ("labels", "masks")
_LOSSY_ENDINGS = (".jpg", ".jpeg")
_USIIGACI = ("raw.tif", "instances_ids.png")
_MASKS = ("_cp_masks", "_masks")
_NO_IMAGES = (*_MASKS, "_flows", "_cp_output", "_outlines", ".overlay")
_IMAGE = "_img"


def matches(root: Path) -> bool:
    """Whether there are label images with the names of images, or Usiigaci folders."""
    try:
        images, labels = _find_files(root)
        paired = not images.keys().isdisjoint(labels)
        return paired and not instance_masks.matches(root)
    except (OSError, DataError):
        return False


def open_source(root: Path) -> Source:
    """Opens a set of label images of 1, 8, 16 or 32 bits (PNG, TIFF, NumPy).

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
        file, size_hw = labels[image_id], image.shape[:2]
        ids = np.array(label_files.load_ids(file, size_hw, may_ignore=True))
        ignore = ids < 0
        ids[ignore] = 0
        found = _instances(ids, file, repairs)
        class_ids = np.zeros(len(found.points_yx), np.int32)
        return Record(
            image_id,
            image,
            found.points_yx,
            class_ids,
            masks=found.masks,
            ignore=ignore if ignore.any() else None,
        )

    return folder_source(
        NAME,
        CLASS_NAMES,
        images,
        lambda image_id: [labels[image_id]],
        read,
        root,
        stated=lambda image_id: label_files.stated(labels[image_id], images[image_id]),
        repairs={OTHERS: number} if (number := _count_others(root, labels)) else None,
    )


def _find_files(root: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Image id -> image file, and image id -> label image."""
    for endings in (label_files.ENDINGS, _LOSSY_ENDINGS):
        for folder in _LABEL_FOLDERS:
            if labels := index_files(root, folder, endings):
                images = index_files(root, "images", IMAGE_ENDINGS)
                return images, {_named(k, images): f for k, f in labels.items()}
    for folder in ("images", ""):
        images, labels = _beside(root, folder)
        if has_pair(images, labels):
            return images, labels
    images, labels = (
        {
            file.parent.relative_to(root).as_posix(): file
            for pattern in ("*", "*/*")
            for file in root.glob(f"{pattern}/{name}")
        }
        for name in _USIIGACI
    )
    return images, labels


def _count_others(root: Path, labels: Mapping[str, Path]) -> int:
    """Label images of a second folder, of images that have one in the first."""
    used = set(labels.values())
    others = index_files(root, _LABEL_FOLDERS[-1], label_files.ENDINGS)
    return sum(
        _named(key, labels) in labels and file not in used
        for key, file in others.items()
    )


def _named(key: str, images: Container[str]) -> str:
    """The image of a label image, which may be called as Cellpose does."""
    names = (key, *(key.removesuffix(ending) for ending in _MASKS))
    return next((name for name in names if name in images), key)


def _beside(root: Path, folder: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images of a folder, and the masks that Cellpose puts beside them."""
    found = index_files(root, folder, label_files.ENDINGS)
    for ending in _MASKS:
        labels = {
            key.removesuffix(ending): file
            for key, file in found.items()
            if key.endswith(ending)
        }
        if labels:
            break
    images = {
        key if key in labels else key.removesuffix(_IMAGE): file
        for key, file in index_files(root, folder, IMAGE_ENDINGS).items()
        if not key.endswith(_NO_IMAGES)
    }
    return images, labels


def read_instances(
    file: Path, size_hw: tuple[int, ...], repairs: Counter[str]
) -> Instances:
    """Reads a label image's cells; what marks no single cells is a `DataError` too."""
    return _instances(label_files.load_ids(file, size_hw), file, repairs)


def _instances(ids: np.ndarray, file: Path, repairs: Counter[str]) -> Instances:
    label_checks.check_values(ids, file)
    found = instances_from_ids(ids)
    label_checks.check_mask(ids, found.parts, file)
    label_checks.check_parts(found.parts, str(file))
    if (found.parts > 1).any():
        repairs[SEVERAL_PARTS] += int((found.parts > 1).sum())
    return found
