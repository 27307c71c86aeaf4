"""Bytes of GeoJSON features from arrays of cells, many at a time."""

from collections.abc import Sequence
import hashlib
from typing import NamedTuple
import uuid

import numpy as np
import orjson

from cellrec_jax.io.cell_columns import CellColumns

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "cellrec-jax")
_DECIMALS = 2
"""Digits of coordinates: a hundredth of a px, as QuPath itself writes them."""
_SCORE_DECIMALS, _PROB_DECIMALS = 6, 4
LEAST_PX = 0.1
"""Least sides of boxes and radii of circles: QuPath keeps two digits of outlines."""
_CORNERS = 16


class Look(NamedTuple):
    """How cells of a file look."""

    geometry: str
    """"point", "box" or "circle"."""
    class_names: tuple[str, ...]
    class_colors: tuple[tuple[int, int, int], ...]
    """(red, green, blue), each in 0..255."""
    origin_yx: tuple[float, float]
    """Px of the image that become (0, 0) of the file."""
    circle_px: float
    """Radius of circles."""
    has_probs: bool = False
    """Whether each class's probability is a measurement, "p CLASS"."""


def encode(look: Look, cells: CellColumns) -> list[str]:
    """JSON of a feature a cell, in order; of cells without a fault.

    Outlines are closed and go counterclockwise, as RFC 7946 has it.
    """
    points_xy = _rounded(cells.points_yx[:, ::-1] - look.origin_yx[::-1])
    places = _texts(points_xy, 1)
    shapes, kind = places, "Point"
    if look.geometry != "point":
        kind = "Polygon"
        if look.geometry == "box":
            rings_xy = box_rings(cells.boxes_yxyx - look.origin_yx * 2)
        else:
            rings_xy = _circle_rings(points_xy, look.circle_px)
        shapes = [f"[[{text}]]" for text in _texts(rings_xy, 2)]
    # The id of a circle is that of its point.
    places = shapes if look.geometry == "box" else places
    ids = _ids(cells, places, look.class_names)
    measured = _texts(np.round(cells.scores, _SCORE_DECIMALS), 0)
    if look.has_probs:
        keys = [orjson.dumps(f"p {name}").decode() for name in look.class_names]
        columns = [
            _texts(np.round(column.astype(np.float64), _PROB_DECIMALS), 0)
            for column in cells.class_probs.T
        ]
        measured = [
            ",".join([score, *(f"{k}:{v}" for k, v in zip(keys, probs, strict=True))])
            for score, *probs in zip(measured, *columns, strict=True)
        ]
    heads = [
        _head(name, color)
        for name, color in zip(look.class_names, look.class_colors, strict=True)
    ]
    middle = f'","geometry":{{"type":"{kind}","coordinates":['
    return [
        f'{{"type":"Feature","id":"{id_}{middle}{shape}]}},{heads[label]}{score}}}}}}}'
        for id_, shape, label, score in zip(
            ids, shapes, cells.labels.tolist(), measured, strict=True
        )
    ]


def _head(name: str, color: tuple[int, int, int]) -> str:
    """What a class's features have alike, up to the score."""
    properties = {
        "objectType": "detection",
        "classification": {"name": name, "color": color},
        "measurements": {"score": 0},
    }
    return f'"properties":{orjson.dumps(properties).decode()}'.removesuffix("0}}")


def _texts(values: np.ndarray, depth: int) -> list[str]:
    """JSON of each of N arrays, without its own `depth` brackets."""
    if not len(values):
        return []
    option = orjson.OPT_SERIALIZE_NUMPY
    text = orjson.dumps(np.ascontiguousarray(values), option=option).decode()
    close, open_ = "]" * depth, "[" * depth
    return text[1 + depth : len(text) - 1 - depth].split(f"{close},{open_}")


def _rounded(values: np.ndarray) -> np.ndarray:
    """To `_DECIMALS`; without negative zeros."""
    return np.round(values, _DECIMALS) + 0.0


def _ids(
    cells: CellColumns, places: Sequence[str], class_names: Sequence[str]
) -> list[str]:
    """UUIDs, version 5, of a cell's number, place, score and class."""
    digests = bytearray()
    columns = (cells.numbers, cells.scores, cells.labels)
    rows = zip(places, *(column.tolist() for column in columns), strict=True)
    for place, number, score, label in rows:
        place = place.replace(",", ", ")
        content = f"{number} [{place}] {score} {class_names[label]}".encode()
        digests += hashlib.sha1(_NAMESPACE.bytes + content).digest()[:16]
    values = np.frombuffer(digests, np.uint8).reshape(-1, 16)
    values[:, 6] = values[:, 6] & 0x0F | 0x50  # version
    values[:, 8] = values[:, 8] & 0x3F | 0x80  # variant
    text = values.tobytes().hex()
    return [
        f"{text[i : i + 8]}-{text[i + 8 : i + 12]}-{text[i + 12 : i + 16]}"
        f"-{text[i + 16 : i + 20]}-{text[i + 20 : i + 32]}"
        for i in range(0, len(text), 32)
    ]


def box_rings(boxes_yxyx: np.ndarray) -> np.ndarray:
    """Outlines f64 [N, 5, 2] (x, y); sides below `LEAST_PX` are widened to it."""
    low, high = _rounded(boxes_yxyx[:, :2]), _rounded(boxes_yxyx[:, 2:])
    narrow = high - low < LEAST_PX
    middle = (low + high) / 2
    low = np.where(narrow, _rounded(middle - LEAST_PX / 2), low)
    high = np.where(narrow, _rounded(middle + LEAST_PX / 2), high)
    (y0, x0), (y1, x1) = low.T, high.T
    corners_xy = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    return np.array(corners_xy).transpose(2, 0, 1)


def _circle_rings(points_xy: np.ndarray, radius_px: float) -> np.ndarray:
    """Outlines f64 [N, 17, 2] (x, y), all of one shape whatever is rounded."""
    angles = 2 * np.pi * (np.arange(_CORNERS + 1) % _CORNERS) / _CORNERS
    outline_xy = _rounded(radius_px * np.stack([np.cos(angles), np.sin(angles)], 1))
    return _rounded(points_xy[:, None] + outline_xy)
