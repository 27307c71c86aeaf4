"""Whole slides: what is known of one, and regions of its levels.

A format is a file with a function `open_reader` and a line in `_READERS`. OpenSlide
decides what it can; see `slide_tiff` for the rest, and for what is read faster.
"""

from collections.abc import Iterator, Sequence
import contextlib
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from cellrec_jax.data.pixels import slide_mpp, slide_openslide, slide_tiff
from cellrec_jax.data.pixels.files import ENDINGS_OF
from cellrec_jax.data.pixels.slide_reader import (
    BadBlock,
    BadRegion,
    ForeignError,
    Level,
    Reader,
)
from cellrec_jax.errors import DataError

__all__ = [
    "PROJECT_ENDINGS",
    "SLIDE_ENDINGS",
    "UNREAD_ENDINGS",
    "BadBlock",
    "BadRegion",
    "Description",
    "Glass",
    "Level",
    "Slide",
    "describe",
    "is_slide",
    "may_be_slide",
    "opened",
    "read_around",
    "read_region",
]

SLIDE_ENDINGS = (
    *(".svs", ".ndpi", ".ndpis", ".scn", ".mrxs", ".vms", ".vmu", ".svslide", ".bif"),
    *(".czi", ".dcm", ".qptiff", ".vsi", ".isyntax", ".lif", ".nd2"),
)
"""How names of files end that are slides, or would be if they could be read."""
UNREAD_ENDINGS = (".lif", ".nd2", ".vsi", ".isyntax")
"""Of these, those that no reader here reads, though some begin as TIFFs do."""
PROJECT_ENDINGS = (".qpdata", ".qpproj")
"""Of QuPath's own files, which hold annotations and point to images."""

_READERS = (slide_openslide.open_reader, slide_tiff.open_reader)
"""Tried in turn."""
_BLOCK_HW = (256, 256)  # where a file does not say how large its tiles are


class Description(NamedTuple):
    """What is known of a slide without its pixels."""

    path: Path
    reader: str
    """"openslide" or "tifffile"."""
    levels: tuple[Level, ...]
    """Finest first; only what is level 0 made smaller."""
    mpp: float
    """Micrometres per px of level 0, 0 unknown."""
    mpp_source: str
    """Who says so, e.g. "OpenSlide (aperio)", "--mpp"; empty for unknown."""
    bounds_yxyx: tuple[int, int, int, int] | None
    """The scanned part, px of level 0; None where the file does not say."""
    num_bytes: int
    notes: tuple[str, ...]
    """What was passed over or guessed, a line each."""
    glass: "Glass | None" = None
    """Of Hamamatsu's slides."""

    @property
    def corner_yx(self) -> tuple[int, int]:
        """Where QuPath crops it, px of level 0; (0, 0) where nothing is cropped."""
        top, left, _, _ = self.bounds_yxyx or (0, 0, 0, 0)
        return top, left


class Glass(NamedTuple):
    """Where level 0 lies on the glass, as files count that know no px."""

    mpp_yx: tuple[float, float]
    """Um per px, with all its digits."""
    center_nm_yx: tuple[float, float]
    """Middle of level 0 from that of the glass."""


class Slide(NamedTuple):
    """An open slide, for `read_region`; several threads may share it."""

    path: Path
    levels: tuple[Level, ...]
    reader: Reader


def is_slide(path: str | PurePath) -> bool:
    """Whether a file is to be read as a slide: by its ending, a TIFF by its tiles.

    A TIFF is one if its largest image is tiled and has lower levels or more than 2^26
    px, and can be read as a slide: if not, the image reader says why.
    """
    ending = PurePath(path).suffix.lower()
    if ending in ENDINGS_OF["TIFF"]:
        return slide_tiff.is_tiled(Path(path))
    return ending in SLIDE_ENDINGS


def may_be_slide(path: str | PurePath) -> bool:
    """Whether a file is no slide by `is_slide`, but as those who have slides write it.

    A small or flat TIFF that is tiled or OME-TIFF, and can be read as a slide.
    """
    is_tiff = PurePath(path).suffix.lower() in ENDINGS_OF["TIFF"]
    return is_tiff and not is_slide(path) and slide_tiff.is_as_of_scanners(Path(path))


def describe(
    path: str | PurePath, mpp: float = 0.0, *, for_all: bool = False
) -> Description:
    """Opens a slide to tell its levels, pixel size and bounds.

    Args:
      path: a local file.
      mpp: um per px that the user gave for a file that does not say it; 0 is not
        given.
      for_all: whether it wins over the file.

    Raises:
      DataError: the file is missing, damaged, or no slide that can be read.
    """
    path = Path(path)
    with contextlib.closing(_open(path)) as reader:
        size = slide_mpp.choose(
            mpp, reader.stated_mpp, reader.objective, for_all=for_all
        )
        return Description(
            path,
            reader.name,
            reader.levels,
            size.mpp,
            size.source,
            reader.bounds_yxyx,
            _num_bytes(path),
            (*reader.notes, *size.notes),
            _glass(reader),
        )


@contextlib.contextmanager
def opened(path: str | PurePath) -> Iterator[Slide]:
    """Opens a slide for `read_region`; errors as `describe`."""
    path = Path(path)
    with contextlib.closing(_open(path)) as reader:
        yield Slide(path, reader.levels, reader)


def read_region(
    slide: Slide, level: int, origin_yx: Sequence[int], size_hw: Sequence[int]
) -> np.ndarray:
    """Reads a part of one level.

    Args:
      slide: an open slide.
      level: number in `slide.levels`.
      origin_yx: upper left corner, px of that level; may be outside of the slide.
      size_hw: px of that level, at most some tens of millions.

    Returns:
      uint8 [h, w, 3] RGB. What is outside of the slide, was not scanned or is
      transparent is white.

    Raises:
      BadRegion: a part of it is damaged; other regions can still be read.
      OSError: the file cannot be read now, which says nothing of what it holds.
      MemoryError: there is no memory for it.
    """
    limits_hw = slide.levels[level].size_hw
    low = np.clip(origin_yx, 0, limits_hw)
    high = np.clip(np.add(origin_yx, size_hw), low, limits_hw)
    part_hw = high - low
    region = np.full((*size_hw, 3), 255, np.uint8)
    if part_hw.all():
        (top, left), (height, width) = low.tolist(), part_hw.tolist()
        try:
            part = slide.reader.read(level, (top, left), (height, width))
        except BadRegion as error:
            raise BadRegion(
                f"{slide.path}: level {level} at y {top}, x {left} cannot be read: "
                f"{error}"
            ) from error
        if part.shape == region.shape:
            return part
        y, x = top - origin_yx[0], left - origin_yx[1]
        region[y : y + height, x : x + width] = part
    return region


def read_around(
    slide: Slide, level: int, origin_yx: Sequence[int], size_hw: Sequence[int]
) -> tuple[np.ndarray, tuple[BadBlock, ...]]:
    """As `read_region`, but what is damaged is white, and told.

    Blocks are the tiles of the file, so they do not depend on what is asked for.

    Raises:
      OSError, MemoryError: as `read_region`.
    """
    try:
        return read_region(slide, level, origin_yx, size_hw), ()
    except BadRegion:
        pass
    region, bad = np.full((*size_hw, 3), 255, np.uint8), []
    for top, left, bottom, right in _blocks(slide, level, origin_yx, size_hw):
        block_hw = bottom - top, right - left
        try:
            block = read_region(slide, level, (top, left), block_hw)
        except BadRegion as error:
            bad.append(BadBlock((top, left, bottom, right), str(error)))
            continue
        y, x = top - origin_yx[0], left - origin_yx[1]
        target = region[max(y, 0) : y + block_hw[0], max(x, 0) : x + block_hw[1]]
        part = block[max(-y, 0) :, max(-x, 0) :]
        target[:] = part[: target.shape[0], : target.shape[1]]
    return region, tuple(bad)


def _blocks(
    slide: Slide, level: int, origin_yx: Sequence[int], size_hw: Sequence[int]
) -> Iterator[tuple[int, int, int, int]]:
    """The blocks (y0, x0, y1, x1) of a level that a part of it touches."""
    limits_hw = slide.levels[level].size_hw
    blocks_hw = slide.reader.blocks_hw
    block_h, block_w = blocks_hw[level] if blocks_hw else _BLOCK_HW
    low = np.clip(origin_yx, 0, limits_hw)
    high = np.clip(np.add(origin_yx, size_hw), low, limits_hw)
    (top, left), (bottom, right) = low.tolist(), high.tolist()
    for y in range(top // block_h * block_h, bottom, block_h):
        for x in range(left // block_w * block_w, right, block_w):
            yield y, x, min(y + block_h, limits_hw[0]), min(x + block_w, limits_hw[1])


def _open(path: Path) -> Reader:
    """The reader of a file; every failure is a DataError."""
    ending = path.suffix.lower()
    if ending in PROJECT_ENDINGS:
        raise DataError(
            f"{path} is a file of QuPath's own: export GeoJSON from QuPath (File, "
            "Export objects as GeoJSON), and give the image itself"
        )
    if ending in UNREAD_ENDINGS:
        raise DataError(
            f"{path}: {ending} is not read: export it as OME-TIFF first, by QuPath or "
            "Bio-Formats"
        )
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    if is_empty:
        raise DataError(f"{path} is empty (0 bytes): restore the file or remove it")
    foreign, reason = [], None
    for open_reader in _READERS:
        try:
            return slide_tiff.instead_of(open_reader(path), path)
        except ForeignError as error:
            foreign.append(str(error))
        except DataError as error:
            reason = error
    raise reason or DataError(
        f"cannot read {path} as a whole slide ({'; '.join(foreign)}): the file is "
        "damaged, or of a kind to export as OME-TIFF first"
    )


def _glass(reader: Reader) -> Glass | None:
    if reader.center_nm_yx is None or not reader.stated_mpp:
        return None
    return Glass(reader.stated_mpp[0][1], reader.center_nm_yx)


def _num_bytes(path: Path) -> int:
    """Of the file, and of the folder of a slide of MIRAX."""
    files = [path]
    if path.suffix.lower() == ".mrxs":
        files += path.with_suffix("").glob("*")
    return sum(file.stat().st_size for file in files)
