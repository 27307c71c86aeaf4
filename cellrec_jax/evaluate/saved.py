"""Predictions beside annotations in one file, to measure again without the network."""

from collections.abc import Mapping, Sequence
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from cellrec_jax import errors, hosts
from cellrec_jax.data import sparse
from cellrec_jax.io import atomic
from cellrec_jax.metrics.results import ImageResult

FILE = "all_scores.npz"
"""Its name in the folder `predictions` of a work directory."""
_PREDICTED = ("pred_points_yx", "pred_scores", "pred_labels", "pred_ignored")
_ANNOTATED = ("true_points_yx", "true_labels")
_BOXES = ("pred_boxes_yxyx", "true_boxes_yxyx")


class Saved(NamedTuple):
    """What `save` was given."""

    results: list[ImageResult]
    """Without boxes in files of versions that did not write them."""
    class_names: tuple[str, ...]
    radius_px: float


def save(
    path: str | os.PathLike[str],
    results: Sequence[ImageResult],
    class_names: Sequence[str],
    radius_px: float,
) -> None:
    """Writes all predictions of images, whatever their score; whole or not at all."""
    arrays = pack(results)
    arrays["class_names"] = np.array(class_names)
    arrays["radius_px"] = np.asarray(radius_px)
    with atomic.atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def gather(results: Sequence[ImageResult]) -> list[ImageResult]:
    """Results of all processes, of images that `hosts.own` divided, in their order."""
    if jax.process_count() == 1:
        return list(results)
    # None of fewer images than processes.
    arrays = pack(results) if results else {}
    parts = hosts.gather_arrays(arrays)
    return hosts.in_order([unpack(part) if part else [] for part in parts])


def pack(results: Sequence[ImageResult]) -> dict[str, Any]:
    """Results of one image or more as arrays; with boxes, if they have some."""
    found = (name for name in _BOXES if getattr(results[0], name) is not None)
    names = (*_PREDICTED, *_ANNOTATED, *found)
    arrays = {
        name: np.concatenate([getattr(one, name) for one in results]) for name in names
    }
    arrays["num_predicted"] = np.array([len(one.pred_scores) for one in results])
    arrays["num_annotated"] = np.array([len(one.true_labels) for one in results])
    totals = [-1 if one.num_cells is None else one.num_cells for one in results]
    arrays["num_cells"] = np.array(totals)
    arrays["image_ids"] = np.array([one.image_id for one in results])
    arrays["groups"] = np.array([one.group for one in results])
    return arrays


def load(path: str | os.PathLike[str]) -> Saved:
    """Reads a file of `save`; DataError if it is missing or another one."""
    try:
        with np.load(Path(path)) as content:
            arrays = {name: content[name] for name in content.files}
        names = tuple(map(str, arrays["class_names"]))
        return Saved(unpack(arrays), names, float(arrays["radius_px"]))
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise errors.DataError(
            f"{path}: no predictions with all scores ({error}): evaluate the work "
            "directory anew"
        ) from error


def with_part_of_labels(one: ImageResult, share: float, seed: int) -> ImageResult:
    """An image with a nested share of its labels, as `data.val_keep_rate` draws."""
    cells = one.image_id, one.true_points_yx, one.true_labels
    kept = sparse.kept_mask(*cells, rate=share, seed=seed)
    return one._replace(
        true_points_yx=one.true_points_yx[kept],
        true_labels=one.true_labels[kept],
        true_boxes_yxyx=None,
        num_cells=len(kept),
    )


def unpack(arrays: Mapping[str, np.ndarray]) -> list[ImageResult]:
    """The results of `pack`."""
    parts: dict[str, Sequence[np.ndarray | None]] = {
        name: [None] * len(arrays["image_ids"]) for name in _BOXES
    }
    for side, counts in (("pred_", "num_predicted"), ("true_", "num_annotated")):
        ends = np.cumsum(arrays[counts])[:-1]
        parts |= {
            name: np.split(values, ends)
            for name, values in arrays.items()
            if name.startswith(side)
        }
    rows = zip(arrays["image_ids"], arrays["groups"], arrays["num_cells"], strict=True)
    return [
        ImageResult(
            image_id=str(image_id),
            group=str(group),
            num_cells=None if total < 0 else int(total),
            **{name: values[index] for name, values in parts.items()},  # type: ignore[arg-type]
        )
        for index, (image_id, group, total) in enumerate(rows)
    ]
