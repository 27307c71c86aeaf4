"""Pascal VOC: an XML file of boxes an image, in `Annotations/` or beside it.

Namespaces count for nothing; any encoding that Python knows is read.
"""

from collections import Counter
import math
from pathlib import PurePosixPath
from typing import NamedTuple
from xml.etree.ElementTree import Element

from etils.epath import Path
import numpy as np

from cellrec_jax.data.pixels.files import IMAGE_ENDINGS
from cellrec_jax.data.readers import foreign, frames, roboflow, units
from cellrec_jax.data.readers.folder import folder_source
from cellrec_jax.data.readers.layout import check_pairs, has_pair, index_files
from cellrec_jax.data.readers.regions import ignore_boxes
from cellrec_jax.data.record import Record, Source
from cellrec_jax.data.text import composed, read_text
from cellrec_jax.data.xml_tree import read_xml
from cellrec_jax.errors import DataError
from cellrec_jax.geometry import box_centers

NAME = "voc"
OTHER_NAMES = "XML files that name another picture than the one of their own name"
FIRST_PIXEL: int | None = None
"""First pixel's number: 1 as in Pascal VOC (xmin..xmax inclusive, stored as xmin-1,
xmax), or 0 (xmin, xmax). None: 0 if any corner of the set lies below 1, else 1."""

_XML_FOLDERS = ("Annotations", "annotations", "images", "")
_IMAGE_FOLDERS = ("JPEGImages", "images", "")
_CORNERS = ("ymin", "xmin", "ymax", "xmax")
_SETS = ("train", "val", "trainval", "test")


class _Page(NamedTuple):
    """What is read of one XML file."""

    objects: list["_Object"]
    size_hw: tuple[int, int] | None
    """None where it says none, or 0."""
    stem: str
    """Of the `filename`."""


class _Object(NamedTuple):
    name: str
    corners_yxyx: tuple[float, ...]
    """ymin, xmin, ymax, xmax as written."""
    difficult: bool


def matches(root: Path) -> bool:
    """Whether there are XML files with the names of images, of no other program."""
    try:
        xml_folder, xml_files = _find_xml(root)
        paired = has_pair(_find_images(root, xml_folder), xml_files)
        return paired and foreign.kind_of(next(iter(xml_files.values()))) is None
    except (OSError, DataError):
        return False


def open_source(root: Path) -> Source:
    """Opens a Pascal VOC set; parses all XML files once, for class names and sizes.

    The area of `difficult` objects is ignored; objects without extent are left out and
    counted. A `size` other than the picture's is a `DataError`, unless it is that of
    the picture as stored; XML files of which `filename` is another are counted.
    """
    xml_folder, xml_files = _find_xml(root)
    foreign.refuse(next(iter(xml_files.values())))
    images = _find_images(root, xml_folder)
    check_pairs(root, images, xml_files, f"{xml_folder}/*.xml".removeprefix("/"))
    pages = {image_id: _read_page(file) for image_id, file in xml_files.items()}
    objects = [found for page in pages.values() for found in page.objects]
    class_names = tuple(sorted({found.name for found in objects}))
    if not class_names:
        raise DataError(
            f"{root}: none of the {len(xml_files)} XML files has an <object>"
        )
    first_pixel = FIRST_PIXEL
    if first_pixel is None:
        first_pixel = int(all(min(found.corners_yxyx) >= 1 for found in objects))
    corners = np.array([found.corners_yxyx for found in objects])
    units.check_set([units.extent(box_centers(corners))], images, str(root))
    sizes = {image_id: page.size_hw for image_id, page in pages.items()}
    num_other = sum(
        page.stem not in ("", PurePosixPath(image_id).name)
        for image_id, page in pages.items()
    )

    def stated(image_id: str) -> frames.Stated | None:
        size_hw = sizes[image_id]
        where = f"{xml_files[image_id]} says that {images[image_id].name}"
        return frames.Stated(where, size_hw) if size_hw else None

    def read(image_id: str, image: np.ndarray, _: Counter[str]) -> Record:
        found = _read_page(xml_files[image_id]).objects
        return _record(image_id, image, found, class_names, first_pixel)

    return folder_source(
        NAME,
        class_names,
        images,
        lambda image_id: [xml_files[image_id]],
        read,
        root,
        stated=stated,
        groups=roboflow.groups(images),
        repairs={OTHER_NAMES: num_other} if num_other else None,
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


def _read_page(file: Path) -> _Page:
    """Reads one XML file; a `DataError` names the line or the object that is wrong."""
    tree = read_xml(file)
    elements = tree.findall("object")
    objects = [_read_object(element, i, file) for i, element in enumerate(elements, 1)]
    height, width = (_whole(tree.findtext(f"size/{n}")) for n in ("height", "width"))
    name = PurePosixPath(composed(tree.findtext("filename") or "").replace("\\", "/"))
    known = name.suffix.lower() in IMAGE_ENDINGS
    size_hw = (height, width) if height and width else None
    return _Page(objects, size_hw, (name.stem if known else name.name).strip())


def _whole(text: str | None) -> int:
    """The number that a text holds; 0 where it holds none."""
    try:
        return int(float(text or 0))
    except (ValueError, OverflowError):
        return 0


def _read_object(element: Element, number: int, file: Path) -> _Object:
    name = composed((element.findtext("name") or "").strip())
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
