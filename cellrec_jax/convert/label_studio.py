"""Label Studio, `project.json`: key points or rectangles in per cent, a task an image.

Images are named as local files, `/data/local-files/?d=NAME`.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from etils.epath import Path
import orjson

from cellrec_jax.convert.cells import ImageCells

HOLDS = frozenset({"points", "boxes", "classes", "scores"})


def write(
    folder: Path, images: Iterable[ImageCells], class_names: Sequence[str]
) -> None:
    """Writes the tasks, each with one annotation."""
    tasks = []
    for number, cells in enumerate(images, 1):
        results = [
            _result(cells, index, class_names) for index in range(len(cells.labels))
        ]
        annotation = {"id": number, "completed_by": 1, "result": results}
        place = {"image": f"/data/local-files/?d={quote(cells.name)}"}
        tasks.append({"id": number, "data": place, "annotations": [annotation]})
    (folder / "project.json").write_bytes(orjson.dumps(tasks))


def _result(
    cells: ImageCells, index: int, class_names: Sequence[str]
) -> dict[str, Any]:
    (height, width), kind = cells.size_hw, "keypoint"
    y, x = cells.points_yx[index].tolist()
    value: dict[str, Any] = {
        "x": _share(x, width),
        "y": _share(y, height),
        "width": 0.5,
    }
    if cells.boxes_yxyx is not None:
        kind = "rectangle"
        y0, x0, y1, x1 = cells.boxes_yxyx[index].tolist()
        value = {
            "x": _share(x0, width),
            "y": _share(y0, height),
            "width": _share(x1 - x0, width),
            "height": _share(y1 - y0, height),
            "rotation": 0,
        }
    value[f"{kind}labels"] = [class_names[cells.labels[index]]]
    score = cells.score(index)
    return {
        "id": f"c{index}",
        "type": f"{kind}labels",
        "from_name": "label",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": value,
        **({} if score is None else {"score": score}),
    }


def _share(px: float, side: int) -> float:
    return round(100 * px / side, 8)
