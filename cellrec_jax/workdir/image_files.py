"""The files of a run's images, as they were when it began.

Bytes and a checksum of each file: what was merely copied or touched has not changed.
Files whose size and time are known are not read again.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
import zlib

from etils import epath

from cellrec_jax import hosts
from cellrec_jax.data import sets
from cellrec_jax.data.pixels.files import IMAGE_ENDINGS, stamp
from cellrec_jax.workdir import writer

FILE = "files.json"
"""Its name in a work directory: file -> [bytes, time in ns, checksum]."""
_NUM_SHOWN = 3  # files named in a message
_PART_BYTES = 1 << 20


def remember(workdir: epath.Path, data: sets.Sets, *, begun: bool) -> None:
    """Keeps what the files are now, unless training has `begun`.

    Of a run that an earlier version began, what it finds when it goes on. Of several
    processes, which all must call this, each reads a part.
    """
    if hosts.first_json(begun and (workdir / FILE).exists()):
        return
    files = list(_files(data))
    looks = hosts.gather_json([_look(file) for file in hosts.own(files)])
    if hosts.is_first() and files:
        names = map(str, files)
        found = dict(zip(names, hosts.in_order(looks), strict=True))
        writer.write_json(workdir / FILE, found)


def sizes(data: sets.Sets) -> list[tuple[str, int]]:
    """Name and bytes of each file, wherever its folder is."""
    return [(file.name, stamp(file)[1]) for file in _files(data)]


def changed_lines(workdir: epath.Path, data: sets.Sets) -> list[str]:
    """A line where files differ from what they were when training began."""
    known = writer.read_json(workdir / FILE)
    if not isinstance(known, dict):
        return []
    paths = [file for file in _files(data) if _differs(file, known.get(str(file)))]
    if not paths:
        return []
    names = ", ".join(str(path) for path in paths[:_NUM_SHOWN])
    return [
        f"warning: {len(paths)} files of images or annotations have changed since this "
        f"run began ({names}): it goes on with what they hold now; for a run on one "
        "set give them back, or choose another --workdir"
    ]


def copies(
    workdir: epath.Path, trained_on: Collection[str], split: sets.Split
) -> list[str]:
    """Ids of a split's images whose file is that of an image of the training.

    Whatever they are called now; `trained_on` are ids. None where it is not known.
    """
    known = writer.read_json(workdir / FILE)
    if not isinstance(known, dict) or not split.source.files:
        return []
    seen = {
        (size, checksum)
        for name, (size, _, checksum) in known.items()
        if _is_image(Path(name)) and _is_of(Path(name), trained_on)
    }
    sizes_seen = {size for size, _ in seen}
    found = []
    for image_id in split.image_ids:
        files = filter(_is_image, split.source.files(image_id))
        looked = ((stamp(file)[1], file) for file in files)
        same = ((size, _checksum(file)) for size, file in looked if size in sizes_seen)
        if not seen.isdisjoint(same):
            found.append(image_id)
    return found


def _is_of(file: Path, image_ids: Collection[str]) -> bool:
    """Whether a file's path ends in one of some ids."""
    path = f"/{file.with_suffix('').as_posix()}"
    return any(path.endswith(f"/{image_id}") for image_id in image_ids)


def _is_image(file: Path) -> bool:
    """Not a file of annotations, of which those without cells are alike."""
    return file.suffix.lower() in IMAGE_ENDINGS


def _files(data: sets.Sets) -> Iterator[Path]:
    """Each file of all splits once."""
    seen = set()
    for split in (data.train, data.val, data.test):
        for image_id in split.image_ids if split.source.files else ():
            assert split.source.files is not None  # looked at before
            for file in split.source.files(image_id):
                if file not in seen:
                    seen.add(file)
                    yield file


def _differs(file: Path, known: Any) -> bool:
    """Whether a file is another than it was; one that is new is none."""
    if known is None:
        return False
    size, time, checksum = known
    now = stamp(file)[1:]
    if now[0] != size:
        return True
    return now[1] != time and _checksum(file) != checksum


def _look(file: Path) -> tuple[int, int, int]:
    return *stamp(file)[1:], _checksum(file)


def _checksum(file: Path) -> int:
    """CRC-32 of a local file; 0 where it cannot be read."""
    checksum = 0
    try:
        with open(file, "rb") as opened:
            while part := opened.read(_PART_BYTES):
                checksum = zlib.crc32(part, checksum)
        return checksum
    except OSError:  # of an object store: its bytes alone tell
        return 0
