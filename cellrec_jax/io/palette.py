"""Colours of classes in drawings and exported files."""

from collections.abc import Collection, Sequence

# Okabe and Ito's colours for all kinds of colour vision, green first as the paper
# draws its detections; red is kept for annotations, and for positive cells.
_COLORS = (
    (0, 200, 60),
    (0, 114, 178),
    (240, 228, 66),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
    (120, 94, 240),
    (0, 158, 115),
)
_BLUE = (1, 4)
"""Places of blue ones, which where classes have signs are kept for negative cells."""
_POSITIVE = ((225, 30, 40), (255, 130, 100), (150, 0, 60))
_NEGATIVE = ((0, 90, 220), (110, 180, 255), (0, 40, 120))

_QUPATH = {
    "positive": (200, 50, 50),
    "negative": (90, 90, 180),
    "1+": (255, 215, 0),
    "2+": (225, 150, 50),
    "3+": (200, 50, 50),
    "tumor": (200, 0, 0),
    "stroma": (150, 200, 150),
    "immune cells": (160, 90, 160),
    "ignore*": (180, 180, 180),
    "region*": (0, 0, 180),
    "other": (255, 200, 0),
    "necrosis": (50, 50, 50),
}
"""Of the classes that QuPath begins with; names in lower case."""


def class_colors(
    num_classes: int, positive: Collection[int] = (), negative: Collection[int] = ()
) -> tuple[tuple[int, int, int], ...]:
    """K times (red, green, blue) in 0..255; repeated where there are too many.

    Class ids that are `positive` are red, `negative` ones blue, in any order.

    Example:
      >>> class_colors(2, positive=[1], negative=[0])
      ((0, 90, 220), (225, 30, 40))
    """
    if not positive and not negative:
        return tuple(_COLORS[label % len(_COLORS)] for label in range(num_classes))
    others = [color for place, color in enumerate(_COLORS) if place not in _BLUE]
    used = {"positive": 0, "negative": 0, "other": 0}
    found = []
    for label in range(num_classes):
        kind, colors = "other", tuple(others)
        if label in positive:
            kind, colors = "positive", _POSITIVE
        elif label in negative:
            kind, colors = "negative", _NEGATIVE
        found.append(colors[used[kind] % len(colors)])
        used[kind] += 1
    return tuple(found)


def qupath_colors(
    class_names: Sequence[str], own: Sequence[tuple[int, int, int]] | None = None
) -> tuple[tuple[int, int, int], ...]:
    """K times the colour that QuPath gives such a class; of others, `own`.

    A derived class, "Tumor: Positive", has the colour of its last part; upper and lower
    case are alike. `own` are K colours, those of `class_colors` if None.

    Example:
      >>> qupath_colors(["Tumor: Positive", "Lymphocyte"])
      ((200, 50, 50), (0, 114, 178))
    """
    own = class_colors(len(class_names)) if own is None else own
    lasts = [name.rpartition(":")[2].strip().lower() for name in class_names]
    return tuple(
        _QUPATH.get(last, color) for last, color in zip(lasts, own, strict=True)
    )
