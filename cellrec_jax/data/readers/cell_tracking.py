"""Cell Tracking Challenge (Maška et al., Nature Methods 2023), no volumes.

Frames `01/t000.tif` with label images, where they exist: `01_GT/TRA/man_track000.tif`
has a marker in every cell, `01_ST/SEG/man_seg000.tif` outlines by algorithms (silver),
`01_GT/SEG/man_seg000.tif` by people (gold; few).
"""

from collections import Counter
from collections.abc import Iterator
import re
from typing import NamedTuple

from etils.epath import Path
import numpy as np

from cellrec_jax import geometry
from cellrec_jax.data.pixels import tiff
from cellrec_jax.data.pixels.files import list_files
from cellrec_jax.data.readers.folder import folder_source
from cellrec_jax.data.readers.label_files import load_ids
from cellrec_jax.data.readers.label_images import read_instances
from cellrec_jax.data.record import Record, Source
from cellrec_jax.errors import DataError

NAME = "cell_tracking"
CLASS_NAMES = ("cell",)
LEFT_OUT = "frames without annotations left out"

_SEQUENCE = re.compile(r"\d\d")
_TRUTHS = (("GT/TRA", "man_track"), ("ST/SEG", "man_seg"), ("GT/SEG", "man_seg"))
_MAX_DEPTH = 2


class _Sequence(NamedTuple):
    """Files by the digits in their names."""

    frames: dict[str, Path]
    truths: tuple[dict[str, Path], ...]
    """In the order of `_TRUTHS`."""


def matches(root: Path) -> bool:
    """Whether any frame of a sequence has a truth."""
    try:
        return any(
            not sequence.frames.keys().isdisjoint(truth)
            for sequence in _find_sequences(root).values()
            for truth in sequence.truths
        )
    except (OSError, DataError):
        return False


def open_source(root: Path) -> Source:
    """Opens the sequences of a data set, or of several in a folder.

    Points are the centroids of the markers, else of silver, else of gold outlines (the
    largest part of each id). Masks are the gold, else the silver outlines, if they hold
    every marker in a cell of its own. Frames without truth are left out and counted.
    """
    sequences = _find_sequences(root)
    _check_files(root, sequences)
    frames, truths, groups = {}, {}, {}
    for name, sequence in sequences.items():
        for number, path in sequence.frames.items():
            files = [truth.get(number) for truth in sequence.truths]
            if any(files):
                image_id = f"{name}/t{number}"
                frames[image_id], truths[image_id], groups[image_id] = path, files, name
    num_left_out = sum(len(s.frames) for s in sequences.values()) - len(frames)

    def read(image_id: str, image: np.ndarray, repairs: Counter[str]) -> Record:
        tiff.check_one_plane(frames[image_id])
        points_yx, masks = _read_cells(truths[image_id], image.shape[:2], repairs)
        labels = np.zeros(len(points_yx), np.int32)
        return Record(
            image_id, image, points_yx, labels, masks=masks, group=groups[image_id]
        )

    return folder_source(
        NAME,
        CLASS_NAMES,
        frames,
        lambda image_id: [file for file in truths[image_id] if file],
        read,
        root,
        groups=groups,
        repairs={LEFT_OUT: num_left_out} if num_left_out else None,
    )


def _find_sequences(root: Path) -> dict[str, _Sequence]:
    """Path of a sequence below `root` -> its files."""
    return {
        folder.relative_to(root).as_posix(): _Sequence(
            frames,
            tuple(
                _numbered_files(folder.parent / f"{folder.name}_{place}", prefix)
                for place, prefix in _TRUTHS
            ),
        )
        for folder in _number_folders(root)
        if (frames := _numbered_files(folder, "t"))
    }


def _number_folders(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Folders named 01, 02 ... at most `_MAX_DEPTH` folders down."""
    for child in sorted(folder.iterdir()):
        if _SEQUENCE.fullmatch(child.name) and child.is_dir():
            yield child
        elif depth < _MAX_DEPTH and child.is_dir() and not child.name.startswith("."):
            yield from _number_folders(child, depth + 1)


def _numbered_files(folder: Path, prefix: str) -> dict[str, Path]:
    """Digits -> file of this prefix; none where there is no folder."""
    if not folder.is_dir():
        return {}
    name = re.compile(rf"{prefix}(\d{{3,4}})\.tiff?", re.IGNORECASE)
    files = list_files(folder, (".tif", ".tiff"))
    return {found[1]: file for file in files if (found := name.fullmatch(file.name))}


def _check_files(root: Path, sequences: dict[str, _Sequence]) -> None:
    if not sequences:
        raise DataError(
            f"{root}: no frames such as 01/t000.tif: give the folder that holds 01 and "
            "01_GT"
        )
    for name, sequence in sequences.items():
        orphans = [
            file
            for truth in sequence.truths
            for number, file in truth.items()
            if number not in sequence.frames
        ]
        if orphans:
            raise DataError(
                f"{root / name}: {len(orphans)} annotation files have no frame, such "
                f"as {orphans[0].relative_to(root)}: add the frames or remove the files"
            )
    if not any(any(sequence.truths) for sequence in sequences.values()):
        raise DataError(
            f"{root}: frames but no annotations: put {_TRUTHS[0][1]}000.tif and so on "
            f"into {next(iter(sequences))}_{_TRUTHS[0][0]}"
        )


def _read_cells(
    truths: list[Path | None], size_hw: tuple[int, ...], repairs: Counter[str]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Points f32 [N, 2] and masks i32 [H, W], from one or more of `_TRUTHS`."""
    markers, silver, gold = truths
    outlines = [file for file in (gold, silver) if file is not None]
    if markers is None:
        found = read_instances(outlines[-1], size_hw, repairs)
        return found.points_yx, found.masks
    points_yx = read_instances(markers, size_hw, repairs).points_yx
    for file in outlines:
        masks = _masks_of(points_yx, load_ids(file, size_hw))
        if masks is not None:
            return points_yx, masks
    return points_yx, None


def _masks_of(points_yx: np.ndarray, ids: np.ndarray) -> np.ndarray | None:
    """Ids [H, W] as i32, i + 1 at points_yx[i] [N, 2] px; None unless one to one."""
    values, positions = np.unique(ids, return_inverse=True)
    pixels = geometry.point_to_pixel(points_yx)
    owners = positions.reshape(ids.shape)[pixels[:, 0], pixels[:, 1]]
    if (values[owners] == 0).any() or len(np.unique(owners)) < len(owners):
        return None
    numbers = np.zeros(len(values), np.int32)
    numbers[owners] = np.arange(1, len(owners) + 1)
    return numbers[positions].reshape(ids.shape)
