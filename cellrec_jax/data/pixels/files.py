"""Finding image files, in natural order; local or in a cloud."""

import os
from pathlib import PurePath
import re

from etils.epath import Path

from cellrec_jax.errors import DataError

IMAGE_ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"),
    *(".ppm", ".pgm", ".pnm"),
)


def natural_key(text: str) -> tuple[tuple[str | int, ...], str]:
    """Sort key that puts 'a2' before 'a10'; ties fall back to the plain text.

    Example:
      >>> sorted(["12", "train/10", "train/2", "2"], key=natural_key)
      ['2', '12', 'train/2', 'train/10']
    """
    parts = re.split("([0-9]+)", text)
    # Digits stand at odd places, so keys never compare a number with a text.
    return tuple(int(p) if i % 2 else p for i, p in enumerate(parts)), text


def list_images(folder: str | PurePath, recursive: bool = False) -> list[Path]:
    """Lists the image files of a folder, naturally sorted, without hidden ones.

    `recursive` follows no symbolic links. No such folder is a `DataError`.
    """
    return list_files(folder, IMAGE_ENDINGS, recursive)


def list_files(
    folder: str | PurePath, endings: tuple[str, ...], recursive: bool = False
) -> list[Path]:
    """Lists files by ending (lower case, with dot), as `list_images` does."""
    base = Path(folder)
    if not base.is_dir():
        raise DataError(f"no folder {folder}: check the path")
    found = []
    for directory, subfolders, names in base.walk():
        if not recursive:
            subfolders.clear()
        subfolders[:] = [s for s in subfolders if not s.startswith((".", "__"))]
        found += [
            directory / name
            for name in names
            if name.lower().endswith(endings) and not name.startswith(".")
        ]
    return sorted(found, key=lambda p: natural_key(p.relative_to(base).as_posix()))


def stamp(path: Path) -> tuple[str, int, int]:
    """Name, bytes and time (ns; of a cloud s) of a file, -1 where it cannot be had."""
    try:
        local = os.stat(path)
        return str(path), local.st_size, local.st_mtime_ns
    except OSError:
        pass
    try:
        found = path.stat()
    except OSError:
        return str(path), -1, -1
    return str(path), found.length, found.mtime or -1
