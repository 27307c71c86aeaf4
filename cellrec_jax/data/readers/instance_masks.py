"""Data Science Bowl 2018: `ID/images/NAME.png`, one file of `ID/masks/` a cell."""

from collections import Counter

from etils.epath import Path
import numpy as np

from cellrec_jax.data.pixels.files import list_images
from cellrec_jax.data.pixels.images import load_mask
from cellrec_jax.data.readers import frames, label_checks
from cellrec_jax.data.readers.folder import folder_source
from cellrec_jax.data.readers.instances import instances_from_ids
from cellrec_jax.data.readers.layout import check_pairs
from cellrec_jax.data.record import Record, Source
from cellrec_jax.data.text import composed
from cellrec_jax.errors import DataError

NAME = "instance_masks"
CLASS_NAMES = ("cell",)
EMPTY = "empty masks dropped"
OVERLAPPING = "masks drawn over earlier ones"
HIDDEN = "masks dropped that later ones hide"


def matches(root: Path) -> bool:
    """Whether folders have one image in `images/` and `masks/` (not of its name)."""
    try:
        return any(map(_is_image_folder, root.iterdir()))
    except (OSError, DataError):
        return False


def open_source(root: Path) -> Source:
    """Opens mask folders; no masks are no cells. Of overlapping ones the later wins."""
    folders = {
        composed(folder.name): folder
        for folder in sorted(root.iterdir())
        if folder.is_dir()
    }
    images = {i: f for i, f in folders.items() if (f / "images").is_dir()}
    masks = {i: f for i, f in folders.items() if (f / "masks").is_dir()}
    if not images:
        raise DataError(f"{root}: no folders ID/images with ID/masks")
    check_pairs(root, images, masks, "ID/masks/")
    files = {image_id: _only_image(images[image_id]) for image_id in images}

    def mask_files(image_id: str) -> list[Path]:
        return list_images(masks[image_id] / "masks")

    def stated(image_id: str) -> frames.Stated | None:
        first = next(iter(mask_files(image_id)), None)
        return first and frames.of_mask(first, files[image_id])

    def read(image_id: str, image: np.ndarray, repairs: Counter[str]) -> Record:
        ids = _paint(mask_files(image_id), image.shape[:2], repairs)
        found = instances_from_ids(ids)
        label_checks.check_parts(found.parts, f"{masks[image_id] / 'masks'}")
        labels = np.zeros(len(found.points_yx), np.int32)
        return Record(image_id, image, found.points_yx, labels, masks=found.masks)

    return folder_source(
        NAME, CLASS_NAMES, files, mask_files, read, root, stated=stated
    )


def _is_image_folder(folder: Path) -> bool:
    if not (folder / "images").is_dir() or not (folder / "masks").is_dir():
        return False
    images, masks = list_images(folder / "images"), list_images(folder / "masks")
    return len(images) == 1 and [m.stem for m in masks] not in ([], [images[0].stem])


def _only_image(folder: Path) -> Path:
    images = list_images(folder / "images")
    if len(images) != 1:
        raise DataError(
            f"{folder / 'images'} holds {len(images)} images: keep exactly one"
        )
    return images[0]


def _paint(
    files: list[Path], size_hw: tuple[int, ...], repairs: Counter[str]
) -> np.ndarray:
    """Draws the masks over each other: i32 [H, W], 0 background, n the n-th file."""
    ids = np.zeros(size_hw, np.int32)
    overlapping = empty = 0
    for number, file in enumerate(files, start=1):
        mask = load_mask(file)
        if mask.shape != ids.shape:
            raise DataError(
                f"{file} is {mask.shape[0]} x {mask.shape[1]} px but its image is "
                f"{ids.shape[0]} x {ids.shape[1]}: export it again at the image's size"
            )
        empty += not mask.any()
        overlapping += bool(ids[mask].any())
        ids[mask] = number
    hidden = len(files) - empty - int(np.count_nonzero(np.unique(ids)))
    counts = {EMPTY: empty, OVERLAPPING: overlapping, HIDDEN: hidden}
    repairs.update({what: count for what, count in counts.items() if count})
    return ids
