"""A table an image, `labels/ID.csv`: x,y,class or corners; px, continuous."""

from collections.abc import Iterable, Sequence
import csv
import io

from etils.epath import Path

from cellrec_jax.convert.cells import ImageCells, below, guarded, not_whole, texts

HOLDS = frozenset({"points", "boxes", "classes"})


def write(
    folder: Path, images: Iterable[ImageCells], class_names: Sequence[str]
) -> None:
    """Writes the tables, with a header each."""
    for cells in images:
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        if cells.boxes_yxyx is None:
            rows.writerow(("x", "y", "class"))
            places = not_whole(cells.points_yx)[:, ::-1]
        else:
            rows.writerow(("xmin", "ymin", "xmax", "ymax", "class"))
            places = cells.boxes_yxyx[:, [1, 0, 3, 2]]
        for place, label in zip(places, cells.labels, strict=True):
            rows.writerow((*texts(place), guarded(class_names[label])))
        file = below(folder, "labels", cells, ".csv")
        file.write_text(text.getvalue(), encoding="utf-8")
