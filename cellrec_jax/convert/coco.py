"""COCO, `annotations/instances.json`: boxes, or points as one key point a cell."""

from collections.abc import Iterable, Sequence
from typing import Any

from etils.epath import Path
import orjson

from cellrec_jax.convert.cells import ImageCells, not_whole

HOLDS = frozenset({"points", "boxes", "classes"})


def write(
    folder: Path, images: Iterable[ImageCells], class_names: Sequence[str]
) -> None:
    """Writes the file; ids of images, categories and cells count from 1."""
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, cells in enumerate(images, 1):
        height, width = cells.size_hw
        row = {"id": number, "file_name": cells.name, "width": width, "height": height}
        listed.append(row)
        for place, label in zip(_places(cells), cells.labels, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(label) + 1,
                    "iscrowd": 0,
                    **place,
                }
            )
    has_points = any("keypoints" in row for row in annotations)
    more = {"keypoints": ["center"], "skeleton": []} if has_points else {}
    categories = [
        {"id": label, "name": name, **more} for label, name in enumerate(class_names, 1)
    ]
    content = {"images": listed, "annotations": annotations, "categories": categories}
    file = folder / "annotations" / "instances.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(orjson.dumps(content))


def _places(cells: ImageCells) -> list[dict[str, Any]]:
    if cells.boxes_yxyx is None:
        return [
            {
                "keypoints": [x, y, 2],
                "num_keypoints": 1,
                "bbox": [x, y, 0, 0],
                "area": 0,
            }
            for y, x in not_whole(cells.points_yx).tolist()
        ]
    places = []
    for y0, x0, y1, x1 in cells.boxes_yxyx.tolist():
        width, height = round(x1 - x0, 3), round(y1 - y0, 3)
        area = round(width * height, 3)
        places.append({"bbox": [x0, y0, width, height], "area": area})
    return places
