"""Files that are written piece by piece, from rows that come in chunks of any size.

What is written depends on the rows, not on the chunks.
"""

from collections.abc import Callable, Iterator
import contextlib
import gzip
import os
from typing import IO, Any, NamedTuple, cast

import numpy as np

from cellrec_jax.io import atomic

_LEVEL = 4
"""Of gzip: of GeoJSON, 6 takes up to twice as long and saves 3 to 5 %."""


class Stream(NamedTuple):
    """A file that is being written; a RunError names it if the disk is full."""

    write: Callable[[bytes], None]
    close: Callable[[], None]
    """Ends the file before its block ends; it appears with the end of the block."""


@contextlib.contextmanager
def streamed_file(path: str | os.PathLike[str]) -> Iterator[Stream]:
    """Gives a stream to a file that appears whole, or not at all on an error.

    Compressed if the name ends in `.gz`; equal content gives equal bytes.
    """
    packed = os.fspath(path).endswith(".gz")
    with atomic.pending_path(path) as temporary, contextlib.ExitStack() as opened:
        with atomic.naming(path):
            file = cast(IO[bytes], opened.enter_context(temporary.open("wb")))
            if packed:  # without a name and a time in it
                zipped = gzip.GzipFile("", "wb", _LEVEL, fileobj=file, mtime=0)
                file = cast(IO[bytes], opened.enter_context(zipped))

        def write(content: bytes) -> None:
            with atomic.naming(path):
                file.write(content)

        def close() -> None:
            with atomic.naming(path):
                opened.close()

        try:
            yield Stream(write, close)
        except BaseException:
            with contextlib.suppress(OSError):  # the first error is the one to tell
                opened.close()
            raise
        close()


@contextlib.contextmanager
def in_blocks(
    num_rows: int, write: Callable[..., None]
) -> Iterator[Callable[..., None]]:
    """Gives `add(*columns)`, which passes rows on to `write(*columns)` in blocks.

    Columns are arrays [N, ...] of one N, as many in each call; they are copied. Blocks
    have `num_rows` rows, the last, written when the block ends well, has fewer.
    """
    waiting: list[tuple[np.ndarray, ...]] = []
    num_waiting = 0

    def flush() -> None:
        nonlocal num_waiting
        if num_waiting:
            block = [np.concatenate(column) for column in zip(*waiting, strict=True)]
            waiting.clear()
            num_waiting = 0
            write(*block)

    def add(*columns: Any) -> None:
        nonlocal num_waiting
        start, end = 0, len(columns[0])
        while start < end:
            stop = min(end, start + num_rows - num_waiting)
            waiting.append(tuple(column[start:stop].copy() for column in columns))
            num_waiting += stop - start
            start = stop
            if num_waiting == num_rows:
                flush()

    yield add
    flush()
