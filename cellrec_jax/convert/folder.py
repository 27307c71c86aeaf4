"""Writes an annotated set as a folder of another format, whole or not at all."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
import json
import os
import shutil
from typing import NamedTuple

from etils.epath import Path
import numpy as np
from PIL import Image

from cellrec_jax import errors
from cellrec_jax.convert import fitting
from cellrec_jax.convert.cells import ImageCells, below, of_record
from cellrec_jax.convert.formats import FORMATS
from cellrec_jax.data.readers import SLIDES
from cellrec_jax.data.record import Source
from cellrec_jax.io import atomic

FILE = "convert.json"
"""What was written, and what could not be."""
IMAGES = ("none", "copy", "link")

Track = Callable[[Iterable[str], str], Iterable[str]]


class Outcome(NamedTuple):
    """What was written."""

    num_images: int
    num_cells: Counter[str]
    """Class name -> cells."""
    lost: Counter[str]
    """What the format cannot say -> how often."""
    failed: tuple[str, ...]
    """A line an image that could not be read."""


def write(
    source: Source,
    to: str,
    output: Path,
    *,
    images: str = "none",
    box_px: float = 0.0,
    track: Track = lambda ids, _: ids,
) -> Outcome:
    """Writes the images of a set that can be read.

    Annotations go where `data.readers` finds them, images into `images/`, copied or
    linked, or not at all; regions that the format cannot say into `ignore/` and
    `annotated/`. A ConfigError: an unknown format, a folder that has something, cells
    of another kind than the format's. A DataError where no image can be read.
    """
    if to not in FORMATS:
        raise errors.ConfigError(f"--to {to}: choose one of {', '.join(FORMATS)}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise errors.ConfigError(
            f"--output {output}: there is something; choose a new folder"
        )
    chosen, lost = FORMATS[to], Counter[str]()
    counts, failed = np.zeros(len(source.class_names), int), []
    num_images = 0

    def found(folder: Path) -> Iterator[ImageCells]:
        nonlocal num_images
        for image_id in track(source.image_ids, "images"):
            try:
                cells = _read(source, image_id, lost)
            except errors.DataError as error:
                failed.append(str(error))
                continue
            fitted = fitting.fit(cells, chosen, box_px, lost)
            if "regions" not in chosen.holds:
                _write_regions(folder, fitted, lost)
            if images != "none":
                _place(fitted, folder, is_copy=images == "copy")
            num_images += 1
            counts[:] += np.bincount(fitted.labels, minlength=len(counts))
            yield fitted

    with atomic.atomic_folder(output) as folder:
        chosen.write(folder, found(folder), source.class_names)
        if not num_images:
            raise errors.DataError(failed[0] if failed else "there is no image")
        cells = dict(zip(source.class_names, counts.tolist(), strict=True))
        outcome = Outcome(num_images, Counter(cells), +lost, tuple(failed))
        about = {"format": to, "read_as": source.format, **outcome._asdict()}
        text = json.dumps(about, indent=1, ensure_ascii=False)
        (folder / FILE).write_text(f"{text}\n", encoding="utf-8")
    return outcome


def _read(source: Source, image_id: str, lost: Counter[str]) -> ImageCells:
    record = (source.annotations or source.load)(image_id)
    if source.files is None or source.format == SLIDES:
        raise errors.ConfigError(
            f"{source.format}: its images are no files of their own, as is needed here"
        )
    if record.trust is not None:
        trust = np.asarray(record.trust)
        predicted, background = (trust >= 0) & (trust < 1), trust < 0
        lost[fitting.PREDICTED] += int(predicted.sum())
        lost[fitting.BACKGROUND] += int(background.sum())
    return of_record(record, Path(source.files(image_id)[0]))


def _write_regions(folder: Path, cells: ImageCells, lost: Counter[str]) -> None:
    """Masks where `data.readers.regions` finds them."""
    regions = {"ignore": cells.ignore, "annotated": cells.annotated}
    for place, region in regions.items():
        if region is not None:
            with below(folder, place, cells, ".png").open("wb") as stream:
                Image.fromarray(region.astype(np.uint8) * 255).save(stream, "PNG")
    lost[fitting.REGIONS] += any(region is not None for region in regions.values())
    if not lost[fitting.REGIONS]:
        del lost[fitting.REGIONS]


def _place(cells: ImageCells, folder: Path, *, is_copy: bool) -> None:
    """The image below `images/`, as a file or a link to where it is."""
    target = below(folder, "images", cells, cells.file.suffix)
    if is_copy:
        shutil.copyfile(cells.file, target)
    else:
        os.symlink(os.path.abspath(cells.file), target)
