"""Micrometres per px of a slide: the first of several places that says a sane one."""

from collections.abc import Iterator, Sequence
import math
import re
from typing import Any, NamedTuple

from cellrec_jax.data.pixels.pixel_size import SAME

LEAST_MPP, GREATEST_MPP = 0.1, 4.0
"""Sizes of a px that slide scanners have, um: 72 dpi, which says nothing, is 352.8."""
GIVEN, GIVEN_FOR_ALL = "--mpp", "--mpp-all"

_FAR = 0.1  # difference of what is given to what the slide says that is warned of
_OF_OBJECTIVE = 10.0  # um times magnification: 0.5 at 20x, 0.25 at 40x
_APERIO = re.compile(r"^Aperio.*\|\s*AppMag\s*=\s*([0-9]+\.?[0-9]*)", re.DOTALL)


class SlideMpp(NamedTuple):
    """Micrometres per px of level 0, and who says so."""

    mpp: float
    """0 where nobody does."""
    source: str
    notes: tuple[str, ...]
    """What was passed over or guessed, a line each."""


def choose(
    given: float,
    stated: Sequence[tuple[str, tuple[float, float]]],
    objective: float,
    *,
    for_all: bool = False,
) -> SlideMpp:
    """The size that is used, of all that are said.

    Args:
      given: um per px by the user, of slides that do not say it; 0 is not given.
      stated: places and what they say, um per px (y, x), the better place first.
      objective: magnification, where no place says it; 0 unknown.
      for_all: whether what is given is also of slides that do say it.
    """
    notes, found, passed = [], (0.0, ""), [0.0]
    for source, (size_y, size_x) in stated:
        size, text = _one_size(size_y, size_x)
        if found[0] and (not size or _alike(size, found[0])):
            continue
        if found[0]:
            notes.append(f"{source} says {text} um per px, {found[1]} {found[0]:.4g}")
        elif size:
            found = size, source
        elif not _alike(size_x, passed[-1]):
            passed.append(size_x)
            why = (
                f"which is not within {LEAST_MPP:g} to {GREATEST_MPP:g}"
                if _alike(size_y, size_x) or math.isnan(size_x)
                else "height and width, and px that are not square are not read"
            )
            notes.append(f"{source} says {text} um per px, {why}: passed over")
    if not found[0] and objective > 0:
        size, text = _one_size(*[_OF_OBJECTIVE / objective] * 2)
        source = f"objective {objective:g}x"
        if size:
            found = size, source
            notes.append(f"{text} um per px is guessed of the {source}")
    if given and found[0] and not _alike(given, found[0]):
        notes.append(_told(found, given, for_all))
    if given and (for_all or not found[0]):
        found = given, GIVEN_FOR_ALL if for_all else GIVEN
    return SlideMpp(*found, tuple(notes))


def _told(found: tuple[float, str], given: float, for_all: bool) -> str:
    """Which of two sizes counts, the slide's or the user's."""
    is_far = not math.isclose(given, found[0], rel_tol=_FAR)
    says = f"{'warning: ' * is_far}{found[1]} says {found[0]:.4g} um per px"
    if for_all:
        return f"{says}, {GIVEN_FOR_ALL} {given:g}, which counts"
    return (
        f"{says}, which counts: {GIVEN} {given:g} is of slides that do not say it, "
        f"{GIVEN_FOR_ALL} of all"
    )


def _alike(size: float, other: float) -> bool:
    return math.isclose(size, other, rel_tol=SAME)


def _one_size(size_y: float, size_x: float) -> tuple[float, str]:
    """4 digits of a sane size, else 0; and the sizes as text."""
    if not _alike(size_y, size_x):
        return 0.0, f"{size_y:.4g} x {size_x:.4g}"
    size = math.sqrt(abs(size_y * size_x))
    sane = size_x > 0 and LEAST_MPP <= size <= GREATEST_MPP
    return (float(f"{size:.4g}") if sane else 0.0), f"{size:.4g}"


def objective_of_tiff(file: Any, page: Any) -> float:
    """Magnification that OME-XML or Aperio's header gives; 0 where they do not."""
    if file.is_ome:
        return next(_of_ome(file.ome_metadata), 0.0)
    found = _APERIO.search(page.description or "")
    return float(found[1]) if found else 0.0


def _of_ome(text: str) -> Iterator[float]:
    """Magnifications of the objectives of OME-XML."""
    from defusedxml.ElementTree import fromstring

    try:
        nodes = list(fromstring(text).findall(".//{*}Objective"))
        yield from [float(node.attrib["NominalMagnification"]) for node in nodes[:1]]
    except (ValueError, SyntaxError, LookupError):  # SyntaxError: damaged XML
        return
