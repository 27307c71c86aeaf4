"""One annotation file of another program an image, under the image's name.

a.png has a.geojson, a.geojson.gz or a.png.geojson, say: beside it, or in a folder; of
Cell Counter, CellCounter_a.xml.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
import itertools
from pathlib import PurePosixPath

from etils.epath import Path

from cellrec_jax.data.annotations.content import Annotations
from cellrec_jax.data.pixels.files import IMAGE_ENDINGS
from cellrec_jax.data.pixels.slides import SLIDE_ENDINGS, is_slide
from cellrec_jax.data.readers import foreign
from cellrec_jax.data.readers.annotated import annotated_source
from cellrec_jax.data.readers.layout import Pairs, check_pairs, find_images, index_files
from cellrec_jax.data.record import Source
from cellrec_jax.errors import DataError

IMAGE_FOLDERS = ("images", "")
FOLDERS = ("annotations", "labels", "geojson", "json", "xml")

_MOST_LOOKED_INTO = 8
_DRAWN = (".overlay", ".density")
"""Ends of names of what prediction draws."""
_OF_NAMES = (".geojson", ".json", *IMAGE_ENDINGS, *SLIDE_ENDINGS)
"""What may stand between an image's name and the end of that of its file."""
_COUNTS = "CellCounter_"
"""Beginning of the names that Cell Counter proposes."""


class _SeveralError(DataError):
    """Annotations of the same kinds, of which one must go."""

    def __init__(self, text: str, image: Path) -> None:
        """`image` is one of those that they are of."""
        super().__init__(text)
        self.image = image


def matches(
    root: Path,
    endings: Sequence[tuple[str, ...]],
    kinds: tuple[str, ...],
    image_folders: Sequence[str] = IMAGE_FOLDERS,
    image_endings: tuple[str, ...] = IMAGE_ENDINGS,
) -> bool:
    """Whether one of the first files with an image's name is of a kind of `foreign`.

    A slide is no image, unless `image_endings` are those of slides: then all else is
    none.
    """
    of_slides = image_endings != IMAGE_ENDINGS
    try:
        images, found = _find(root, endings, kinds, image_folders, image_endings)
        return any(
            foreign.kind_of(file) in kinds and is_slide(image) == of_slides
            for file, image in _first(found, images)
        )
    except _SeveralError as error:
        return is_slide(error.image) == of_slides
    except (OSError, DataError):
        return False


def source(
    name: str,
    root: Path,
    endings: Sequence[tuple[str, ...]],
    kinds: tuple[str, ...],
    parse: Callable[[Path, Path], Annotations],
) -> Source:
    """The images and their files as a set; errors as `find` and `annotated_source`.

    `parse` reads an annotation file, and is given its image too; all files are read
    once here, for classes.
    """
    found = find(root, endings, kinds)
    return annotated_source(
        name,
        root,
        found.images,
        found.files_of,
        lambda image_id: parse(found.annotations[image_id], found.images[image_id]),
    )


def find(
    root: Path,
    endings: Sequence[tuple[str, ...]],
    kinds: tuple[str, ...],
    *,
    all_annotated: bool = True,
    image_folders: Sequence[str] = IMAGE_FOLDERS,
    image_endings: tuple[str, ...] = IMAGE_ENDINGS,
    no_images: Sequence[str] = (),
) -> Pairs:
    """Images and the file of each; of `endings` the first group that there is counts.

    Of later groups files count that have an image's name and are of a kind of
    `foreign`. A `DataError` for two files of an image, a file without image but for
    those called as one of `no_images`, and, where `all_annotated`, an image without
    file.
    """
    images, found = _find(root, endings, kinds, image_folders, image_endings)
    files: dict[str, Path] = {}
    for key, file in found.items():
        name = _named(key, images)
        if name not in images and PurePosixPath(name).name.lower() in no_images:
            continue
        known = files.setdefault(name, file)
        if known != file:
            raise DataError(_of_one_image(known, file))
    what = " or ".join(f"*{ending}" for group in endings for ending in group)
    if not files:
        raise DataError(
            f"{root}: {len(images)} images but no annotations ({what}): add a file an "
            f"image, beside it or in {FOLDERS[0]}/"
        )
    asked = {k: v for k, v in images.items() if all_annotated or k in files}
    check_pairs(root, asked, files, what)
    return Pairs(images, files)


def _find(
    root: Path,
    endings: Sequence[tuple[str, ...]],
    kinds: tuple[str, ...],
    image_folders: Sequence[str],
    image_endings: tuple[str, ...],
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images by id without drawings of cells; files of one folder a group."""
    image_folder, images = find_images(root, image_folders, image_endings)
    images = {
        key: file
        for key, file in images.items()
        if not (key.endswith(_DRAWN) and _is_drawn(key, images))
    }
    folders = dict.fromkeys((*FOLDERS, image_folder))
    index: dict[str, Path] = {}
    for group in endings:
        found = [files for f in folders if (files := index_files(root, f, group))]
        with_images = [files for files in found if _first(files, images)]
        if len(with_images) > 1 or index:
            with_images = [
                files
                for files in with_images
                if any(foreign.kind_of(f) in kinds for f, _ in _first(files, images))
            ]
        if len(with_images) > 1:
            (first, image), (second, _) = (
                _first(f, images)[0] for f in with_images[:2]
            )
            raise _SeveralError(
                f"{first.parent} and {second.parent} both hold annotations: keep one "
                "of the folders",
                image,
            )
        if not index:
            index = next(iter((*with_images, *found)), {})
            continue
        for key, file in (with_images[0] if with_images else {}).items():
            name = _named(key, images)
            if name not in images or foreign.kind_of(file) not in kinds:
                continue
            if index.setdefault(key, file) != file:
                raise _SeveralError(_of_one_image(index[key], file), images[name])
    return images, index


def _of_one_image(first: Path, second: Path) -> str:
    return f"{first} and {second} are of the same image: keep one"


def _first(
    files: Mapping[str, Path], images: Mapping[str, Path]
) -> list[tuple[Path, Path]]:
    """The first files that have an image's name, with it; empty texts say nothing."""
    named = ((file, images.get(_named(key, images))) for key, file in files.items())
    pairs = (
        (file, image)
        for file, image in named
        if image is not None and (file.suffix.lower() != ".txt" or file.stat().length)
    )
    return [*itertools.islice(pairs, _MOST_LOOKED_INTO)]


def _is_drawn(key: str, images: Iterable[str]) -> bool:
    """Whether a drawing is of another image, of any ending."""
    return _named(key.rpartition(".")[0], images) in images


def _named(key: str, images: Container[str] | Iterable[str]) -> str:
    """The image that a file of this name is of, if there is one of that name."""
    folder, slash, last = key.rpartition("/")
    name = folder + slash + last.removeprefix(_COUNTS)
    name = key if key in images else name
    while name not in images:
        ending = PurePosixPath(name).suffix
        if ending.lower() not in _OF_NAMES:
            return key
        name = name[: -len(ending)]
    return name
