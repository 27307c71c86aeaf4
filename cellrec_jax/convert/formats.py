"""The formats that are written; this table is the only registry."""

from cellrec_jax.convert import (
    coco,
    csv_points,
    cvat,
    grand_challenge,
    label_images,
    label_studio,
    ocelot,
    qupath,
    table,
    voc,
    yolo,
)
from cellrec_jax.convert.cells import Format

FORMATS: dict[str, Format] = {
    "qupath": Format(qupath.write, qupath.HOLDS),
    "csv": Format(csv_points.write, csv_points.HOLDS),
    "table": Format(table.write, table.HOLDS),
    "coco": Format(coco.write, coco.HOLDS),
    "voc": Format(voc.write, voc.HOLDS, voc.LEAST_PX),
    "yolo": Format(yolo.write, yolo.HOLDS),
    "cvat": Format(cvat.write, cvat.HOLDS),
    "label_studio": Format(label_studio.write, label_studio.HOLDS),
    "grand_challenge": Format(grand_challenge.write, grand_challenge.HOLDS),
    "ocelot": Format(ocelot.write, ocelot.HOLDS),
    "label_images": Format(label_images.write, label_images.HOLDS),
}
"""Name for `--to` -> how it is written, and what it can say."""
