"""Hamamatsu's `.ndpa`: pins, circles and freehand areas in nanometres on the slide.

They count from the middle of the slide; where the scanned area lies on it, and its um
per px, the slide says. The title is the class.

References:
  https://openslide.org/formats/hamamatsu
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element

from etils.epath import Path
import numpy as np

from cellrec_jax import polygons
from cellrec_jax.data.annotations.content import (
    NO_POINTS,
    Annotations,
    Shape,
    class_name,
    collect,
)
from cellrec_jax.data.annotations.xml_values import value
from cellrec_jax.data.xml_tree import read_xml
from cellrec_jax.errors import DataError

LINES = "open lines, pointers and measures left out"


class Frame(NamedTuple):
    """What a slide says of where its level 0 lies."""

    size_hw: tuple[int, int]
    """Px of level 0."""
    mpp_yx: tuple[float, float]
    """Um per px."""
    offset_nm_yx: tuple[float, float]
    """Middle of level 0 from that of the slide: `[XY]OffsetFromSlideCentre`."""


def parse(file: Path, frame: Frame) -> Annotations:
    """Reads a file in px of level 0; a `DataError` names what cannot be read."""
    tree = read_xml(file)
    if tree.tag != "annotations" or tree.find("image") is not None:
        raise DataError(f"{file}: no annotations of NDP.view (<{tree.tag}>)")
    notes: Counter[str] = Counter()
    return collect(_shapes(tree, file, frame, notes), notes=notes)


def _shapes(
    tree: Element, file: Path, frame: Frame, notes: Counter[str]
) -> Iterator[Shape]:
    for index, view in enumerate(tree.iterfind("ndpviewstate"), 1):
        where = f"{file}: annotation {view.get('id') or index}"
        units = (view.findtext("coordformat") or "nanometers").strip()
        if units != "nanometers":
            raise DataError(f"{where} is in {units!r}, not in nanometers")
        name = class_name(view.findtext("title") or "", where)
        drawn = view.find("annotation")
        kind = "" if drawn is None else drawn.get("type")
        if drawn is not None and kind == "pin":
            yield Shape(name, _px([_place(drawn, where)], frame))
        elif drawn is not None and kind == "circle":
            radius = value(drawn.findtext("radius"), f"{where}: radius")
            center = _px([_place(drawn, where)], frame)[0]
            radii = radius / 1000 / np.array(frame.mpp_yx)
            yield Shape(name, NO_POINTS, (polygons.ellipse(center, radii),))
        elif drawn is not None and kind == "freehand" and _is_closed(drawn):
            corners = [_place(one, where) for one in drawn.iterfind("pointlist/point")]
            if len(corners) < 3:
                raise DataError(f"{where} has fewer than three corners")
            yield Shape(name, NO_POINTS, ((_px(corners, frame),),))
        else:
            notes[LINES] += 1


def _is_closed(drawn: Element) -> bool:
    return (drawn.findtext("closed") or "1").strip() != "0"


def _place(element: Element, where: str) -> tuple[float, float]:
    y, x = (value(element.findtext(key), f"{where}: {key}") for key in "yx")
    return y, x


def _px(places_nm: list[tuple[float, float]], frame: Frame) -> np.ndarray:
    from_middle = np.array(places_nm, np.float64) - frame.offset_nm_yx
    middle = np.array(frame.size_hw) / 2
    found: np.ndarray = from_middle / 1000 / frame.mpp_yx + middle
    return found
