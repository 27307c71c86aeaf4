"""Finding image files, in natural order."""

import os
from pathlib import Path
import re

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


def list_images(folder: str | Path, recursive: bool = False) -> list[Path]:
    """Lists the image files of a folder, naturally sorted; hidden files are skipped.

    Args:
      folder: where to look.
      recursive: also look into sub-folders, but not through symbolic links.

    Returns:
      Paths, `folder` included.

    Raises:
      DataError: if the folder does not exist.
    """
    return list_files(folder, IMAGE_ENDINGS, recursive)


def list_files(
    folder: str | Path, endings: tuple[str, ...], recursive: bool = False
) -> list[Path]:
    """Lists files by ending (lower case, with dot), as `list_images` does."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: check the path")
    found = []
    for directory, subfolders, names in os.walk(folder):
        if not recursive:
            subfolders.clear()
        subfolders[:] = [s for s in subfolders if not s.startswith((".", "__"))]
        found += [
            Path(directory, name)
            for name in names
            if name.lower().endswith(endings) and not name.startswith(".")
        ]
    return sorted(found, key=lambda p: natural_key(p.relative_to(folder).as_posix()))
