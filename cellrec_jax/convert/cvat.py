"""CVAT for images 1.1, `annotations.xml`: points or boxes of all images."""

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from etils.epath import Path

from cellrec_jax.convert.cells import ImageCells, texts

HOLDS = frozenset({"points", "boxes", "classes"})


def write(
    folder: Path, images: Iterable[ImageCells], class_names: Sequence[str]
) -> None:
    """Writes the file; a point is an element of its own."""
    tree = Element("annotations")
    SubElement(tree, "version").text = "1.1"
    labels = SubElement(SubElement(SubElement(tree, "meta"), "task"), "labels")
    for name in class_names:
        SubElement(SubElement(labels, "label"), "name").text = name
    for number, cells in enumerate(images):
        height, width = map(str, cells.size_hw)
        about = {"id": str(number), "name": cells.name, "width": width}
        image = SubElement(tree, "image", about | {"height": height})
        kinds = [class_names[label] for label in cells.labels]
        if cells.boxes_yxyx is None:
            for kind, (y, x) in zip(kinds, cells.points_yx, strict=True):
                place = {"points": ",".join(texts((x, y)))}
                SubElement(image, "points", {"label": kind, "occluded": "0", **place})
            continue
        for kind, box in zip(kinds, cells.boxes_yxyx, strict=True):
            keys = ("ytl", "xtl", "ybr", "xbr")
            corners = dict(zip(keys, texts(box), strict=True))
            SubElement(image, "box", {"label": kind, "occluded": "0", **corners})
    indent(tree)
    file = folder / "annotations.xml"
    file.write_bytes(tostring(tree, "utf-8", xml_declaration=True))
