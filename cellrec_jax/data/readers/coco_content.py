"""What a COCO JSON holds: its images, categories and annotations, checked."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
import re
from typing import Any, NamedTuple

from etils.epath import Path

from cellrec_jax.data import json_file
from cellrec_jax.data.pixels.files import natural_key
from cellrec_jax.data.readers import listed
from cellrec_jax.data.readers.coco_places import Box, place
from cellrec_jax.data.text import composed
from cellrec_jax.errors import DataError

UNUSED = "COCO categories without annotations left out, of the name of others"

_NUMBER = re.compile("0|[1-9][0-9]{0,18}")
_CROWD = {"0": False, "1": True, "false": False, "true": True, "none": False, "": False}


class Image(NamedTuple):
    """One of `images`."""

    image_id: str
    """`file_name` without its ending."""
    name: PurePosixPath
    """`file_name`, below one of several folders."""
    size_hw: tuple[int, int] | None
    """None where none is said, or 0."""


class Cell(NamedTuple):
    """One of `annotations`."""

    label: int
    box_yxyx: Box
    """Without extent (y0 = y1, x0 = x1) where the annotation is a point."""
    has_box: bool
    crowd: bool


class Categories(NamedTuple):
    """Classes of one file or of several."""

    names: tuple[str, ...]
    labels: list[dict[int | str, int]]
    """For each file: category id -> label."""
    num_unused: int


def read_lists(file: Path) -> dict[str, Any]:
    """The file's three lists of objects; anything else is a `DataError`."""
    content = json_file.read_json(file)
    for key in ("images", "annotations", "categories"):
        rows = content.get(key) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(f"{file}: not COCO, {key!r} is no list of objects")
    if not content["images"]:
        raise DataError(f"{file}: lists no images")
    return content


def read_categories(
    contents: Sequence[dict[str, Any]], files: Sequence[Path]
) -> Categories:
    """Classes by rising category id, then those of further files, joined by name.

    Left out are categories that nothing is of and that have the name of another, or
    are named as the `supercategory` of others (Roboflow's first one).
    """
    ordered: dict[str, int] = {}
    labels: list[dict[int | str, int]] = []
    num_unused = 0
    used = {_key(row.get("category_id")) for c in contents for row in c["annotations"]}
    for content, file in zip(contents, files, strict=True):
        names = _names(content, file)
        above = _above(content)
        often = Counter(names.values())
        labels.append({})
        for key in sorted(names, key=_order):
            name = names[key]
            if used and key not in used and (often[name] > 1 or name in above):
                num_unused += 1
                often[name] -= 1
            else:
                labels[-1][key] = ordered.setdefault(name, len(ordered))
        doubled = [name for name, count in often.items() if count > 1]
        if doubled:
            raise DataError(
                f"{file}: two categories are named '{doubled[0]}': give each a name of "
                "its own, or all its annotations one id"
            )
    return Categories(tuple(ordered), labels, num_unused)


def _above(content: dict[str, Any]) -> set[str]:
    """What categories name as their `supercategory`, other than their own name."""
    pairs = [(row.get("supercategory"), row["name"]) for row in content["categories"]]
    return {composed(str(one)).strip() for one, name in pairs if one != name}


def _names(content: dict[str, Any], file: Path) -> dict[int | str, str]:
    """Category id -> name."""
    names = {}
    for row in content["categories"]:
        key, name = _key(row.get("id")), row.get("name")
        if key is None or not isinstance(name, str | int) or isinstance(name, bool):
            raise DataError(f"{file}: a category lacks its id or name")
        name = composed(str(name)).strip()
        if not name:
            raise DataError(f"{file}: category {key} has an empty name: name it")
        names[key] = name
    if not names or len(names) < len(content["categories"]):
        raise DataError(f"{file}: no category, or two with the same id; mend them")
    return names


def read_images(
    content: dict[str, Any], file: Path, root: Path
) -> dict[int | str, Image]:
    """Number -> image; missing or repeated names and numbers are a `DataError`."""
    found: dict[int | str, Image] = {}
    known: set[str] = set()
    for row in content["images"]:
        text, number = str(row.get("file_name", "")), _key(row.get("id"))
        name = listed.contained(text)
        if name is None:
            raise DataError(
                f"{file}: image {row.get('id')!r} needs a file_name below {root}"
            )
        image_id = listed.id_of(name)
        if number is None or number in found or image_id in known:
            raise DataError(f"{file}: image {name} repeats a name or id, or has no id")
        known.add(image_id)
        height, width = _whole(row.get("height")), _whole(row.get("width"))
        size_hw = (height, width) if height and width else None
        found[number] = Image(image_id, name, size_hw)
    return found


def read_cells(
    content: dict[str, Any],
    file: Path,
    images: dict[int | str, Image],
    labels: dict[int | str, int],
) -> dict[str, list[Cell]]:
    """Image id -> its annotations; images without any have an empty list."""
    cells: dict[str, list[Cell]] = {image.image_id: [] for image in images.values()}
    for index, row in enumerate(content["annotations"]):
        where = f"{file}: annotation {row.get('id', f'number {index + 1}')}"
        image, category = _key(row.get("image_id")), _key(row.get("category_id"))
        if image is None or image not in images:
            raise DataError(
                f"{where} is of image {row.get('image_id')!r}, which is not listed"
            )
        if category is None or category not in labels:
            raise DataError(
                f"{where} is of category {row.get('category_id')!r}, which is not "
                "listed"
            )
        found = place(row)
        if found is None:
            raise DataError(f"{where} has no usable bbox, keypoints, point or polygon")
        crowd = _CROWD.get(str(row.get("iscrowd", 0)).strip().lower())
        if crowd is None:
            raise DataError(
                f"{where} has iscrowd {row['iscrowd']!r}: write 0 or 1 there"
            )
        cells[images[image].image_id].append(Cell(labels[category], *found, crowd))
    return cells


def _key(value: Any) -> int | str | None:
    """An id as one thing, whether written 1, 1.0 or "1"; None if it is no id."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        text = value.strip()
        return int(text) if _NUMBER.fullmatch(text) else text
    return value


def _order(key: int | str) -> tuple[bool, int, Any]:
    """Sorts numbers before texts."""
    if isinstance(key, str):
        return True, 0, natural_key(key)
    return False, key, ""


def _whole(value: Any) -> int:
    """A side in px; 0 where it is no number."""
    try:
        return 0 if isinstance(value, bool) else max(0, int(float(value)))
    except (TypeError, ValueError, OverflowError):
        return 0
