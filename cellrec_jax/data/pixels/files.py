"""Finding image files, in natural order; local or in a cloud."""

from collections.abc import Iterator
import os
from pathlib import PurePath
import re

from etils.epath import Path

from cellrec_jax.errors import DataError

ENDINGS_OF = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "PPM": (".ppm", ".pgm", ".pnm"),
    "JPEG2000": (".jp2", ".j2k"),
}
"""Format of a file's content -> how names of such files end."""

IMAGE_ENDINGS = tuple(ending for endings in ENDINGS_OF.values() for ending in endings)


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

    `recursive` follows links to folders, but for those that lead back to where they
    were met from. No such folder is a `DataError`.
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
    for directory, names in _walk(base, recursive):
        found += [
            directory / name
            for name in names
            if name.lower().endswith(endings) and not name.startswith(".")
        ]
    return sorted(found, key=lambda p: natural_key(p.relative_to(base).as_posix()))


def _walk(
    folder: Path, recursive: bool, above: frozenset[str] = frozenset()
) -> Iterator[tuple[Path, list[str]]]:
    """Folders and the names of their files; `above`: the real paths that led here."""
    above |= {os.path.realpath(folder)}  # of a cloud path: any text of its own will do
    # `Path.walk` counts links to folders as files from Python 3.12 on, `os.walk` never.
    walk = os.walk(folder) if os.path.isdir(folder) else folder.walk()
    _, subfolders, names = next(iter(walk), (folder, [], []))
    yield folder, names
    for name in subfolders if recursive else []:
        looped = os.path.realpath(folder / name) in above
        if not name.startswith((".", "__")) and not looped:
            yield from _walk(folder / name, recursive, above)


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
