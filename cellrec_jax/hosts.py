"""What several processes of one run share: parts of the work, results, decisions.

Of one process everything is its own, and nothing is waited for.
"""

from collections.abc import Callable, Mapping, Sequence
import hashlib
import io
import json
import time
from typing import Any, TypeVar
import uuid

from etils import epath
import jax
import numpy as np

from cellrec_jax import errors

T = TypeVar("T")
_LOOKS, _LOOK_S = 90, 1.0  # network file systems remember for a minute what was not


def is_first() -> bool:
    """Whether this process writes and speaks for all."""
    return jax.process_index() == 0


def part_of(what: str) -> str:
    """The name of what this process does a part of, which says so.

    Example:
      >>> part_of("predicting")  # of one process
      'predicting'
    """
    count = jax.process_count()
    return what if count == 1 else f"{what}, part {jax.process_index() + 1} of {count}"


def own(items: Sequence[T]) -> Sequence[T]:
    """This process's part of what all have in the same order: every n-th one."""
    return items[jax.process_index() :: jax.process_count()]


def in_order(parts: Sequence[Sequence[T]]) -> list[T]:
    """Puts together what `own` took apart.

    Example:
      >>> in_order([["a", "c"], ["b"]])
      ['a', 'b', 'c']
    """
    total = sum(map(len, parts))
    return [parts[index % len(parts)][index // len(parts)] for index in range(total)]


def wait(name: str) -> None:
    """Waits for all processes to come to the point of this name."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


def by_first(act: Callable[[], Any], name: str) -> None:
    """The first process acts (writes a file, say), the others wait until it has."""
    if is_first():
        act()
    wait(name)


def check_shared(folder: epath.Path, flag: str) -> None:
    """A ConfigError if processes see other folders of this name; all must call it.

    The first makes it, and a file in it for a moment.
    """
    if jax.process_count() == 1:
        return
    (mark, *_) = gather_json(f".tmp-{uuid.uuid4().hex}")

    def write() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / mark).write_bytes(b"")

    by_first(write, "a file to see")
    for _ in range(_LOOKS):
        sees = folder.exists() and mark in {path.name for path in folder.iterdir()}
        blind = [index for index, one in enumerate(gather_json(sees)) if not one]
        if not blind:
            break
        time.sleep(_LOOK_S)
    by_first(lambda: (folder / mark).unlink(missing_ok=True), "a file was seen")
    if blind:
        raise errors.ConfigError(
            f"{flag} {folder}: process {', '.join(map(str, blind))} does not see what "
            "the first writes there; name a folder that all machines share"
        )


def gather(content: bytes) -> list[bytes]:
    """Content of all processes, in their order; each must call it."""
    if jax.process_count() == 1:
        return [content]
    from jax.experimental import multihost_utils

    lengths = multihost_utils.process_allgather(np.int32(len(content)))
    # Few sizes, each of which is compiled for.
    row = np.zeros(1 << int(lengths.max()).bit_length(), np.uint8)
    row[: len(content)] = np.frombuffer(content, np.uint8)
    rows = multihost_utils.process_allgather(row)
    return [
        bytes(row[:length]) for row, length in zip(rows, lengths.tolist(), strict=True)
    ]


def gather_json(content: Any) -> list[Any]:
    """As `gather`, of what JSON holds."""
    return [json.loads(one) for one in gather(json.dumps(content).encode())]


def gather_arrays(arrays: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """As `gather`, of arrays by name, of any shapes."""
    buffer = io.BytesIO()
    np.savez(buffer, **dict[str, Any](arrays))
    parts = []
    for content in gather(buffer.getvalue()):
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            parts.append(dict(archive))
    return parts


def first_json(content: Any) -> Any:
    """The first process's content, of what JSON holds, on all; each must call it."""
    text = json.dumps(content).encode()
    row = np.zeros(1 << most(len(text)).bit_length(), np.uint8)
    row[: len(text)] = np.frombuffer(text, np.uint8)
    return json.loads(np.asarray(from_first(row), np.uint8).tobytes().rstrip(b"\0"))


def differing(content: Any) -> list[int]:
    """Processes whose content, of what JSON holds, is not the first one's."""
    digests = gather_json(hashlib.sha256(json.dumps(content).encode()).hexdigest())
    return [index for index, one in enumerate(digests) if one != digests[0]]


def most(number: int) -> int:
    """The largest number of all processes; each must call it."""
    return max(gather_json(number))


def from_first(tree: Any) -> Any:
    """The first process's arrays on all; all must have them of the same shapes."""
    if jax.process_count() == 1:
        return tree
    from jax.experimental import multihost_utils

    return multihost_utils.broadcast_one_to_all(tree)
