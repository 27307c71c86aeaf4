"""Makes a set of image files and of what a reader finds in their annotation files."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import NamedTuple

from etils.epath import Path
import numpy as np

from cellrec_jax.data.pixels.files import natural_key
from cellrec_jax.data.pixels.images import Header, Picture, header, load
from cellrec_jax.data.readers import frames, units
from cellrec_jax.data.readers.clean import clean
from cellrec_jax.data.readers.regions import attach_regions, find_regions
from cellrec_jax.data.record import Record, Repairs, Source, blank

Read = Callable[[str, np.ndarray, Counter[str]], Record]
StatedSize = Callable[[str], frames.Stated | None]


class Pixels(NamedTuple):
    """How images of a set are read by id, where they are no files of their own."""

    load: Callable[[str], Picture]
    header: Callable[[str], Header]


def folder_source(
    name: str,
    class_names: tuple[str, ...],
    images: Mapping[str, Path],
    annotations: Callable[[str], Sequence[Path]],
    read: Read,
    root: Path,
    *,
    stated: StatedSize | None = None,
    groups: Mapping[str, str] | None = None,
    repairs: Mapping[str, int] | None = None,
    pixels: Pixels | None = None,
) -> Source:
    """A set whose records are cleaned, and joined with the regions beside the images.

    `images` and `annotations` map ids to files, `groups` to slide or patient. `read`
    takes (id, image [H, W, 3], repairs to add to) and gives the record as in the files.
    `stated` gives the size that they state: see `frames.turn_of`. A record without a
    pixel size gets the image file's; what that file leaves open, or had to be guessed
    of it, is told with the repairs. `pixels` reads images that are parts of files.
    """
    counts = Repairs(repairs or {})
    regions = find_regions(root, images)
    groups = groups or {}
    is_files = pixels is None
    pixels = pixels or Pixels(
        lambda image_id: load(images[image_id]),
        lambda image_id: header(images[image_id]),
    )

    def finish(image_id: str, image: np.ndarray, said: Header) -> Record:
        found = Counter(said.notes)
        size = stated(image_id) if stated else None
        turn = frames.turn_of(said.sizes, size, found)
        if turn == 1 or size is None:
            record = read(image_id, image, found)
        else:
            record = read(image_id, blank(size.size_hw), found)
            record = frames.turned_record(record, turn, image)
        if record.masks is None and is_files:
            place = next(iter(annotations(image_id)), images[image_id])
            size_hw = said.sizes.shown_hw
            units.check_shares(record.points_yx, size_hw, f"{place} ({image_id})")
        record = clean(record, found, class_names)
        record = attach_regions(record, regions, said.sizes, found)
        if record.mpp is None and said.mpp:
            record = dataclasses.replace(record, mpp=said.mpp)
        if not record.group:
            record = dataclasses.replace(record, group=groups.get(image_id, ""))
        counts.count(image_id, found)
        return record

    def read_blank(image_id: str) -> Record:
        said = pixels.header(image_id)
        return finish(image_id, blank(said.sizes.shown_hw), said)

    return Source(
        name,
        class_names,
        tuple(sorted(images, key=natural_key)),
        lambda image_id: finish(image_id, *pixels.load(image_id)),
        groups,
        counts,
        read_blank,
        lambda image_id: (
            images[image_id],
            *annotations(image_id),
            *regions.files_of(image_id),
        ),
    )
