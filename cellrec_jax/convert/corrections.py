"""What a person made of predicted cells in QuPath, as cells of which each has a trust.

A cell that is drawn, relabelled or moved is given; one that is as it was predicted is a
prediction still, of a trust below 1; where one was deleted is known background.
"""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import orjson
from scipy import spatial

from cellrec_jax.convert import qupath
from cellrec_jax.data.annotations.content import Annotations
from cellrec_jax.errors import DataError
from cellrec_jax.io import palette
from cellrec_jax.metrics.matching import match_points

ADDED, CHANGED, DELETED = "added", "relabelled or moved", "deleted"
BEFORE, UNTOUCHED = "known before", "untouched"

_SAME_PX = 0.05
"""How far numbers of two digits, as QuPath keeps them, may be from ours."""
_SUREST = 0.99
"""Trust of a prediction of score 1."""


class _Cells(NamedTuple):
    """Columns of n cells, as of `Annotations`."""

    points_yx: np.ndarray
    names: np.ndarray
    boxes_yxyx: np.ndarray
    scores: np.ndarray
    trust: np.ndarray
    ids: np.ndarray


def compare(
    predicted: Annotations,
    corrected: Annotations,
    before: Annotations | None = None,
    *,
    radius_px: float,
    trust: float | None,
) -> tuple[Annotations, Counter[str]]:
    """Cells of an image, those of known background too, and how often what was done.

    A prediction is the cell of its id, else one nearer than `radius_px`, one at most.
    Given cells and known background of `before` stay where `corrected` says nothing
    else; regions are those of `corrected`. `trust`, in [0, 1), is that of predictions;
    None takes their score. `DataError` for a cell without a class where there are
    several.
    """
    old, new = _cells(predicted), _unique(_named(_cells(corrected), predicted))
    pairs = _pairs(old, new, radius_px)
    is_same = _is_same(old, new, pairs)
    given = _others(new, pairs[is_same, 1])
    untouched = _take(old, pairs[is_same, 0])
    gone = _away(_others(old, pairs[is_same, 0]), new, radius_px)
    counts = Counter({ADDED: len(new.ids) - len(pairs), DELETED: len(gone.ids)})
    counts[CHANGED] = len(given.ids) - counts[ADDED]
    if before is not None:
        cells, background = _still(_cells(before), given, untouched, gone, radius_px)
        counts[BEFORE] = len(cells.ids) + len(background.ids)
        given = _joined(given, cells)
        gone = _joined(_away(gone, cells, radius_px), background)
    known = _joined(_trusted(given, 1.0), _trusted(gone, -1.0))
    near = match_points(untouched.points_yx, known.points_yx, radius_px)
    untouched = _others(untouched, near[:, 0])
    counts[UNTOUCHED] = len(untouched.ids)
    scores = np.nan_to_num(untouched.scores).clip(0.0, _SUREST)
    untouched = _trusted(untouched, scores if trust is None else trust)
    found = _joined(known, untouched)
    read = corrected._replace(
        points_yx=found.points_yx,
        names=tuple(found.names.tolist()),
        boxes_yxyx=_with_boxes(found, predicted, before),
        scores=found.scores,
        trust=found.trust,
        ids=tuple(found.ids.tolist()),
    )
    return read, counts


def collection(cells: Annotations) -> dict[str, Any]:
    """GeoJSON of what `compare` found, which the reader of QuPath's files reads so."""
    names = sorted({*cells.names, qupath.IGNORE, qupath.REGION})
    colors = palette.qupath_colors(names)
    kinds = dict(zip(names, map(qupath.kind, names, colors), strict=True))
    features = []
    assert cells.trust is not None  # `compare` sets it
    for index, (y, x) in enumerate(np.round(cells.points_yx, 3).tolist()):
        shape: dict[str, Any] = {"type": "Point", "coordinates": [x, y]}
        box = np.round(cells.boxes_yxyx[index], 3)
        if np.isfinite(box).all():
            shape = qupath.box(box)
        measured = {"trust": float(cells.trust[index]), "score": cells.scores[index]}
        features.append(qupath.feature(shape, kinds[cells.names[index]], measured))
    for areas, name in (
        (cells.ignore, qupath.IGNORE),
        (cells.annotated, qupath.REGION),
    ):
        features += [qupath.feature(qupath.area([one]), kinds[name]) for one in areas]
    return {"type": "FeatureCollection", "features": features}


def encode(cells: Annotations) -> bytes:
    """The text of `collection`."""
    return orjson.dumps(collection(cells), option=orjson.OPT_SERIALIZE_NUMPY)


def _cells(read: Annotations) -> _Cells:
    """Those that have a place."""
    number = len(read.names)
    cells = _Cells(
        read.points_yx,
        np.array(read.names, np.str_),
        read.boxes_yxyx,
        read.scores,
        np.ones(number) if read.trust is None else read.trust,
        np.array(read.ids or [""] * number, np.str_),
    )
    return _take(cells, np.isfinite(cells.points_yx).all(1))


def _named(cells: _Cells, predicted: Annotations) -> _Cells:
    """With the class of all predictions where there is none."""
    nameless = cells.names == ""
    kinds = sorted(set(predicted.names))
    if not nameless.any():
        return cells
    if len(kinds) != 1:
        y, x = cells.points_yx[nameless][0]
        raise DataError(
            f"{nameless.sum()} cells without a class, first at ({x:g}, {y:g}): give "
            f"each one in QuPath, such as {' or '.join(kinds) or 'Positive'}"
        )
    return cells._replace(names=np.where(nameless, kinds[0], cells.names))


def _unique(cells: _Cells) -> _Cells:
    """The first of those with one id, or of one class in one place."""
    seen: set[tuple[Any, ...]] = set()
    kept = []
    places = np.round(cells.points_yx / _SAME_PX).astype(np.int64).tolist()
    for index, (place, name) in enumerate(zip(places, cells.names, strict=True)):
        keys = {(*place, name), (cells.ids[index] or index,)}
        if seen.isdisjoint(keys):
            kept.append(index)
        seen |= keys
    return _take(cells, np.array(kept, np.int64))


def _pairs(old: _Cells, new: _Cells, radius_px: float) -> np.ndarray:
    """Which prediction is which cell, int [P, 2]: by id, the others by place."""
    _, was, now = np.intersect1d(old.ids, new.ids, return_indices=True)
    has_id = old.ids[was] != ""
    by_id = np.stack([was[has_id], now[has_id]], 1)
    rest_old = np.setdiff1d(np.arange(len(old.ids)), by_id[:, 0])
    rest_new = np.setdiff1d(np.arange(len(new.ids)), by_id[:, 1])
    near = match_points(old.points_yx[rest_old], new.points_yx[rest_new], radius_px)
    by_place = np.stack([rest_old[near[:, 0]], rest_new[near[:, 1]]], 1)
    return np.concatenate([by_id, by_place])


def _is_same(old: _Cells, new: _Cells, pairs: np.ndarray) -> np.ndarray:
    """Whether each pair is of one class and in one place."""
    was, now = pairs.T
    moved_px = np.abs(old.points_yx[was] - new.points_yx[now]).max(1, initial=0.0)
    return (old.names[was] == new.names[now]) & (moved_px <= _SAME_PX)


def _still(
    before: _Cells, given: _Cells, untouched: _Cells, gone: _Cells, radius_px: float
) -> tuple[_Cells, _Cells]:
    """Given cells and known background from before that nobody has changed since."""
    cells, background = (
        _take(before, before.trust == 1),
        _take(before, before.trust < 0),
    )
    there = np.concatenate([given.points_yx, untouched.points_yx])
    found = match_points(cells.points_yx, there, radius_px)
    is_new = found[:, 1] < len(given.ids)
    unseen = _others(cells, found[:, 0])
    cells = _joined(
        _take(cells, found[~is_new, 0]),
        _others(
            unseen, match_points(unseen.points_yx, gone.points_yx, radius_px)[:, 0]
        ),
    )
    return cells, _away(background, _joined(given, cells), radius_px)


def _take(cells: _Cells, index: np.ndarray) -> _Cells:
    return _Cells(*(column[index] for column in cells))


def _others(cells: _Cells, index: np.ndarray) -> _Cells:
    """All but those of an index."""
    return _take(cells, np.delete(np.arange(len(cells.ids)), index))


def _away(cells: _Cells, others: _Cells, radius_px: float) -> _Cells:
    """Those that are no nearer than a radius to any of the others."""
    if not len(others.ids):
        return cells
    distances, _ = spatial.cKDTree(others.points_yx).query(cells.points_yx)
    return _take(cells, distances > radius_px)


def _joined(*parts: _Cells) -> _Cells:
    return _Cells(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _trusted(cells: _Cells, trust: float | np.ndarray) -> _Cells:
    return cells._replace(trust=np.broadcast_to(trust, len(cells.ids)))


def _with_boxes(
    cells: _Cells, predicted: Annotations, before: Annotations | None
) -> np.ndarray:
    """Boxes of predictions; those of cells that were drawn as points are as large.

    None of areas that were drawn where all else is points.
    """
    others = [one for one in (predicted, before) if one is not None and len(one.names)]
    if others and not any(np.isfinite(one.boxes_yxyx).any() for one in others):
        return np.full_like(cells.boxes_yxyx, np.nan)
    has_box = np.isfinite(cells.boxes_yxyx).all(1)
    if not has_box.any():
        return cells.boxes_yxyx
    known = cells.boxes_yxyx[has_box]
    half = np.median(known[:, 2:] - known[:, :2], axis=0) / 2
    drawn = np.concatenate([cells.points_yx - half, cells.points_yx + half], 1)
    return np.where(has_box[:, None], cells.boxes_yxyx, drawn)
