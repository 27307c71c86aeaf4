"""One row a slide: its cells, its area, and what they were found with."""

from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
import numpy as np

from cellrec_jax.data.pixels import slides
from cellrec_jax.predict import summary as image_summary


def row_of(
    description: slides.Description,
    class_names: Sequence[str],
    counts: Sequence[int],
    area_mm2: float,
    num_bad: int,
    lost_mm2: float,
    origin_yx: Sequence[float] | np.ndarray = (0.0, 0.0),
    note: str = "",
) -> dict[str, Any]:
    """A slide's row, JSON: all of `write`'s columns but its name.

    `counts` are K numbers of cells, `area_mm2` what was looked at, `num_bad` the
    tiles of the file that could not be read, with `lost_mm2` of what was to be looked
    at, `origin_yx` the px of level 0 that are (0, 0) in its files, `note` what
    else is to be told.
    """
    height, width = description.levels[0].size_hw
    row: dict[str, Any] = {
        "height": height,
        "width": width,
        "mpp": description.mpp,
        "mpp_source": description.mpp_source,
        "reader": description.reader,
        "analysed_mm2": _digits(area_mm2),
        "bad_tiles": num_bad,
        "damaged_mm2": _digits(lost_mm2),
        "num_predicted": sum(counts),
        "per_mm2": _digits(sum(counts) / area_mm2) if area_mm2 else None,
        "origin_x": int(origin_yx[1]),
        "origin_y": int(origin_yx[0]),
        **image_summary.by_class(class_names, counts),
    }
    row["note"] = "; ".join(filter(None, (damage(row), note)))
    return row


def _digits(value: float) -> float:
    """To six digits, however small."""
    return float(f"{value:.6g}")


def damage(row: Mapping[str, Any]) -> str:
    """What of a slide could not be read, of its row; "" where it cost nothing."""
    number = row["bad_tiles"]
    lost = row.get("damaged_mm2")  # earlier versions did not keep it
    if not number or lost == 0:
        return ""
    area = "" if lost is None else f" ({lost:.3g} of {_all_mm2(row):.3g} mm2)"
    return f"{number} {'tile' if number == 1 else 'tiles'}{area} could not be read"


def _all_mm2(row: Mapping[str, Any]) -> float:
    return float(row["analysed_mm2"] + row["damaged_mm2"])


def write(
    output: epath.Path,
    done: Mapping[str, Mapping[str, Any]],
    failed: Mapping[str, str],
    cuts: Mapping[str, Any],
) -> None:
    """Writes summary.csv: slides naturally sorted, `failed` ones (name -> why) too.

    Columns are those of `row_of`, its `note` last, after `cuts` (threshold/CLASS and
    where it comes from, of all slides). Of failed slides, which are not in `done`, only
    name and note.
    """
    rows = [{"image": name, "note": "", **row, **cuts} for name, row in done.items()]
    columns = dict.fromkeys(["image", *(name for row in rows for name in row)])
    columns.pop("note", None)
    image_summary.write_rows(output, rows, failed, [*columns, "note"])
