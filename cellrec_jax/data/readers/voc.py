"""Pascal VOC: an XML file of boxes an image, in `Annotations/` or beside it."""

from collections import Counter
import math
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse as parse_xml
from etils.epath import Path
import numpy as np

from cellrec_jax.data.classes import read_text
from cellrec_jax.data.pixels.files import IMAGE_ENDINGS
from cellrec_jax.data.readers.folder import folder_source
from cellrec_jax.data.readers.layout import check_pairs, index_files
from cellrec_jax.data.readers.regions import ignore_boxes
from cellrec_jax.data.record import Record, Source
from cellrec_jax.errors import DataError
from cellrec_jax.geometry import box_centers

NAME = "voc"
FIRST_PIXEL: int | None = None
"""First pixel's number: 1 as in Pascal VOC (xmin..xmax inclusive, stored as xmin-1,
xmax), or 0 (xmin, xmax). None: 0 if any corner of the set lies below 1, else 1."""

_XML_FOLDERS = ("Annotations", "annotations", "images", "")
_IMAGE_FOLDERS = ("JPEGImages", "images", "")
_CORNERS = ("ymin", "xmin", "ymax", "xmax")
_SETS = ("train", "val", "trainval", "test")


class _Object(NamedTuple):
    name: str
    corners_yxyx: tuple[float, ...]
    """ymin, xmin, ymax, xmax as written."""
    difficult: bool


def matches(root: Path) -> bool:
    """Whether there are XML files with the names of images."""
    try:
        xml_folder, xml_files = _find_xml(root)
        return not xml_files.keys().isdisjoint(_find_images(root, xml_folder))
    except (OSError, DataError):
        return False


def open_source(root: Path) -> Source:
    """Opens a Pascal VOC set; parses all XML files once for the class names.

    The area of `difficult` objects is ignored; objects without extent are left out and
    counted. `filename` and `size` in the XML are not used.
    """
    xml_folder, xml_files = _find_xml(root)
    images = _find_images(root, xml_folder)
    check_pairs(root, images, xml_files, f"{xml_folder}/*.xml".removeprefix("/"))
    objects = [found for file in xml_files.values() for found in _read_objects(file)]
    class_names = tuple(sorted({found.name for found in objects}))
    if not class_names:
        raise DataError(
            f"{root}: none of the {len(xml_files)} XML files has an <object>"
        )
    first_pixel = FIRST_PIXEL
    if first_pixel is None:
        first_pixel = int(all(min(found.corners_yxyx) >= 1 for found in objects))

    def read(image_id: str, image: np.ndarray, _: Counter[str]) -> Record:
        found = _read_objects(xml_files[image_id])
        return _record(image_id, image, found, class_names, first_pixel)

    return folder_source(
        NAME, class_names, images, lambda image_id: [xml_files[image_id]], read, root
    )


def image_sets(root: Path) -> dict[str, tuple[str, ...]]:
    """Ids of "train", "val", "trainval", "test", of `ImageSets`, or a `DataError`."""
    sets = {}
    for name in _SETS:
        file = root / "ImageSets" / "Main" / f"{name}.txt"
        if not file.is_file():
            continue
        lines = map(str.strip, read_text(file).split("\n"))
        sets[name] = tuple(dict.fromkeys(filter(None, lines)))
    return sets


def _find_xml(root: Path) -> tuple[str, dict[str, Path]]:
    """The name of the first folder with XML files, and image id -> XML file."""
    for folder in _XML_FOLDERS:
        if files := index_files(root, folder, (".xml",)):
            return folder, files
    raise DataError(f"{root}: no XML files here, in Annotations/ or in images/")


def _find_images(root: Path, xml_folder: str) -> dict[str, Path]:
    """Image id -> file; where XML files lie among images, those images count."""
    beside = [xml_folder] if xml_folder in _IMAGE_FOLDERS else []
    for folder in (*beside, *_IMAGE_FOLDERS):
        if images := index_files(root, folder, IMAGE_ENDINGS):
            return images
    raise DataError(f"{root}: no images here, in JPEGImages/ or in images/")


def _read_objects(file: Path) -> list[_Object]:
    """Reads one XML file; a `DataError` names the line or the object that is wrong."""
    try:
        with file.open("rb") as stream:
            tree = parse_xml(stream).getroot()
    except ParseError as error:
        raise DataError(f"{file}: broken XML ({error}); mend or remove it") from error
    except (DefusedXmlException, OSError, LookupError, ValueError) as error:
        raise DataError(f"{file}: not readable as XML ({error!r})") from error
    elements = tree.findall("object")
    return [_read_object(element, i, file) for i, element in enumerate(elements, 1)]


def _read_object(element: Element, number: int, file: Path) -> _Object:
    name = (element.findtext("name") or "").strip()
    try:
        corners = tuple(
            float(element.findtext(f"bndbox/{corner}") or "nan") for corner in _CORNERS
        )
    except ValueError:
        corners = (math.nan,) * 4
    if not all(map(math.isfinite, corners)):
        raise DataError(
            f"{file}: object {number} has no numbers xmin, ymin, xmax, ymax in <bndbox>"
        )
    if not name:
        raise DataError(f"{file}: object {number} has no class <name>")
    return _Object(name, corners, (element.findtext("difficult") or "").strip() == "1")


def _record(
    image_id: str,
    image: np.ndarray,
    objects: list[_Object],
    class_names: tuple[str, ...],
    first_pixel: int,
) -> Record:
    """Boxes of the plain objects; the area of the difficult ones is ignored."""
    corners = np.array([found.corners_yxyx for found in objects]).reshape(-1, 4)
    # The lower corner is the second one where a box is inverted; `clean` swaps them.
    inverted = corners[:, :2] > corners[:, 2:]
    boxes = corners - first_pixel * np.concatenate([~inverted, inverted], axis=1)
    # One pixel wide as half-open boxes, but mistaken clicks: `clean` drops and counts.
    no_extent = (corners[:, :2] == corners[:, 2:]).any(axis=1)
    boxes[no_extent, :2] = boxes[no_extent, 2:]
    difficult = np.array([found.difficult for found in objects], dtype=bool)
    known = {name: label for label, name in enumerate(class_names)}
    labels = np.array([known[found.name] for found in objects], dtype=np.int32)
    plain = boxes[~difficult].astype(np.float32)
    return Record(
        image_id,
        image,
        box_centers(plain),
        labels[~difficult],
        boxes_yxyx=plain,
        ignore=ignore_boxes(boxes[difficult], image.shape[:2]),
    )
