"""Whether files are still as they were written: people correct cells in place."""

from collections.abc import Iterable, Iterator, Mapping
import hashlib
from pathlib import Path

from cellrec_jax import errors

Stamp = tuple[int, str]
"""Bytes of a file, and a hash of them: no time, so that equal calls keep equal ones."""


def stamp(path: Path) -> Stamp:
    """Of a file that is there."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8))
        return file.tell(), digest.hexdigest()


def changed(paths: Iterable[Path], stamps: Mapping[str, Stamp]) -> Iterator[Path]:
    """Files that are there and not as they were written.

    `stamps`: name in its folder -> as it was written; others were not written here.
    """
    for path in paths:
        if path.exists() and not _is_same(path, stamps.get(path.name)):
            yield path


def refuse_changed(paths: Iterable[Path], stamps: Mapping[str, Stamp]) -> None:
    """DataError for the first of `changed`."""
    for path in changed(paths, stamps):
        raise errors.DataError(
            f"{path} was changed after it was written here, and may hold corrections: "
            "move it away, or give --overwrite, which replaces it"
        )


def _is_same(path: Path, before: Stamp | None) -> bool:
    """The hash is asked only where as many bytes are there."""
    if before is None or path.stat().st_size != before[0]:
        return False
    return stamp(path) == tuple(before)
