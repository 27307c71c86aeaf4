"""One row an image: its cells, their share of positive ones, how they were cut."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from etils import epath

from cellrec_jax.data.pixels import files as pixel_files
from cellrec_jax.io import table
from cellrec_jax.metrics import proportion
from cellrec_jax.predict.journal import Done

FILE = "summary.csv"


def write(
    output: epath.Path,
    done: Iterable[Done],
    failed: Mapping[str, str],
    class_names: Sequence[str],
    thresholds: Sequence[float],
    thresholds_from: Mapping[str, str],
) -> None:
    """Writes summary.csv: images naturally sorted, `failed` ones (name -> why) too.

    Columns `image`, `height`, `width` (px), `mpp` (empty if unknown), `num_predicted`,
    `num_predicted/CLASS` of several classes, the share that class names stand for
    (`positive_index` or `TPS`, in [0, 1], with Wilson's 95 % interval in `..._low` and
    `..._high`; empty without such cells), `threshold/CLASS` and where it comes from,
    `note`. Of failed images only name and note.
    """
    cuts = cuts_of(class_names, thresholds, thresholds_from)
    rows = [_row(one, class_names) | cuts | {"note": one.note} for one in done]
    blank = Done("", "", 0, 0, 0, 0, 0.0, [0] * len(class_names))
    write_rows(output, rows, failed, [*_row(blank, class_names), *cuts, "note"])


def write_rows(
    output: epath.Path,
    rows: Iterable[Mapping[str, Any]],
    failed: Mapping[str, str],
    columns: Sequence[str],
) -> None:
    """Writes summary.csv of rows, which have `image`, and of what `failed`."""
    lost = dict.fromkeys(columns)
    every = [*rows, *(lost | {"image": k, "note": why} for k, why in failed.items())]
    every.sort(key=lambda row: pixel_files.natural_key(row["image"]))
    table.write_rows(output / FILE, every, columns)


def cuts_of(
    class_names: Sequence[str],
    thresholds: Sequence[float],
    thresholds_from: Mapping[str, str],
) -> dict[str, Any]:
    """Columns of the thresholds and of where they come from."""
    cuts: dict[str, Any] = {
        f"threshold/{name}": cut
        for name, cut in zip(class_names, thresholds, strict=True)
    }
    return cuts | {"thresholds_from": sources(thresholds_from)}


def sources(thresholds_from: Mapping[str, str]) -> str:
    """Where thresholds come from, in one text.

    Example:
      >>> sources({"a": "fitted on 3", "b": "fitted on 3"})
      'fitted on 3'
    """
    if len(set(thresholds_from.values())) == 1:
        return next(iter(thresholds_from.values()))
    return "; ".join(f"{name}: {source}" for name, source in thresholds_from.items())


def score_line(done: Iterable[Done], class_names: Sequence[str]) -> str | None:
    """The share of all images together, in words; None where there is none."""
    definition = proportion.score_definition(class_names)
    if definition is None:
        return None
    counts = [sum(part) for part in zip(*(one.counts for one in done), strict=True)]
    if not counts:
        return None
    share, *_ = proportion.with_interval(definition, counts).values()
    if share is None:
        return None
    name = definition.name.replace("_", " ")
    return f"{name} of all cells: {share:.3f}; cellrec score tells its interval"


def _row(one: Done, class_names: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "image": one.image,
        "height": one.height,
        "width": one.width,
        "mpp": one.mpp or None,
        "num_predicted": sum(one.counts),
    }
    return row | by_class(class_names, one.counts)


def by_class(class_names: Sequence[str], counts: Sequence[int]) -> dict[str, Any]:
    """Columns of each class's cells, where there are several, and of their share."""
    row: dict[str, Any] = {}
    if len(class_names) > 1:
        for name, count in zip(class_names, counts, strict=True):
            row[f"num_predicted/{name}"] = count
    definition = proportion.score_definition(class_names)
    if definition is not None:
        shares = proportion.with_interval(definition, counts)
        row |= {
            name: None if share is None else round(share, 6)
            for name, share in shares.items()
        }
    return row
