"""A collection of features as one file, or as parts that QuPath can hold."""

from collections.abc import Callable, Iterator
import contextlib
import os
import sys

from etils import epath

from cellrec_jax import errors
from cellrec_jax.io import streams

_ENDINGS = (".geojson", ".geojson.gz", ".json", ".json.gz")


def part_path(path: str | os.PathLike[str], number: int) -> epath.Path:
    """Name of a part, from 1 on, of a file that is split.

    Example:
      >>> part_path("a.geojson.gz", 2).name
      'a-2.geojson.gz'
    """
    target = epath.Path(path)
    endings = (ending for ending in _ENDINGS if target.name.endswith(ending))
    ending = max(endings, key=len, default=target.suffix)
    return target.with_name(f"{target.name.removesuffix(ending)}-{number}{ending}")


@contextlib.contextmanager
def open_parts(
    path: str | os.PathLike[str], head: bytes, split: int
) -> Iterator[Callable[[list[str]], None]]:
    """Gives `write(features)`, JSON of each; files appear when the block ends well.

    `head` is what stands in a file before its features; `split` is the most that a file
    has, of parts named by `part_path`, or 0 for one file, `path`. Parts of an earlier,
    longer file stay.
    """
    if split < 0:
        raise errors.ConfigError(f"parts of {split} cells; choose 1 or more, 0 for one")
    most = split or sys.maxsize
    num_parts = num_here = 0
    with contextlib.ExitStack() as files:

        def begin() -> streams.Stream:
            nonlocal num_parts, num_here
            num_parts, num_here = num_parts + 1, 0
            name = part_path(path, num_parts) if split else path
            opened = files.enter_context(streams.streamed_file(name))
            opened.write(head)
            return opened

        stream = begin()

        def end() -> None:
            stream.write(b"]}")
            stream.close()  # or many files would be open

        def write(features: list[str]) -> None:
            nonlocal stream, num_here
            start = 0
            while start < len(features):
                if num_here == most:
                    end()
                    stream = begin()
                part = features[start : start + most - num_here]
                text = "," * (num_here > 0) + ",".join(part)
                stream.write(text.encode())
                start, num_here = start + len(part), num_here + len(part)

        yield write
        end()
