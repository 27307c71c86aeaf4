"""Small slides, and annotations beside them."""

from collections.abc import Iterable, Sequence
import json
from pathlib import Path

import numpy as np
import tifffile

H, W = 300, 420
Y, X = np.mgrid[:H, :W]
RGB = np.stack([Y % 256, X % 256, (Y + X) // 3], -1).astype(np.uint8)
Square = tuple[str, float, float, float]
"""Class, x, y, side."""


def write_slide(path: Path, mpp: float = 0.5, pixels: np.ndarray = RGB) -> None:
    """A pyramid of two levels, as a TIFF that says its um per px if that is not 0."""
    path.parent.mkdir(parents=True, exist_ok=True)
    says = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": 3} if mpp else {}
    with tifffile.TiffWriter(path) as file:
        for number, level in enumerate((pixels, pixels[::2, ::2])):
            file.write(
                np.ascontiguousarray(level),
                tile=(64, 64),
                photometric="rgb",
                compression="deflate",
                metadata=None,
                subfiletype=min(number, 1),
                **(says if not number else {}),
            )


def write_geojson(
    path: Path, points_xy: Iterable[Sequence[float]] = (), *squares: Square
) -> None:
    """Points of classes A and B in turn, and areas."""
    shapes = [
        ("Point", list(place), "AB"[number % 2])
        for number, place in enumerate(points_xy)
    ]
    for name, x, y, side in squares:
        ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
        shapes.append(("Polygon", [ring], name))
    features = [
        {
            "type": "Feature",
            "geometry": {"type": kind, "coordinates": place},
            "properties": {"classification": {"name": name, "color": [1, 2, 3]}},
        }
        for kind, place, name in shapes
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
