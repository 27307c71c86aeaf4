"""One table of all images: QuPath's measurements, or `detections.csv` of predictions.

It lies in the root, the images in the root or in `images/`, under the names of the
column `image`, with or without their ending. Micrometres become px where the image
states its um per px.
"""

from pathlib import PurePosixPath

from etils.epath import Path

from cellrec_jax.data.annotations import table
from cellrec_jax.data.annotations.content import Annotations
from cellrec_jax.data.pixels.files import IMAGE_ENDINGS
from cellrec_jax.data.pixels.images import header
from cellrec_jax.data.readers import listed
from cellrec_jax.data.record import Source
from cellrec_jax.errors import DataError

NAME = "table"
_PATTERNS = ("*.csv", "*.tsv", "*.txt")


def matches(root: Path) -> bool:
    """Whether there is such a table in the root, not of the name of an image."""
    return listed.matches(root, _PATTERNS, _is_one)


def open_source(root: Path) -> Source:
    """Opens the images of a table; it is read once, here."""
    files = listed.lists(root, _PATTERNS, _is_one)
    return open_file(listed.only_file(files, root, "table of all images"), root)


def open_file(file: Path, root: Path) -> Source:
    """Opens what one table lists, of images below `root`."""
    content = table.parse(file)
    annotations: dict[str, Annotations] = {}
    names = []
    for name, found in content.images.items():
        path = listed.contained(name)
        image_id = "" if path is None else _id(path)
        if path is None or image_id in annotations:
            raise DataError(f"{file}: image {name!r} needs a name of its own")
        annotations[image_id] = found
        names.append(_names(path))
    images = dict(zip(annotations, listed.find(names, file, root), strict=True))
    if content.in_um:
        annotations = {i: _in_px(a, images[i], file) for i, a in annotations.items()}
    repairs = {listed.UNLISTED: listed.count_unlisted(images)}
    return listed.source(NAME, root, file, images, annotations, repairs)


def _id(path: PurePosixPath) -> str:
    has_ending = path.suffix.lower() in IMAGE_ENDINGS
    return listed.id_of(path) if has_ending else path.as_posix()


def _names(path: PurePosixPath) -> list[PurePosixPath]:
    """How the file of an image may be called."""
    plain = [path, PurePosixPath(path.name)]
    if path.suffix.lower() in IMAGE_ENDINGS:
        return plain
    return [
        one.with_name(f"{one.name}{end}")
        for one in plain
        for end in ("", *IMAGE_ENDINGS)
    ]


def _in_px(read: Annotations, image: Path, file: Path) -> Annotations:
    mpp = header(image).mpp
    if not mpp:
        raise DataError(
            f"{file}: places are in micrometres, and {image} does not state its um per "
            "px: export px, as columns x,y"
        )
    return read._replace(points_yx=read.points_yx / mpp)


def _is_one(file: Path) -> bool:
    """Whether it is of all images, not of one."""
    of_one = any(file.with_suffix(ending).is_file() for ending in IMAGE_ENDINGS)
    return table.is_table(file) and not of_one
