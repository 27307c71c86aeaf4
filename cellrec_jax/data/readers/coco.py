"""COCO: one JSON file of boxes or points, in the root or in `annotations/`.

Images are looked up beside it, in the root, in `images/` and, for
`instances_NAME.json`, in `NAME/` and `images/NAME/`.
"""

from collections import Counter
import math
from pathlib import PurePosixPath
import re
from typing import Any, NamedTuple

from etils.epath import Path
import numpy as np
import orjson

from cellrec_jax.data.pixels.files import list_images
from cellrec_jax.data.readers.folder import folder_source
from cellrec_jax.data.readers.regions import ignore_boxes
from cellrec_jax.data.record import Record, Source
from cellrec_jax.errors import DataError
from cellrec_jax.geometry import box_centers

NAME = "coco"
UNLISTED = "images left out that the COCO file does not list"

_HEAD_BYTES = 4096
_HEAD = re.compile(
    rb'(\xef\xbb\xbf)?\s*\{.*"(images|annotations|categories)"\s*:', re.S
)


class _Cell(NamedTuple):
    label: int
    box_yxyx: tuple[float, float, float, float]
    """Without extent (y0 = y1, x0 = x1) where the annotation is a point."""
    has_box: bool
    crowd: bool


class _Points(NamedTuple):
    """How annotations without a box become points, the same for the whole set."""

    only: bool
    """The cells of the set are points: its boxes give their centres alone."""
    offset: float
    """Added to points: 0.5 for clicks on integer pixels, else 0."""


def matches(root: Path) -> bool:
    """Whether there is a JSON file that begins like COCO; reads 4 kB of each."""
    try:
        return any(map(_looks_like_coco, _json_files(root)))
    except OSError:
        return False


def open_source(root: Path) -> Source:
    """Opens a COCO set; the JSON is read once, here.

    A box is `bbox` (x, y, width, height, continuous) or encloses the `segmentation`;
    else a cell is a point: its first labelled keypoint, `point` (x, y) or bbox without
    extent. A set with only points has no boxes, and gets half a pixel if all are
    integers. Classes are ordered by category id; the area of `iscrowd` is ignored.
    """
    file = _one_json_file(root)
    content = _read_json(file)
    labels, class_names = _read_categories(content, file)
    names, images = _read_images(content, file, root)
    cells = _read_cells(content, file, names, labels)
    points = _points_rule([cell for found in cells.values() for cell in found])
    folders = {image.parent for image in images.values()}
    files = {image for folder in folders for image in list_images(folder)}
    unlisted = len(files - set(images.values()))

    def read(image_id: str, image: np.ndarray, _: Counter[str]) -> Record:
        return _record(image_id, image, cells[image_id], points)

    return folder_source(
        NAME,
        class_names,
        images,
        lambda _: [file],
        read,
        root,
        repairs={UNLISTED: unlisted} if unlisted else None,
    )


def _json_files(root: Path) -> list[Path]:
    return [*sorted(root.glob("*.json")), *sorted(root.glob("annotations/*.json"))]


def _looks_like_coco(file: Path) -> bool:
    with file.open("rb") as stream:
        return _HEAD.match(stream.read(_HEAD_BYTES)) is not None


def _one_json_file(root: Path) -> Path:
    files = _json_files(root)
    # A single file is worth reading even if its beginning is odd: errors tell more.
    candidates = [file for file in files if _looks_like_coco(file)] or files
    if not candidates:
        raise DataError(f"{root}: no COCO file; put the JSON here or in annotations/")
    if len(candidates) > 1:
        first, second = (file.relative_to(root) for file in candidates[:2])
        raise DataError(
            f"{root}: {first} and {second} may both be the COCO file; keep one of them"
        )
    return candidates[0]


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = orjson.loads(file.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise DataError(
            f"{file}: broken JSON at line {error.lineno}, column {error.colno}: "
            f"{error.msg}"
        ) from error
    except OSError as error:
        raise DataError(f"{file}: not readable ({error.strerror})") from error
    for key in ("images", "annotations", "categories"):
        rows = content.get(key) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(f"{file}: not COCO, {key!r} is no list of objects")
    return content


def _read_categories(
    content: dict[str, Any], file: Path
) -> tuple[dict[int, int], tuple[str, ...]]:
    """Category id -> label, and the class names, by rising category id."""
    try:
        names = {int(row["id"]): str(row["name"]) for row in content["categories"]}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file}: a category lacks its id or name") from error
    if not names or len(names) < len(content["categories"]):
        raise DataError(f"{file}: no category, or two with the same id; mend them")
    ordered = sorted(names)
    labels = {category: label for label, category in enumerate(ordered)}
    return labels, tuple(names[category] for category in ordered)


def _read_images(
    content: dict[str, Any], file: Path, root: Path
) -> tuple[dict[Any, str], dict[str, Path]]:
    """Number -> image id, id -> file; missing or repeated ones are a `DataError`."""
    part = file.stem.rpartition("_")[2]
    folders = [file.parent, root, root / "images", root / part, root / "images" / part]
    names: dict[Any, str] = {}
    images: dict[str, Path] = {}
    missing = []
    for row in content["images"]:
        name = PurePosixPath(str(row.get("file_name", "")).replace("\\", "/"))
        number = row.get("id")
        if not name.name or name.is_absolute() or ".." in name.parts:
            raise DataError(f"{file}: image {number!r} needs a file_name below {root}")
        image_id = name.with_suffix("").as_posix()
        if not isinstance(number, int | str) or number in names or image_id in images:
            raise DataError(f"{file}: image {name} repeats a name or id, or has no id")
        places = [folder / name for folder in folders]
        images[image_id] = next((p for p in places if p.is_file()), places[0])
        missing += [name] if not images[image_id].is_file() else []
        names[number] = image_id
    if missing:
        raise DataError(
            f"{root}: {len(missing)} of the {len(images)} images in {file.name} are "
            f"not there, first {missing[0]}: copy them or remove their entries"
        )
    if not images:
        raise DataError(f"{file}: lists no images")
    return names, images


def _read_cells(
    content: dict[str, Any], file: Path, names: dict[Any, str], labels: dict[int, int]
) -> dict[str, list[_Cell]]:
    """Image id -> its annotations; images without any have an empty list."""
    cells: dict[str, list[_Cell]] = {image_id: [] for image_id in names.values()}
    for index, row in enumerate(content["annotations"]):
        where = f"{file}: annotation {row.get('id', f'number {index + 1}')}"
        image, category = row.get("image_id"), row.get("category_id")
        if not isinstance(image, int | str) or image not in names:
            raise DataError(f"{where} is of image {image!r}, which is not listed")
        if not isinstance(category, int) or category not in labels:
            raise DataError(f"{where} is of category {category!r}, which is not listed")
        place = _place(row)
        if place is None:
            raise DataError(f"{where} has no usable bbox, keypoints, point or polygon")
        crowd = bool(row.get("iscrowd", 0))
        cells[names[image]].append(_Cell(labels[category], *place, crowd))
    if not content["annotations"]:
        raise DataError(f"{file}: lists no annotations")
    return cells


def _place(
    row: dict[str, Any],
) -> tuple[tuple[float, float, float, float], bool] | None:
    """(y0, x0, y1, x1) and whether it is a box, not a point; None for neither."""
    x, y, width, height = _numbers(row.get("bbox"), 4) or (0.0, 0.0, 0.0, 0.0)
    box = (y, x, y + height, x + width)
    if width or height:
        return box, True
    point = _numbers(row.get("point"), 2) or _first_keypoint(row.get("keypoints"))
    if point is not None:
        return (point[1], point[0], point[1], point[0]), False
    polygons = row.get("segmentation")
    corners = [_numbers(p) for p in polygons] if isinstance(polygons, list) else []
    if corners and all(polygon and len(polygon) % 2 == 0 for polygon in corners):
        flat = [value for polygon in corners for value in polygon or ()]
        xs, ys = flat[::2], flat[1::2]
        return (min(ys), min(xs), max(ys), max(xs)), True
    return (box, True) if _numbers(row.get("bbox"), 4) else None


def _first_keypoint(keypoints: Any) -> list[float] | None:
    """The first (x, y) of COCO's flat x, y, visibility triples that is labelled."""
    values = _numbers(keypoints) or []
    labelled = (
        values[i : i + 2] for i in range(0, len(values) - 2, 3) if values[i + 2]
    )
    return next(labelled, None)


def _numbers(values: Any, count: int | None = None) -> list[float] | None:
    """The values as floats, or None if they are no `count` finite numbers."""
    if not isinstance(values, list) or (count is not None and len(values) != count):
        return None
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
        return None
    return [float(v) for v in values]


def _points_rule(cells: list[_Cell]) -> _Points:
    """Decides, from all cells of the set, whether and how they are points."""
    plain = [cell for cell in cells if not cell.crowd]
    only = not all(cell.has_box for cell in plain) or not any(map(_has_extent, plain))
    clicks = [value for c in plain if not _has_extent(c) for value in c.box_yxyx]
    return _Points(only, 0.5 if all(map(float.is_integer, clicks)) else 0.0)


def _has_extent(cell: _Cell) -> bool:
    return cell.box_yxyx[:2] != cell.box_yxyx[2:]


def _record(
    image_id: str, image: np.ndarray, cells: list[_Cell], points: _Points
) -> Record:
    """Turns the annotations of one image into a record, crowds into its `ignore`."""
    crowds = np.array([c.box_yxyx for c in cells if c.crowd]).reshape(-1, 4)
    plain = [cell for cell in cells if not cell.crowd]
    boxes = np.array([cell.box_yxyx for cell in plain], np.float32).reshape(-1, 4)
    centers = box_centers(boxes)
    if points.only:
        is_click = np.array([not _has_extent(cell) for cell in plain], bool)
        centers[is_click] += points.offset
    return Record(
        image_id,
        image,
        centers,
        np.array([cell.label for cell in plain], np.int32),
        boxes_yxyx=None if points.only else boxes,
        ignore=ignore_boxes(crowds, image.shape[:2]),
    )
