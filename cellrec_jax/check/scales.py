"""Pixel sizes that disagree, and images of another size or look than most."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
import math

import numpy as np

from cellrec_jax.check.facts import Facts
from cellrec_jax.check.rules import Finding, finding
from cellrec_jax.data.pixels import pixel_size

_LEAST_IMAGES = 5
_AREA_RATIO = 4.0
_LEAST_COLOR = 25.0  # of 255
_DEVIATIONS = 6.0  # of mean colours, robust
_IMPOSSIBLE = (pixel_size.NOT_MEANT, pixel_size.TWO_SIZES)


def pixel_sizes(images: Sequence[Facts], given: float = 0.0) -> Iterator[Finding]:
    """Files whose pixel size is not `given` (um per px), or else not that of most."""
    stated = [one for one in images if one.mpp]
    if not stated:
        return
    usual = given or Counter(one.mpp for one in stated).most_common(1)[0][0]
    whose = "given" if given else "of most"
    for one in stated:
        if not math.isclose(one.mpp, usual, rel_tol=pixel_size.SAME):
            text = f"states {one.mpp:g} um per px, {usual:g} is {whose}"
            yield finding("pixel-size", one.image_id, text)
    silent = len(images) - len(stated)
    if silent and not given:
        text = f"{silent} of {len(images)} images state none, the others {usual:g}"
        yield finding("pixel-size", "", f"{text} um per px")


def impossible(notes: Mapping[str, int]) -> Iterator[Finding]:
    """Pixel sizes of files that readers did not use, of their notes -> how often."""
    starts = [note.partition("{")[0] for note in _IMPOSSIBLE]
    for note, number in sorted(notes.items()):
        if note.startswith(tuple(starts)):
            yield finding("pixel-size", "", f"{number} {note}")


def is_impossible(note: str) -> bool:
    """Whether `impossible` tells of a reader's note."""
    return any(impossible({note: 1}))


def sizes(images: Sequence[Facts]) -> Iterator[Finding]:
    """Images whose area is far from the median."""
    if len(images) < _LEAST_IMAGES:
        return
    areas = np.array([math.prod(one.size_hw) for one in images], np.float64)
    median = float(np.median(areas))
    for one, area in zip(images, areas.tolist(), strict=True):
        if max(area / median, median / area) > _AREA_RATIO:
            height, width = one.size_hw
            text = f"{height} x {width} px, {area / median:.2g} times the usual area"
            yield finding("image-size", one.image_id, text)


def looks(images: Sequence[Facts]) -> Iterator[Finding]:
    """Images of another number of bits, or mean colour, than most."""
    if len(images) < _LEAST_IMAGES:
        return
    bits = Counter(one.bits for one in images).most_common(1)[0][0]
    colors = np.array([one.mean_rgb for one in images])
    median = np.median(colors, axis=0)
    off = np.abs(colors - median)
    least = np.maximum(_DEVIATIONS * 1.4826 * np.median(off, axis=0), _LEAST_COLOR)
    for one, color, far in zip(images, colors, off > least, strict=True):
        if one.bits != bits:
            text = f"{one.bits} bits, most have {bits}"
            yield finding("image-look", one.image_id, text)
        if far.any():
            text = f"mean colour {_text(color)}, usual is {_text(median)} (RGB)"
            yield finding("image-look", one.image_id, text)


def _text(color: np.ndarray) -> str:
    return " ".join(f"{value:.0f}" for value in color)
