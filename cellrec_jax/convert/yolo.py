"""YOLO, `labels/ID.txt` and `data.yaml`: boxes as shares of the image."""

from collections.abc import Iterable, Sequence
import json

from etils.epath import Path
import numpy as np

from cellrec_jax.convert.cells import ImageCells, below, need_boxes

HOLDS = frozenset({"boxes", "classes"})

_SPLITS = {"train": "train", "val": "val", "valid": "val", "test": "test"}


def write(
    folder: Path, images: Iterable[ImageCells], class_names: Sequence[str]
) -> None:
    """Writes a file an image; `data.yaml` names classes, and folders of splits."""
    tops: set[str] = set()
    for cells in images:
        tops.add(cells.image_id.partition("/")[0] if "/" in cells.image_id else "")
        sides = np.array((*cells.size_hw[::-1], *cells.size_hw[::-1]))
        low, high = np.split(need_boxes(cells)[:, [1, 0, 3, 2]], 2, axis=1)
        shares = np.concatenate([(low + high) / 2, high - low], axis=1) / sides
        lines = [
            f"{label} {' '.join(f'{share:.8f}' for share in row)}\n"
            for label, row in zip(cells.labels, shares, strict=True)
        ]
        below(folder, "labels", cells, ".txt").write_text("".join(lines))
    splits = {_SPLITS[top]: f"images/{top}" for top in sorted(tops & _SPLITS.keys())}
    places = {"train": "images", "val": "images", **splits}
    text = "".join(f"{key}: {place}\n" for key, place in places.items())
    names = "".join(
        f"  {label}: {json.dumps(name, ensure_ascii=False)}\n"
        for label, name in enumerate(class_names)
    )
    (folder / "data.yaml").write_text(f"path: .\n{text}names:\n{names}", "utf-8")
