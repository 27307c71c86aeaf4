"""Cells of one image that are too near to each other, or were repaired when read."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy import ndimage, spatial

from cellrec_jax import geometry
from cellrec_jax.check.facts import Facts
from cellrec_jax.check.rules import NOTE, Finding, finding
from cellrec_jax.data.readers import clean, dot_maps, label_images
from cellrec_jax.data.record import Record

NEAR_SHARE = 0.125
"""Of the size of a cell: nearer ones are one cell marked twice."""

_REPAIRED: Mapping[str, str] = {
    clean.POINTS_NAN: "not-a-number",
    clean.POINTS_OUTSIDE: "outside",
    clean.POINTS_DUPLICATE: "twice",
    clean.BOXES_DEGENERATE: "box-empty",
    clean.BOXES_INVERTED: "box-inverted",
    clean.BOXES_CLIPPED: "box-clipped",
    dot_maps.MERGED_DOTS: "near",
}
"""What readers call it -> rule."""
_TOLD = frozenset((label_images.SEVERAL_PARTS,))
"""What has rules that find it themselves."""
_CLIPPED_PX = 2.0  # boxes drawn to the edge reach a little beyond
_STRAY = 0.05  # of the largest part
_EIGHT_CONNECTED = np.ones((3, 3), bool)


def repaired(record: Record, counts: Mapping[str, int]) -> list[Finding]:
    """What a reader dropped or mended in a record, a finding a place.

    `counts` is what it says of this image; what it counted without saying where is one
    finding, and what is no fault of a cell is left to `reader_lines`.
    """
    found: list[Finding] = []
    for what, rule in _REPAIRED.items():
        places = record.repaired.get(what, np.zeros((0, 4), np.float32))
        found += _at_places(record, rule, what, places)
        without = counts.get(what, 0) - len(places)
        if without > 0:
            text = f"{without} {what}"
            found.append(finding(rule, record.image_id, text))
    return found


def reader_lines(counts: Mapping[str, int]) -> list[Finding]:
    """What readers tell of the whole set, but for what has a rule of its own."""
    known = _REPAIRED.keys() | _TOLD
    return [
        finding("reader", "", f"{number} {what}")
        for what, number in sorted(counts.items())
        if what not in known
    ]


def _at_places(
    record: Record, rule: str, what: str, places: np.ndarray
) -> Iterator[Finding]:
    height, width = record.image.shape[:2]
    for place in places.astype(np.float64):
        if rule == "box-clipped":
            low, high = np.sort(place.reshape(2, 2), axis=0)
            beyond = max(-low.min(), *(high - (height, width)))
            if beyond <= _CLIPPED_PX:
                continue
        is_point = np.array_equal(place[:2], place[2:])
        y, x = geometry.box_centers(place)
        text = _TEXTS[rule].format(*place, y=y, x=x, height=height, width=width)
        if what == dot_maps.MERGED_DOTS:
            text = "a dot of several connected px: read as one cell"
        where = {"point_yx": place[:2]} if is_point else {"box_yxyx": place}
        yield finding(rule, record.image_id, text, **where)


_TEXTS = {
    "not-a-number": "no place (y {y:g}, x {x:g})",
    "outside": "at y {y:g}, x {x:g}, of {height} x {width} px: dropped",
    "twice": "stands there once more: dropped",
    "box-empty": "y {0:g} to {2:g}, x {1:g} to {3:g} has no area: dropped",
    "box-inverted": "y {0:g} to {2:g}, x {1:g} to {3:g}: put right",
    "box-clipped": "y {0:g} to {2:g}, x {1:g} to {3:g} of {height} x {width} px",
    "near": "",
}


def near(
    facts: Facts, radius_px: float, class_names: Sequence[str]
) -> Iterator[Finding]:
    """Pairs of points nearer than a radius, told at the second; not of boxes."""
    if facts.boxes_yxyx is not None or len(facts.points_yx) < 2:
        return
    pairs = spatial.KDTree(facts.points_yx).query_pairs(
        radius_px, output_type="ndarray"
    )
    for first, second in sorted(pairs.tolist()):
        one, other = facts.points_yx[[first, second]].astype(np.float64)
        labels = class_names[facts.labels[first]], class_names[facts.labels[second]]
        text = f"{np.hypot(*(one - other)):.1f} px from another cell"
        if labels[0] != labels[1]:
            text += f", which is {labels[0]} and not {labels[1]}"
        yield finding("near", facts.image_id, text, other)


def parts(record: Record) -> Iterator[Finding]:
    """Cells of a mask in several parts, told at the largest of the others.

    Of notes all other parts are strays of a few px.
    """
    if record.masks is None:
        return
    for index, window in enumerate(ndimage.find_objects(record.masks)):
        if window is None:
            continue
        labels, number = ndimage.label(
            record.masks[window] == index + 1, _EIGHT_CONNECTED
        )
        if number < 2:
            continue
        areas = np.bincount(labels.ravel())[1:]
        second = int(np.argsort(-areas, kind="stable")[1])
        place = np.argwhere(labels == second + 1).mean(0) + 0.5
        place += [window[0].start, window[1].start]
        text = (
            f"{number} parts, of {', '.join(map(str, sorted(areas, reverse=True)))} px"
        )
        is_stray = areas[second] < _STRAY * areas.max()
        weight = NOTE if is_stray else ""
        yield finding("parts", record.image_id, text, place, weight=weight)
