"""What images hold, from their annotations alone: no pixels are decoded for it.

Kept in a file while the options and the names, sizes and times of files are the same.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import contextlib
import dataclasses
from pathlib import Path
from typing import NamedTuple, TypeVar
import uuid

import numpy as np
import orjson

from cellrec_jax import errors
from cellrec_jax.data.example import ExampleSpec, sample_cells
from cellrec_jax.data.pixels.files import stamp as stamp_of
from cellrec_jax.data.record import Record, Source

T = TypeVar("T")
Track = Callable[[Iterable[T], str], Iterable[T]]
"""Shows progress over an iterable of known length: (items, what they are)."""

FILE = "survey.json"
"""Its name in a work directory."""
_FORMAT = 2  # of the file; another one is read anew
_Stamp = list[tuple[str, int, int]]  # of each file: name, bytes, nanoseconds


class Entry(NamedTuple):
    """One image as training sees it."""

    size_hw: tuple[int, int]  # on disk, px
    mpp: float  # micrometres per px; 0 is unknown
    num_kept: int
    num_total: int
    num_dropped: int
    num_per_class: Sequence[int]  # as in `Survey`
    repairs: Mapping[str, int]  # what had to be repaired
    num_doubted: int = 0  # as in `Survey`


class Survey(NamedTuple):
    """What a training split holds."""

    num_kept: int
    """Annotated cells that training sees."""
    num_total: int
    """Annotated cells of these images."""
    num_dropped: int
    """Cells that did not fit `data.max_cells`."""
    num_per_class: tuple[int, ...]
    """K numbers of annotated cells that training sees."""
    num_slots: int
    """Slots that the fullest image needs, a multiple of `Split.slots`: the N of its
    batches. Every pair of anchor and slot costs time, so `data.max_cells` is only an
    upper bound."""
    native_hw: np.ndarray
    """int [I, 2] sizes on disk."""
    mpp: float
    """Micrometres per px where all images agree, else 0."""
    num_doubted: int = 0
    """Of `num_kept` those that nobody gave: predicted, or known background."""

    @property
    def median_hw(self) -> tuple[int, int]:
        """Median size on disk."""
        height, width = np.median(self.native_hw, axis=0)
        return int(height), int(width)


class Surveyor:
    """Entries of the images of one set, in memory and in `file` if its folder exists.

    `options` is what else they depend on, beside the source's names and the spec.
    """

    def __init__(self, file: Path | None = None, options: str = "") -> None:
        self._file, self._options = file, options
        self._key = ""
        self._known: dict[str, tuple[_Stamp, Entry]] = {}

    def look(
        self,
        source: Source,
        image_ids: Sequence[str],
        spec: ExampleSpec,
        track: Track[str] | None = None,
    ) -> dict[str, Entry]:
        """The entries of images, of which only new or changed ones are read."""
        self._open(source, spec)
        read = source.annotations or source.load
        for image_id in track(image_ids, "annotations") if track else image_ids:
            stamp = _stamp(source, image_id)
            known = self._known.get(image_id)
            if known is None or known[0] != stamp:
                self.add(source, read(image_id), spec, stamp)
            else:
                source.repairs.count(image_id, known[1].repairs)
        self.save()
        return {image_id: self._known[image_id][1] for image_id in image_ids}

    def add(
        self,
        source: Source,
        record: Record,
        spec: ExampleSpec,
        stamp: _Stamp | None = None,
    ) -> Entry:
        """Makes the entry of a record that has just been read."""
        self._open(source, spec)
        if stamp is None:
            stamp = _stamp(source, record.image_id)
        entry = _entry(source, record, spec)
        self._known[record.image_id] = stamp, entry
        return entry

    def save(self) -> None:
        """Writes what is known of images in files, if there is a folder for it."""
        images = {i: (s, tuple(e)) for i, (s, e) in self._known.items() if s}
        if self._file is None or not images or not self._file.parent.is_dir():
            return
        content = orjson.dumps({"key": self._key, "images": images})
        if self._file.is_file() and self._file.read_bytes() == content:
            return
        # It saves time and no more: a full disk is told by what has to be written.
        part = self._file.with_name(f".tmp-{uuid.uuid4().hex}{self._file.suffix}")
        with contextlib.suppress(OSError):
            part.write_bytes(content)
            part.replace(self._file)
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)

    def _open(self, source: Source, spec: ExampleSpec) -> None:
        """Forgets what is of other options; reads the file at first."""
        spec = dataclasses.replace(spec, paint=None)  # it reads no annotation
        parts = (_FORMAT, source.format, source.class_names, self._options, spec)
        if (key := repr(parts)) == self._key:
            return
        self._key, self._known = key, {}
        try:
            content = orjson.loads(self._file.read_bytes()) if self._file else {}
            if content.get("key") == key:
                self._known = {
                    image_id: ([tuple(file) for file in stamp], Entry(*entry))
                    for image_id, (stamp, entry) in content["images"].items()
                }
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            self._known = {}  # no file, or a damaged one


def total(
    entries: Sequence[Entry], num_classes: int, spec: ExampleSpec, slots: int = 8
) -> Survey:
    """Adds up a training split's images; no annotated cell at all is a `DataError`."""
    num_kept = sum(entry.num_kept for entry in entries)
    if not num_kept:
        raise errors.DataError(
            f"none of the {len(entries)} training images has an annotated cell; "
            "check --config.data.classes and --config.data.train_ids"
        )
    mpps = {entry.mpp for entry in entries}
    fullest = max(entry.num_kept for entry in entries)
    return Survey(
        num_kept,
        sum(entry.num_total for entry in entries),
        sum(entry.num_dropped for entry in entries),
        tuple(sum(e.num_per_class[k] for e in entries) for k in range(num_classes)),
        min(spec.max_cells, -(-fullest // slots) * slots),
        np.asarray([entry.size_hw for entry in entries]),
        mpps.pop() if len(mpps) == 1 else 0.0,
        sum(entry.num_doubted for entry in entries),
    )


def _entry(source: Source, record: Record, spec: ExampleSpec) -> Entry:
    num_classes = len(source.class_names)
    kept, num_dropped = sample_cells(record, spec)
    trust = np.ones(len(kept.labels)) if kept.trust is None else kept.trust
    labels = kept.labels[(kept.labels < num_classes) & (trust >= 0)]
    height, width = record.image.shape[:2]
    return Entry(
        (height, width),
        spec.mpp or record.mpp or 0.0,
        len(kept.labels),
        len(record.labels),
        num_dropped,
        np.bincount(labels, minlength=num_classes).tolist(),
        dict(source.repairs.by_image.get(record.image_id, {})),
        int((trust < 1).sum()),
    )


def _stamp(source: Source, image_id: str) -> _Stamp:
    """Names, sizes and times of an image's files; empty where it is not of files."""
    return [stamp_of(file) for file in source.files(image_id)] if source.files else []
