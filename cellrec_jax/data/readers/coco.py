"""COCO: one JSON file of boxes or points, in the root or in `annotations/`.

Images are looked up beside it, in the root, in `images/` and, for
`instances_NAME.json`, in `NAME/` and `images/NAME/`. Or, as Roboflow exports, a JSON in
each of `train/`, `valid/` and `test/`, with its images beside it.
"""

from collections import Counter
from collections.abc import Sequence
import re
from typing import NamedTuple

from etils.epath import Path
import numpy as np

from cellrec_jax.data.readers import foreign, frames, listed, roboflow, units
from cellrec_jax.data.readers.coco_content import (
    UNUSED,
    Cell,
    Image,
    read_categories,
    read_cells,
    read_images,
    read_lists,
)
from cellrec_jax.data.readers.folder import folder_source
from cellrec_jax.data.readers.regions import ignore_boxes
from cellrec_jax.data.record import Record, Source
from cellrec_jax.data.text import decode_head
from cellrec_jax.errors import DataError
from cellrec_jax.geometry import box_centers

NAME = "coco"
CROWDS = "iscrowd annotations whose area is ignored"
ALL_CROWDS = "iscrowd annotations read as cells, since all are iscrowd"
BOXES_AS_POINTS = "boxes read as points, since other annotations are points"

_SPLITS = ("train", "valid", "val", "validation", "test")
_HEAD_BYTES = 4096
_HEAD = re.compile(r'\s*\{.*"(images|annotations|categories)"\s*:', re.S)
_LISTS = [re.compile(rb'"%s"\s*:\s*\[' % key) for key in (b"images", b"annotations")]


class _Points(NamedTuple):
    """How annotations without a box become points, the same for the whole set."""

    only: bool
    """The cells of the set are points: its boxes give their centres alone."""
    offset: float
    """Added to points: 0.5 for clicks on integer pixels, else 0."""


def matches(root: Path) -> bool:
    """Whether there is a JSON file that looks like COCO; most are told by 4 kB."""
    try:
        return any(map(is_coco, _json_files(root))) or bool(_by_split(root))
    except OSError:
        return False
    except DataError:  # two of them in a folder: `open_source` says so
        return True


def open_source(root: Path) -> Source:
    """Opens a COCO set; the JSON is read once, here.

    A box is `bbox` (x, y, width, height, continuous) or encloses the `segmentation`;
    else a cell is a point: its first labelled keypoint, `point` (x, y) or bbox without
    extent. A set with only points has no boxes, and gets half a pixel if all are
    integers. Classes are ordered by category id; the area of `iscrowd` is ignored,
    unless all are. Sizes are compared as `frames.turn_of` says.
    """
    return _open(_by_split(root) or {"": _one_json_file(root)}, root)


def open_file(file: Path, root: Path) -> Source:
    """Opens what one JSON lists, of images below `root`."""
    return _open({"": file}, root)


def _open(files: dict[str, Path], root: Path) -> Source:
    """Opens JSON files, each with the beginning of its ids."""
    contents = [read_lists(file) for file in files.values()]
    classes = read_categories(contents, [*files.values()])
    images: dict[str, Path] = {}
    sources: dict[str, Path] = {}
    sizes: dict[str, tuple[int, int] | None] = {}
    cells: dict[str, list[Cell]] = {}
    for (prefix, file), content, labels in zip(
        files.items(), contents, classes.labels, strict=True
    ):
        named = read_images(content, file, root)
        for image_id, found in read_cells(content, file, named, labels).items():
            cells[prefix + image_id] = found
        paths = _find_images([*named.values()], file, root)
        for image, path in zip(named.values(), paths, strict=True):
            images[prefix + image.image_id] = path
            sources[prefix + image.image_id] = file
            sizes[prefix + image.image_id] = image.size_hw
    if not any(cells.values()):
        raise DataError(f"{next(iter(files.values()))}: lists no annotations")
    repairs = {
        listed.UNLISTED: listed.count_unlisted(images),
        UNUSED: classes.num_unused,
    }
    cells, points = _decide(cells, repairs)
    everything = np.array([c.box_yxyx for found in cells.values() for c in found])
    units.check_set([units.extent(box_centers(everything))], images, str(root))

    def stated(image_id: str) -> frames.Stated | None:
        size_hw = sizes[image_id]
        where = f"{sources[image_id]} says that {images[image_id].name}"
        return frames.Stated(where, size_hw) if size_hw else None

    def read(image_id: str, image: np.ndarray, _: Counter[str]) -> Record:
        return _record(image_id, image, cells[image_id], points)

    return folder_source(
        NAME,
        classes.names,
        images,
        lambda image_id: [sources[image_id]],
        read,
        root,
        stated=stated,
        groups=roboflow.groups(images),
        repairs={what: count for what, count in repairs.items() if count},
    )


def _json_files(root: Path) -> list[Path]:
    return [*sorted(root.glob("*.json")), *sorted(root.glob("annotations/*.json"))]


def _by_split(root: Path) -> dict[str, Path]:
    """Prefix of ids, such as "train/" -> the JSON there; empty for other layouts."""
    if any(map(is_coco, _json_files(root))):
        return {}
    found: dict[str, Path] = {}
    for name in _SPLITS:
        files = [f for f in sorted(root.glob(f"{name}/*.json")) if is_coco(f)]
        if len(files) > 1:
            raise DataError(
                f"{files[0]} and {files[1].name} may both be the COCO file: keep one"
            )
        found |= {f"{name}/": file for file in files}
    return found


def is_coco(file: Path) -> bool:
    """Whether a JSON looks like COCO; most are told by 4 kB."""
    with file.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
        text = decode_head(head)
        if _HEAD.match(text):  # as one task of Label Studio does
            return foreign.kind_of(file) is None
        if len(head) < _HEAD_BYTES or not text.lstrip().startswith("{"):
            return False
        data = head + stream.read()  # long facts stand before the lists
    return all(keys.search(data.replace(b"\0", b"")) for keys in _LISTS)


def _one_json_file(root: Path) -> Path:
    files = _json_files(root)
    # A single file is worth reading even if its beginning is odd: errors tell more.
    candidates = [file for file in files if is_coco(file)] or files
    return listed.only_file(candidates, root, "COCO file")


def _find_images(images: Sequence[Image], file: Path, root: Path) -> list[Path]:
    """The file of each image; missing ones are a `DataError`."""
    part = file.stem.rpartition("_")[2]
    names = [[image.name] for image in images]
    return listed.find(names, file, root, (root / part, root / "images" / part))


def _decide(
    cells: dict[str, list[Cell]], repairs: dict[str, int]
) -> tuple[dict[str, list[Cell]], _Points]:
    """Decides, from all cells of the set, which are crowds and which are points."""
    num_crowds = sum(cell.crowd for found in cells.values() for cell in found)
    if num_crowds and all(cell.crowd for found in cells.values() for cell in found):
        repairs[ALL_CROWDS] = num_crowds
        cells = {i: [c._replace(crowd=False) for c in f] for i, f in cells.items()}
    else:
        repairs[CROWDS] = num_crowds
    plain = [cell for found in cells.values() for cell in found if not cell.crowd]
    only = not all(cell.has_box for cell in plain) or not any(map(_has_extent, plain))
    clicks = [value for c in plain if not _has_extent(c) for value in c.box_yxyx]
    repairs[BOXES_AS_POINTS] = sum(map(_has_extent, plain)) if only else 0
    return cells, _Points(only, 0.5 if all(map(float.is_integer, clicks)) else 0.0)


def _has_extent(cell: Cell) -> bool:
    return cell.box_yxyx[:2] != cell.box_yxyx[2:]


def _record(
    image_id: str, image: np.ndarray, cells: list[Cell], points: _Points
) -> Record:
    """Turns the annotations of one image into a record, crowds into its `ignore`."""
    crowds = np.array([c.box_yxyx for c in cells if c.crowd]).reshape(-1, 4)
    plain = [cell for cell in cells if not cell.crowd]
    with np.errstate(over="ignore"):  # 1e300 becomes inf, which `clean` drops
        boxes = np.array([c.box_yxyx for c in plain]).astype(np.float32).reshape(-1, 4)
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
