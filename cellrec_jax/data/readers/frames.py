"""The frame of annotations: their size against the picture's, stored or turned."""

from collections import Counter
import dataclasses
from typing import NamedTuple

from etils.epath import Path
import numpy as np

from cellrec_jax.data.pixels import images, orientation
from cellrec_jax.data.record import Record
from cellrec_jax.errors import DataError

TURNED = "images whose annotations were turned along with the picture"


class Stated(NamedTuple):
    """The size of an image as its annotations give it."""

    where: str
    """Beginning of a sentence: "a.png", "x.json says that a.png"."""
    size_hw: tuple[int, int]


def of_mask(mask: Path, file: Path) -> Stated | None:
    """The size of a mask, asked for where a picture shows with its sides exchanged."""
    stored_hw, shown_hw, _ = images.sizes(file)
    return None if stored_hw == shown_hw else Stated(str(mask), images.read_size(mask))


def turn_of(sizes: images.Sizes, stated: Stated | None, repairs: Counter[str]) -> int:
    """How annotations of a picture are to be turned: 1 is not at all.

    They are where their size is that of the stored picture, which is shown turned by
    its orientation (2 to 8, as in EXIF and TIFF). Any other size is a `DataError`.
    """
    if stated is None or stated.size_hw == sizes.shown_hw:
        return 1
    if stated.size_hw == sizes.stored_hw:
        repairs[TURNED] = 1
        return sizes.orientation
    height, width = sizes.shown_hw
    raise DataError(
        f"{stated.where} is {stated.size_hw[0]} x {stated.size_hw[1]} px but its image "
        f"is {height} x {width}{_cause(stated.size_hw, sizes.shown_hw)}: use the "
        "image that was annotated, or export the annotations at the image's size"
    )


def turned_record(record: Record, turn: int, image: np.ndarray) -> Record:
    """A record in the frame of the stored picture as one of the picture shown."""
    stored_hw = (record.image.shape[0], record.image.shape[1])
    points_yx = np.asarray(record.points_yx, np.float32).reshape(-1, 2)
    points_yx = orientation.turn_points(points_yx, stored_hw, turn)
    # A point at 0 comes to lie at the far end, which is not inside.
    ends_yx = np.array(image.shape[:2], np.float32)
    last_yx = np.nextafter(ends_yx, np.float32(0))
    boxes_yxyx = record.boxes_yxyx
    if boxes_yxyx is not None:
        boxes_yxyx = orientation.turn_boxes(boxes_yxyx, stored_hw, turn)
    masks, annotated, ignore = (
        plane if plane is None else orientation.turn(plane, turn)
        for plane in (record.masks, record.annotated, record.ignore)
    )
    repaired = {
        what: orientation.turn_boxes(places, stored_hw, turn)
        for what, places in record.repaired.items()
    }
    return dataclasses.replace(
        record,
        image=image,
        points_yx=np.where(points_yx == ends_yx, last_yx, points_yx),
        boxes_yxyx=boxes_yxyx,
        masks=masks,
        annotated=annotated,
        ignore=ignore,
        repaired=repaired,
    )


def _cause(stated_hw: tuple[int, int], size_hw: tuple[int, int]) -> str:
    """What probably happened, in brackets."""
    if stated_hw == size_hw[::-1]:
        return " (sides swapped, or turned)"
    scales = [size / stated for size, stated in zip(size_hw, stated_hw, strict=True)]
    if abs(scales[0] / scales[1] - 1) < 0.02:
        return f" (resized by {scales[0]:.3g} since)"
    return " (cropped, or another image)"
