"""Pascal VOC, `Annotations/ID.xml`: boxes by their first and last pixel, from 1 on."""

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from etils.epath import Path

from cellrec_jax.convert.cells import ImageCells, below, need_boxes, texts

HOLDS = frozenset({"boxes", "classes"})
LEAST_PX = 1.0
"""Of a side: the first pixel of a box may be its last."""

_STEP = 0.001  # what is kept of a px


def write(
    folder: Path, images: Iterable[ImageCells], class_names: Sequence[str]
) -> None:
    """Writes a file an image; half-open corners get decimals where they have some."""
    for cells in images:
        tree = Element("annotation")
        SubElement(tree, "filename").text = cells.name.rpartition("/")[2]
        size = SubElement(tree, "size")
        for key, value in zip(("height", "width"), cells.size_hw, strict=True):
            SubElement(size, key).text = str(value)
        SubElement(size, "depth").text = "3"
        for box, label in zip(need_boxes(cells).tolist(), cells.labels, strict=True):
            row = SubElement(tree, "object")
            SubElement(row, "name").text = class_names[label]
            SubElement(row, "difficult").text = "0"
            corners = SubElement(row, "bndbox")
            y0, x0, y1, x1 = box
            # Readers take equal corners for a click.
            ends = [_end(*sides) for sides in ((x0, x1), (y0, y1))]
            numbers = texts((x0 + 1, y0 + 1, *ends))
            keys = ("xmin", "ymin", "xmax", "ymax")
            for key, text in zip(keys, numbers, strict=True):
                SubElement(corners, key).text = text
        indent(tree)
        file = below(folder, "Annotations", cells, ".xml")
        file.write_bytes(tostring(tree, "utf-8"))


def _end(start: float, end: float) -> float:
    return end + _STEP * (end - start < LEAST_PX + _STEP / 2)
