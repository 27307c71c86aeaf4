"""Colours of classes in drawings and exported files."""

from collections.abc import Collection

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
