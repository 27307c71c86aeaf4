"""Cells that one run has right and another has not, as Fig. 2 of Zhang et al."""

from collections.abc import Mapping, Sequence
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from etils import epath
import numpy as np

from cellrec_jax import errors, methods
from cellrec_jax.data import example, sets
from cellrec_jax.evaluate import fitting
from cellrec_jax.io import drawing, overlay
from cellrec_jax.io import table as io_table
from cellrec_jax.metrics import matching
from cellrec_jax.predict import outputs
from cellrec_jax.workdir import model as model_lib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = ("corrected", "spoiled", "recovered", "lost")
"""Class wrong, then right, and the reverse; missed, then right, and the reverse."""
_MISSED = -1
_PANEL_INCH = 3.6


class Detected(NamedTuple):
    """What a run found in an image, at its thresholds; px of the image on disk."""

    points_yx: np.ndarray
    labels: np.ndarray


_NOTHING = Detected(np.zeros((0, 2)), np.zeros(0, int))


class Compared(NamedTuple):
    """Two runs on the same images."""

    class_names: tuple[str, ...]
    source: Any
    found: tuple[Mapping[str, Detected], Mapping[str, Detected]]
    changed: Mapping[str, Mapping[str, np.ndarray]]
    """Image -> kind of change -> indices of its cells."""
    num_false: tuple[np.ndarray, np.ndarray]
    """int [K] of each run: detections of a class without a cell."""


def compare(first: str, second: str) -> Compared:
    """Compares the detections of two work directories cell by cell.

    A cell's detection is its partner by maximum matching, whatever the class. UserError
    for other test images or classes, or none.
    """
    found, splits = zip(*(_read(workdir) for workdir in (first, second)), strict=True)
    names, ids = splits[0].source.class_names, splits[0].image_ids
    if (splits[1].source.class_names, splits[1].image_ids) != (names, ids):
        raise errors.ConfigError(f"{first} and {second} have other test images")
    config = methods.from_json(_meta(first)["config"]).eval
    num_false = np.zeros((2, len(names)), int)
    changed = {}
    for image_id in ids:
        record = splits[0].source.load(image_id)
        mpp = splits[0].spec.mpp or record.mpp or 0.0
        radius_px = fitting.radius_px(config, mpp)
        states = []
        for one, counted in zip(found, num_false, strict=True):
            own = one.get(image_id, _NOTHING)
            seen, false = outcome(own, record.points_yx, radius_px, config.strict)
            states.append(seen)
            np.add.at(counted, own.labels[false], 1)
        changed[image_id] = changes(record.labels, *states)
    return Compared(
        tuple(names),
        splits[0].source,
        (found[0], found[1]),
        changed,
        (num_false[0], num_false[1]),
    )


def outcome(
    found: Detected, true_yx: np.ndarray, radius_px: float, strict: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The class by which each cell was found, int [N], -1 where none.

    And bool [M], the detections without a cell.
    """
    pairs = matching.match_points(found.points_yx, true_yx, radius_px, strict=strict)
    seen, false = np.full(len(true_yx), _MISSED), np.ones(len(found.labels), bool)
    seen[pairs[:, 1]] = found.labels[pairs[:, 0]]
    false[pairs[:, 0]] = False
    return seen, false


def changes(
    labels: np.ndarray, before: np.ndarray, after: np.ndarray
) -> dict[str, np.ndarray]:
    """Cells of each of `KINDS`, by their classes [N] and two outcomes [N]."""
    right = [seen == labels for seen in (before, after)]
    missed = [seen == _MISSED for seen in (before, after)]
    kinds = (
        right[1] & ~right[0] & ~missed[0],
        right[0] & ~right[1] & ~missed[1],
        right[1] & missed[0],
        right[0] & missed[1],
    )
    return dict(zip(KINDS, map(np.flatnonzero, kinds), strict=True))


def totals(compared: Compared) -> dict[str, dict[str, int]]:
    """Class name -> kind -> number of cells of all images; false of each run."""
    before, after = compared.num_false
    found = {
        name: dict.fromkeys(KINDS, 0)
        | {"false_before": int(before[label]), "false_after": int(after[label])}
        for label, name in enumerate(compared.class_names)
    }
    for image_id, kinds in compared.changed.items():
        labels = compared.source.load(image_id).labels
        for kind, cells in kinds.items():
            for label in labels[cells]:
                found[compared.class_names[label]][kind] += 1
    return found


def draw(
    path: str | os.PathLike[str], compared: Compared, labels: tuple[str, str]
) -> None:
    """Draws two images, chosen as those that gain most: classes, then missed cells.

    Panels: annotated, first, second run; rings are cells of these two kinds. It shows
    what gains look like, not how many there are: that say `totals`.
    """
    figure = drawing.new_figure(3 * _PANEL_INCH, 2 * _PANEL_INCH + 0.6)
    grid = figure.subplots(2, 3, squeeze=False)
    for row, (gain, loss) in zip(grid, (KINDS[:2], KINDS[2:]), strict=True):
        gains = {
            image_id: len(kinds[gain]) - len(kinds[loss])
            for image_id, kinds in compared.changed.items()
        }
        image_id = max(gains, key=gains.__getitem__)
        record = compared.source.load(image_id)
        kinds = compared.changed[image_id]
        truth = Detected(record.points_yx, record.labels)
        before, after = (one.get(image_id, _NOTHING) for one in compared.found)
        title = (
            f"image {image_id}: {len(kinds[gain])} {gain}, {len(kinds[loss])} {loss}"
        )
        for axes, shown, text in zip(
            row, (truth, before, after), (title, *labels), strict=True
        ):
            _show(axes, record.image, shown, compared.class_names, text)
            rings = record.points_yx[kinds[gain]]
            axes.scatter(
                *rings.T[::-1], s=260, facecolors="none", edgecolors="k", lw=1.2
            )
    drawing.save(path, figure)


def _show(
    axes: "Axes",
    image: np.ndarray,
    shown: Detected,
    class_names: Sequence[str],
    title: str,
) -> None:
    drawn = overlay.draw_overlay(
        example.to_uint8(image),
        shown.points_yx,
        np.ones(len(shown.labels)),
        labels=shown.labels,
        colors=outputs.colors_of(class_names),
    )
    height, width = image.shape[:2]
    axes.imshow(np.asarray(drawn), extent=(0, width, height, 0))
    axes.set_axis_off()
    drawing.title(axes, drawing.plain(title))


def _meta(workdir: str) -> Mapping[str, Any]:
    return model_lib.stored_meta(epath.Path(workdir).expanduser())


def _read(workdir: str) -> tuple[dict[str, Detected], sets.Split]:
    """Detections of each image that has some, and the test images."""
    folder = epath.Path(workdir).expanduser()
    experiment = methods.from_json(_meta(workdir)["config"])
    split = sets.open_for_evaluation(experiment.data, experiment.seed, whole=False)
    names = list(split.source.class_names)
    rows: dict[str, list[tuple[float, float, int]]] = {}
    for row in io_table.read_rows(folder / "predictions" / "detections.csv"):
        cell = float(row["y"]), float(row["x"]), names.index(row["class"])
        rows.setdefault(row["image"], []).append(cell)
    if not rows:
        raise errors.DataError(f"{workdir}: no detections; train it to its end")
    found = {}
    for image_id, cells in rows.items():
        table = np.array(cells)
        found[image_id] = Detected(table[:, :2], table[:, 2].astype(int))
    return found, split
