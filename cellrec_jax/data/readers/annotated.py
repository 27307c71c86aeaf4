"""A set of images of which each has `Annotations`, of whatever program."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
from typing import NamedTuple

from etils.epath import Path
import numpy as np

from cellrec_jax import polygons
from cellrec_jax.data.annotations.content import Annotations
from cellrec_jax.data.classes import Classes, classes_from_values, read_label_map
from cellrec_jax.data.readers import frames, units
from cellrec_jax.data.readers.folder import Pixels, folder_source
from cellrec_jax.data.readers.point_tables import LABEL_MAP
from cellrec_jax.data.record import Record, Source
from cellrec_jax.errors import DataError

UNCLASSIFIED = "unclassified"
NO_CLASS = f"cells without a class read as of class '{UNCLASSIFIED}'"
BOXES_AS_POINTS = "boxes read as points, since other annotations are points"


class _Facts(NamedTuple):
    """What is kept of an image's annotations, of which there may be many."""

    names: frozenset[str]
    num_cells: int
    num_boxes: int
    extent: units.Extent
    size_hw: tuple[int, int] | None
    has_trust: bool


def annotated_source(
    name: str,
    root: Path,
    images: Mapping[str, Path],
    files_of: Callable[[str], Sequence[Path]],
    annotations_of: Callable[[str], Annotations],
    *,
    class_names: Sequence[str] | None = None,
    groups: Mapping[str, str] | None = None,
    mpp: float | None = None,
    repairs: Mapping[str, int] | None = None,
    pixels: Pixels | None = None,
) -> Source:
    """A set whose annotations `annotations_of(id)` gives, asked for once here.

    Classes are the names that cells have, naturally sorted, or what `label_map.yaml` in
    `root` or `class_names` say. Cells have boxes if all have one. `mpp` is um per px of
    all images, `pixels` how they are read if they are parts of files. A `DataError`:
    unreadable files, no cell at all, coordinates that are no px, a class that is none
    of `class_names`.
    """
    facts = {image_id: _facts(annotations_of(image_id)) for image_id in images}
    total = sum(found.num_cells for found in facts.values())
    if not total:
        where = next((str(file) for i in images for file in files_of(i)), str(root))
        raise DataError(
            f"{root}: no cells in the annotations of its {len(images)} images (such as "
            f"{where}): mark some, as points or areas"
        )
    has_boxes = total == sum(found.num_boxes for found in facts.values())
    has_trust = any(found.has_trust for found in facts.values())
    if pixels is None:
        units.check_set([found.extent for found in facts.values()], images, str(root))
    classes = _classes(root, facts.values(), class_names)

    def stated(image_id: str) -> frames.Stated | None:
        size_hw = facts[image_id].size_hw
        where = next(iter(files_of(image_id)), root)
        said = f"{where} says that {images[image_id].name}"
        return frames.Stated(said, size_hw) if size_hw else None

    def read(image_id: str, image: np.ndarray, found: Counter[str]) -> Record:
        annotations = annotations_of(image_id)
        found.update(annotations.notes)
        where = str(next(iter(files_of(image_id)), root))
        labels = [classes.to_label(name, where) for name in annotations.names]
        if UNCLASSIFIED in classes.names:
            _count(found, NO_CLASS, annotations.names.count(""))
        if not has_boxes:
            has_box = np.isfinite(annotations.boxes_yxyx).all(1)
            _count(found, BOXES_AS_POINTS, int(has_box.sum()))
        record = _record(image_id, image, annotations, has_boxes)
        return dataclasses.replace(
            record,
            labels=np.array(labels, np.int32),
            trust=_trust(annotations) if has_trust else None,
            mpp=mpp,
        )

    return folder_source(
        name,
        classes.names,
        images,
        files_of,
        read,
        root,
        stated=stated,
        groups=groups,
        repairs=repairs,
        pixels=pixels,
    )


def _facts(annotations: Annotations) -> _Facts:
    has_box = np.isfinite(annotations.boxes_yxyx).all(1)
    return _Facts(
        frozenset(annotations.names),
        len(annotations.names),
        int(has_box.sum()),
        units.extent(annotations.points_yx),
        annotations.size_hw,
        annotations.trust is not None,
    )


def _classes(
    root: Path, facts: Iterable[_Facts], class_names: Sequence[str] | None
) -> Classes:
    """Classes of the set, by the names and numbers that its cells have."""
    names = frozenset[str]().union(*(found.names for found in facts))
    if class_names is not None:
        ids = {name: label for label, name in enumerate(class_names)}
        return Classes(tuple(class_names), ids)
    if (root / LABEL_MAP).is_file():
        return read_label_map(root / LABEL_MAP)
    if names == {""}:
        return Classes(("cell",), {"": 0})
    known = classes_from_values(name or UNCLASSIFIED for name in names)
    if "" in names:
        known.ids[""] = known.ids[UNCLASSIFIED]
    return known


def _record(
    image_id: str, image: np.ndarray, annotations: Annotations, has_boxes: bool
) -> Record:
    """A record, but for its labels."""
    size_hw = (image.shape[0], image.shape[1])
    scores = annotations.scores
    with np.errstate(over="ignore"):  # 1e300 becomes inf, which `clean` drops
        return Record(
            image_id,
            image,
            annotations.points_yx.astype(np.float32),
            np.zeros(len(annotations.names), np.int32),
            annotations.boxes_yxyx.astype(np.float32) if has_boxes else None,
            annotated=_filled(annotations.annotated, size_hw),
            ignore=_filled(annotations.ignore, size_hw),
            scores=scores.astype(np.float32) if np.isfinite(scores).any() else None,
        )


def _trust(annotations: Annotations) -> np.ndarray:
    if annotations.trust is None:
        return np.ones(len(annotations.names), np.float32)
    return annotations.trust.astype(np.float32)


def _filled(
    areas: Sequence[polygons.Polygon], size_hw: tuple[int, int]
) -> np.ndarray | None:
    return polygons.fill(areas, size_hw) if areas else None


def _count(repairs: Counter[str], what: str, number: int) -> None:
    if number:
        repairs[what] += number
