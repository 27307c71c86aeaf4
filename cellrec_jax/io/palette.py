"""Colours of classes in drawings and exported files."""

# Okabe and Ito's colours for all kinds of colour vision, green first as the paper
# draws its detections; red is kept for annotations.
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


def class_colors(num_classes: int) -> tuple[tuple[int, int, int], ...]:
    """K times (red, green, blue) in 0..255; repeated after eight."""
    return tuple(_COLORS[label % len(_COLORS)] for label in range(num_classes))
