"""JSON that Label Studio exports: tasks with shapes in per cent of their image.

Key points, rectangles and ellipses (turned, rectangles around their first corner) and
polygons are read, with the label of the same region. Per cent are of the picture as it
is stored, however somebody turned it to look at it (`image_rotation`).

References:
  https://labelstud.io/guide/export, https://labelstud.io/guide/task_format
"""

from collections import Counter
from collections.abc import Iterable, Sequence
import math
from pathlib import PurePosixPath
import re
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from etils.epath import Path
import numpy as np

from cellrec_jax import polygons
from cellrec_jax.data.annotations.content import (
    NO_POINTS,
    Annotations,
    Shape,
    class_name,
    collect,
    point,
)
from cellrec_jax.data.json_file import read_json
from cellrec_jax.data.pixels.files import IMAGE_ENDINGS
from cellrec_jax.data.text import composed
from cellrec_jax.errors import DataError
from cellrec_jax.polygons import Polygon

UNANNOTATED = "Label Studio tasks without annotations left out"
OLDER = "further annotations of Label Studio tasks left out, the newest kept"
SEVERAL = "cells with several labels read as of the first"
OTHERS = "brushes and other results of Label Studio left out"

_PREFIX = re.compile(r"[0-9a-f]{8}-")
_UPLOADED = re.compile(r"/data/upload/\d+/")
_FAULTS = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
_MOST_PERCENT = 1e4
_DIGITS = 4  # of px: a side at the border would lie outside by rounding
_DRAWN = frozenset({"x", "y", "points"})


class Task(NamedTuple):
    """One image and what was drawn on it."""

    names: tuple[str, ...]
    """How its file may be called, the fullest name first."""
    annotations: Annotations


class Tasks(NamedTuple):
    """What one file holds."""

    tasks: tuple[Task, ...]
    num_unannotated: int


def parse(file: Path) -> Tasks:
    """Reads the tasks of a file; a `DataError` names the one that cannot be read."""
    content = read_json(file)
    rows = [content] if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{file}: no list of tasks; export it as JSON")
    tasks = []
    for index, row in enumerate(rows):
        where = f"{file}: task {row.get('id', f'number {index + 1}')}"
        if "annotations" not in row and "completions" not in row:
            raise DataError(f"{where} has no annotations; export it as JSON, not -MIN")
        try:
            notes: Counter[str] = Counter()
            chosen = _chosen(row, notes)
            if chosen is not None:
                tasks.append(Task(_names(row, where), _read(chosen, where, notes)))
        except _FAULTS as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{where} cannot be read ({reason})") from error
    return Tasks(tuple(tasks), len(rows) - len(tasks))


def stored_name(name: str) -> str:
    """What uploading makes of a file's name, but for the signs before it.

    Example:
      >>> stored_name("a b (1).png")
      'a_b_1.png'
    """
    return re.sub(r"[^-\w.]", "", composed(name).strip().replace(" ", "_"))


def _chosen(row: dict[str, Any], notes: Counter[str]) -> list[dict[str, Any]] | None:
    """Results of the annotation that counts; None where there is none."""
    found = row.get("annotations") or row.get("completions") or []
    done = [one for one in found if not one.get("was_cancelled")]
    best = [one for one in done if one.get("ground_truth")] or done
    if not best:
        return None
    if len(best) > 1:
        notes[OLDER] += len(best) - 1
    results: list[dict[str, Any]] = max(best, key=_age)["result"]
    return results


def _age(annotation: dict[str, Any]) -> tuple[str, int]:
    dates = (annotation.get(key) for key in ("updated_at", "created_at"))
    return str(next(filter(None, dates), "")), int(annotation.get("id") or 0)


def _names(row: dict[str, Any], where: str) -> tuple[str, ...]:
    """How the image of a task may be called."""
    values = row.get("data") or {}
    texts = [text for text in values.values() if isinstance(text, str)]
    texts = [text for text in texts if _place(text).lower().endswith(IMAGE_ENDINGS)]
    if not texts:
        raise DataError(f"{where} names no image ({', '.join(IMAGE_ENDINGS)})")
    text = values["image"] if values.get("image") in texts else texts[0]
    name = PurePosixPath(_place(text))
    plain = _PREFIX.sub("", name.name, count=1)
    if _UPLOADED.search(text):  # names of uploads begin with eight signs of their own
        return (plain, name.name) if plain else (name.name,)
    return tuple(dict.fromkeys((str(name), name.name, plain or name.name)))


def _place(text: str) -> str:
    """Path of a file by what a task says: a URL, a place of a store or a local one."""
    try:
        url = urlsplit(text.replace("\\", "/"))
        local = parse_qs(url.query).get("d")
    except ValueError:
        return ""
    return (local[0] if local else unquote(url.path)).lstrip("/")


def _read(
    results: Sequence[dict[str, Any]], where: str, notes: Counter[str]
) -> Annotations:
    sizes = {
        (int(one["original_height"]), int(one["original_width"]))
        for one in results
        if "original_width" in one
    }
    if len(sizes) > 1 or any(one.get("item_index") for one in results):
        raise DataError(f"{where} is of several images: annotate one a task")
    size_hw = next(iter(sizes), None)
    shapes = []
    for region in _regions(results):
        drawn = [one for one in region if not _DRAWN.isdisjoint(one["value"])]
        if not drawn:
            notes[OTHERS] += 1
            continue
        if size_hw is None or min(size_hw) < 1:
            raise DataError(f"{where} lacks original_width and original_height")
        name, shape = _label(region, where, notes), _shape(drawn[0], size_hw)
        shapes.append(shape._replace(name=name))
    return collect(shapes, size_hw=size_hw, notes=notes)


def _regions(results: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Results of one region together, by their id; relations and the like are none."""
    found: dict[str, list[dict[str, Any]]] = {}
    for index, one in enumerate(results):
        if isinstance(one.get("value"), dict):
            found.setdefault(str(one.get("id", index)), []).append(one)
    return [*found.values()]


def _label(region: Sequence[dict[str, Any]], where: str, notes: Counter[str]) -> str:
    for one in region:
        for key, labels in one["value"].items():
            if key.endswith("labels") and labels:
                if len(labels) > 1:
                    notes[SEVERAL] += 1
                return class_name(labels[0], where)
    return ""


def _shape(result: dict[str, Any], size_hw: tuple[int, int]) -> Shape:
    """What was drawn, without its name, in px."""
    value, (height, width) = result["value"], size_hw
    score = result.get("score")
    score = math.nan if score is None else float(score)

    def px(*percent_yx: Any) -> np.ndarray:
        found = np.array(percent_yx, np.float64).reshape(-1, 2)
        if not (np.abs(found) < _MOST_PERCENT).all():
            raise ValueError("a number that is no per cent")
        return (found * (height / 100, width / 100)).round(_DIGITS)

    if "points" in value:
        (ring,) = (px(*[(y, x) for x, y in value["points"]]),)
        if not len(ring):
            raise ValueError("a polygon without corners")
        return _area(((ring,),), score)
    (corner,) = px(value["y"], value["x"])
    degrees = float(value.get("rotation") or 0)
    if "radiusX" in value:
        (radii,) = px(value["radiusY"], value["radiusX"])
        return _area((polygons.ellipse(corner, radii, degrees),), score)
    if "height" not in value:  # the width of a key point is that of its mark
        return Shape("", point(*corner), score=score)
    (size,) = px(value["height"], value["width"])
    (ring,) = polygons.rectangle(*corner, *(corner + size))
    return _area(((polygons.turned(ring, degrees, corner),),), score)


def _area(area: tuple[Polygon, ...], score: float) -> Shape:
    return Shape("", NO_POINTS, area, score)
