"""Every rule there is: its short name, what it means and what to do.

Errors are certain and cost data or spoil results; warnings are mistakes in most cases;
notes are worth a look.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cellrec_jax.data.record import Part

ERROR, WARNING, NOTE = WEIGHTS = ("error", "warning", "note")


class Rule(NamedTuple):
    """A kind of fault."""

    weight: str
    """Of `WEIGHTS`, of a plain case."""
    what: str
    """What its findings are, in a few words."""
    todo: str
    """What to do with them."""


RULES: dict[str, Rule] = {
    # Files.
    "unreadable": Rule(
        ERROR, "files that cannot be read", "restore, export anew or remove them"
    ),
    "unpaired": Rule(
        ERROR,
        "images without annotations, or the reverse",
        "add the other file, an empty one where there is no cell, or remove this one",
    ),
    # Images.
    "leak": Rule(
        ERROR,
        "the same pixels in two splits",
        "keep them in one split: results would be too good",
    ),
    "leak-alike": Rule(
        WARNING,
        "nearly the same image in two splits (turned, resized, saved or taken again)",
        "keep them in one split: results would be too good",
    ),
    "leak-group": Rule(
        ERROR,
        "a slide or patient in two splits",
        "keep all its images in one split: results would be too good",
    ),
    "same-image": Rule(WARNING, "images of the same pixels", "keep one of them"),
    "alike": Rule(
        NOTE,
        "nearly the same image (turned, resized, saved or taken again)",
        "keep one, or all in one split",
    ),
    "blank": Rule(WARNING, "images of one colour", "remove them, or save them anew"),
    "pixel-size": Rule(
        WARNING,
        "pixel sizes that differ or cannot be",
        "correct the files, or give --config.data.mpp",
    ),
    "image-size": Rule(
        NOTE,
        "images of another size than most",
        "see that cells have one size in px, or that files state their pixel size",
    ),
    "image-look": Rule(
        NOTE, "images of other colours or bits than most", "see that they belong here"
    ),
    # Cells.
    "not-a-number": Rule(ERROR, "cells without a place", "give them numbers"),
    "outside": Rule(
        ERROR,
        "cells outside of the image",
        "move them; many: are x and y swapped, or is it another image?",
    ),
    "padding": Rule(WARNING, "cells in a border of one colour", "move or remove them"),
    "off-tissue": Rule(
        WARNING,
        "cells where there is nothing but ground",
        "move or remove them; many: is it another image, or are x and y swapped?",
    ),
    "not-counted": Rule(
        NOTE,
        "cells in ignored regions, or outside of annotated ones",
        "change the region, or leave them: they are not learnt",
    ),
    "twice": Rule(WARNING, "cells that stand twice", "remove one"),
    "near": Rule(
        WARNING, "cells nearer to each other than cells are", "remove one, or move it"
    ),
    "box-empty": Rule(ERROR, "boxes without area", "draw them again or remove them"),
    "box-inverted": Rule(NOTE, "boxes with corners swapped", "nothing: they are read"),
    "box-clipped": Rule(
        NOTE, "boxes that reach outside of the image", "nothing: they are clipped"
    ),
    "box-twice": Rule(WARNING, "boxes that overlap nearly whole", "remove one"),
    "cell-size": Rule(
        WARNING,
        "cells far larger or smaller than others of their class",
        "correct the outline or the class",
    ),
    "parts": Rule(
        WARNING,
        "cells in several parts",
        "give each part its number, or erase strays: the point is in the largest",
    ),
    # Classes and counts.
    "class-names": Rule(
        WARNING,
        "classes of nearly the same name",
        "rename them, or join them by --config.data.classes=NAME=A+B",
    ),
    "class-rare": Rule(
        NOTE,
        "classes of few cells",
        "annotate more, or join or leave out classes by --config.data.classes",
    ),
    "class-missing": Rule(
        WARNING,
        "images without cells of a class that others are full of",
        "annotate them, or leave these images out",
    ),
    "image-empty": Rule(
        WARNING,
        "images without any cell, where others are full of them",
        "annotate them, or leave these images out",
    ),
    "count-odd": Rule(
        NOTE, "images of far more or fewer cells than others", "see that all are there"
    ),
    "reader": Rule(
        NOTE, "what was repaired, guessed or not read", "see that it was meant so"
    ),
    # By a model.
    "unannotated": Rule(
        NOTE, "cells that seem to have no annotation", "look, and annotate them"
    ),
}
"""Name -> rule, in the order of reports."""


class Finding(NamedTuple):
    """One fault."""

    rule: str
    """Of `RULES`."""
    image: str
    """Its id, of a slide or a tile of it, or a file in the folder; "" is the set."""
    y: float | None
    """Place in px of the image, half-pixel; None where it has none."""
    x: float | None
    text: str
    weight: str
    box_yxyx: tuple[float, float, float, float] | None = None
    """Where it is of a box."""


def finding(
    rule: str,
    image: str,
    text: str,
    point_yx: Sequence[float] | np.ndarray | None = None,
    box_yxyx: Sequence[float] | np.ndarray | None = None,
    weight: str = "",
) -> Finding:
    """A finding of the rule's weight, or another one; of a box its middle is the place.

    Places and boxes that are not finite are left out.
    """
    box = None
    if box_yxyx is not None and np.isfinite(box_yxyx).all():
        y0, x0, y1, x1 = (float(value) for value in box_yxyx)
        box = min(y0, y1), min(x0, x1), max(y0, y1), max(x0, x1)
        if point_yx is None:
            point_yx = ((y0 + y1) / 2, (x0 + x1) / 2)
    y = x = None
    if point_yx is not None and np.isfinite(point_yx).all():
        y, x = (float(value) for value in point_yx)
    return Finding(rule, image, y, x, text, weight or RULES[rule].weight, box)


def on_slides(
    findings: Sequence[Finding], parts: Mapping[str, Part]
) -> tuple[Finding, ...]:
    """Findings whose places are on tiles, told of their slides; see `Part`."""
    return tuple(_on_slide(one, parts.get(one.image)) for one in findings)


def _on_slide(one: Finding, part: Part | None) -> Finding:
    if part is None or one.y is None or one.x is None:
        return one
    y, x = part.on_slide(np.array([one.y, one.x])).tolist()
    box = None
    if one.box_yxyx is not None:
        y0, x0, y1, x1 = part.on_slide(np.array(one.box_yxyx)).tolist()
        box = y0, x0, y1, x1
    return one._replace(image=part.slide, y=y, x=x, box_yxyx=box)


def worst(findings: Sequence[Finding]) -> str | None:
    """The gravest weight among findings; None of none."""
    found = {one.weight for one in findings}
    return next((weight for weight in WEIGHTS if weight in found), None)
