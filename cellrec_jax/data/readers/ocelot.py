"""OCELOT 2023: `images/SPLIT/cell/001.jpg` with `annotations/SPLIT/cell/001.csv`.

Lines are x, y and class: 1 is a cell of the background, 2 one of the tumour. Or, as the
challenge scores, images with one JSON "Multiple points" of all, by their number. Slides
of `metadata.json` are kept together.

References:
  Ryu et al., OCELOT: Overlapped Cell on Tissue Dataset, CVPR 2023.
"""

from typing import Any

from etils.epath import Path

from cellrec_jax.data.annotations import grand_challenge
from cellrec_jax.data.annotations.content import Annotations, collect
from cellrec_jax.data.classes import Classes, classes_from_values
from cellrec_jax.data.json_file import read_json
from cellrec_jax.data.pixels.files import IMAGE_ENDINGS
from cellrec_jax.data.readers import csv_points, foreign, listed
from cellrec_jax.data.readers.annotated import annotated_source
from cellrec_jax.data.readers.clean import points_from_xy
from cellrec_jax.data.readers.layout import Pairs, check_pairs, find_images, index_files
from cellrec_jax.data.readers.point_tables import open_tables
from cellrec_jax.data.record import Source
from cellrec_jax.errors import DataError

NAME = "ocelot"
CLASS_NAMES = ("background cell", "tumor cell")

_OCELOT = Classes(CLASS_NAMES, {"1": 0, "2": 1})
_KIND = "OCELOT"


def matches(root: Path) -> bool:
    """Whether images of cells have tables in `annotations/`, or one JSON for all."""
    try:
        pairs = _find(root)
        return not pairs.images.keys().isdisjoint(pairs.annotations) or bool(
            _stacks(root)
        )
    except (OSError, DataError):
        return False


def open_source(root: Path) -> Source:
    """Opens the tables, or the one JSON where there are none."""
    if _stacks(root):
        file = listed.only_file(_stacks(root), root, "JSON of OCELOT")
        return open_file(file, root)
    pairs = _find(root)
    check_pairs(root, pairs.images, pairs.annotations, "annotations/SPLIT/cell/*.csv")
    groups = _slides(root / "metadata.json", pairs.images)
    return open_tables(
        NAME, root, pairs, csv_points.read_table, _to_classes, groups=groups
    )


def open_file(file: Path, root: Path) -> Source:
    """Opens one JSON of the images below `root`, in natural order."""
    content = grand_challenge.parse_stack(file)
    _, images = find_images(root)
    if max(content, default=0) >= len(images):
        raise DataError(
            f"{file}: is of {max(content) + 1} images or more, {root} has {len(images)}"
        )
    order = {image_id: number for number, image_id in enumerate(images)}
    classes = {name for found in content.values() for name in found.names}
    names = CLASS_NAMES if classes <= {"1", "2"} else ()

    def annotations_of(image_id: str) -> Annotations:
        read = content.get(order[image_id], collect([]))
        if names:
            read = read._replace(names=tuple(names[int(n) - 1] for n in read.names))
        return read._replace(points_yx=points_from_xy(read.points_yx[:, ::-1]))

    return annotated_source(
        NAME,
        root,
        images,
        lambda _: [file],
        annotations_of,
        class_names=names or None,
    )


def _stacks(root: Path) -> list[Path]:
    files = [*sorted(root.glob("*.json")), *sorted(root.glob("annotations/*.json"))]
    return [file for file in files if foreign.kind_of(file) == _KIND]


def _find(root: Path) -> Pairs:
    """Those of cells, not of tissue."""
    images = index_files(root, "images", IMAGE_ENDINGS)
    tables = index_files(root, "annotations", (".csv",))
    return Pairs(
        *(
            {k: f for k, f in files.items() if _is_of_cells(k)}
            for files in (images, tables)
        )
    )


def _is_of_cells(image_id: str) -> bool:
    return "cell" in image_id.split("/")[:-1]


def _to_classes(values: set[str], _: set[str]) -> Classes:
    return _OCELOT if values <= {"1", "2"} else classes_from_values(values)


def _slides(file: Path, images: dict[str, Path]) -> dict[str, str]:
    """Image id -> slide, where `metadata.json` says it."""
    if not file.is_file():
        return {}
    content: Any = read_json(file)
    pairs = content.get("sample_pairs") if isinstance(content, dict) else None
    found = {}
    for image_id in images:
        pair = pairs.get(image_id.split("/")[-1]) if isinstance(pairs, dict) else None
        slide = pair.get("slide_name") if isinstance(pair, dict) else None
        if isinstance(slide, str) and slide:
            found[image_id] = slide
    return found
