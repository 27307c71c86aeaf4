"""Choices of a call of `cellrec predict`, of images; those of slides are theirs."""

from typing import NamedTuple


class ImageOptions(NamedTuple):
    """What all images of a call are predicted with."""

    mpp: float = 0.0
    """Um per px of files that do not say it; 0 for unknown."""
    mpp_for_all: bool = False
    """Whether it is of all, whatever files say."""
    margin_px: int = 0
    """Of `Predictor.predict`."""
    geometry: str = "point"
    """What a cell is in GeoJSON, point or box."""
    all_scores: bool = False
    """Tables have what is no cell too, and say which are."""
    scale: float = 0.0
    """Px of the training images per px, where the pixel size is unknown; 0 for none."""
    overwrite: bool = False
    """Replace files that were changed after they were written."""
    refuse_unlike: bool = False
    """Images that are nothing like the model's training images fail: see `choice`."""


USUAL = ImageOptions()
