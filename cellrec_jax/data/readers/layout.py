"""Finds images and annotations by id: 'train/12' is `train/images/12.png`, say."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from etils.epath import Path

from cellrec_jax.data.pixels.files import IMAGE_ENDINGS, list_files, natural_key
from cellrec_jax.data.text import composed
from cellrec_jax.errors import DataError


class UnpairedError(DataError):
    """Images without annotations, or the reverse."""

    def __init__(
        self, text: str, images: Sequence[Path], annotations: Sequence[Path]
    ) -> None:
        """`images` and `annotations` are all that have no partner."""
        super().__init__(text)
        self.images, self.annotations = tuple(images), tuple(annotations)


class Pairs(NamedTuple):
    """Images and annotation files with the same ids, both naturally sorted."""

    images: dict[str, Path]
    annotations: dict[str, Path]

    def files_of(self, image_id: str) -> list[Path]:
        """The annotation file of an image; none where it has none."""
        return [self.annotations[image_id]] if image_id in self.annotations else []


def find_pairs(
    root: Path,
    image_folders: Iterable[str],
    annotation_folders: Iterable[str],
    endings: tuple[str, ...],
    beside: bool = False,
) -> Pairs:
    """Finds images and one annotation file for each, with equal ids.

    The first of `image_folders` that holds images counts ("" is the root); annotations
    lie in one of `annotation_folders`, or also in the images' folder with `beside`, and
    have one of the `endings` (lower case with dot). A `DataError` for no images or
    annotations, two folders of annotations, two files of one id, or a file without
    partner.
    """
    image_folder, images = find_images(root, image_folders)
    folders = [*annotation_folders, *([image_folder] if beside else [])]
    found = {f: index for f in folders if (index := index_files(root, f, endings))}
    what = " or ".join(f"*{ending}" for ending in endings)
    if not found:
        places = " or ".join(str(root / folder) for folder in folders)
        raise DataError(
            f"{root}: {len(images)} images but no annotations ({what} in {places}): "
            "add one file an image"
        )
    if len(found) > 1:
        names = " and ".join(str(root / folder) for folder in found)
        raise DataError(f"{names} both hold {what}: keep one of the folders")
    annotations = next(iter(found.values()))
    check_pairs(root, images, annotations, what)
    return Pairs(images, annotations)


def find_images(
    root: Path,
    folders: Iterable[str] = ("images", ""),
    endings: tuple[str, ...] = IMAGE_ENDINGS,
) -> tuple[str, dict[str, Path]]:
    """The first of `folders` with images, and id -> file; none is a `DataError`."""
    folders = tuple(folders)
    for folder in folders:
        if images := index_files(root, folder, endings):
            return folder, images
    places = " or ".join(str(root / folder) for folder in folders)
    raise DataError(f"no images in {places}: put them there ({', '.join(endings)})")


def index_files(root: Path, folder: str, endings: tuple[str, ...]) -> dict[str, Path]:
    """Finds `root/folder/**`, `root/*/folder/**` ("": root) by ending, by unique id.

    Letters of ids are composed (NFC), whatever the names of files are.
    """
    if not folder:
        bases = {"": root}
    else:
        bases = {"": root / folder}
        bases |= {f"{p.name}/": p / folder for p in root.iterdir() if p.is_dir()}
    index: dict[str, Path] = {}
    for prefix, base in bases.items():
        if not base.is_dir():
            continue
        for path in list_files(base, endings, recursive=bool(folder)):
            name = path.relative_to(base).with_suffix("").as_posix()
            name = composed(prefix + name)
            known = index.setdefault(name, path)
            if known != path:
                raise DataError(f"{known} and {path} have the same id: keep one")
    return {key: index[key] for key in sorted(index, key=natural_key)}


def check_pairs(
    root: Path, images: Mapping[str, Path], annotations: Mapping[str, Path], what: str
) -> None:
    """Raises `UnpairedError` for images without annotation file `what`, or the reverse.

    Both are id -> file.
    """
    image_ids, annotation_ids = set(images), set(annotations)
    parts = []
    if missing := image_ids - annotation_ids:
        parts.append(f"no annotation for {_first(missing)}")
    if orphans := annotation_ids - image_ids:
        parts.append(f"no image for {_first(orphans)}")
    if parts:
        raise UnpairedError(
            f"{root}: {len(image_ids)} images but {len(annotation_ids)} annotation "
            f"files ({what}): {'; '.join(parts)}; add or remove files",
            [images[one] for one in sorted(missing, key=natural_key)],
            [annotations[one] for one in sorted(orphans, key=natural_key)],
        )


def holds(root: Path, folders: Iterable[str], endings: tuple[str, ...]) -> bool:
    """Whether any of the folders has such a file; for `matches`, never raises."""
    try:
        return any(index_files(root, folder, endings) for folder in folders)
    except (OSError, DataError):
        return False


def has_images(root: Path, folders: Iterable[str]) -> bool:
    """Whether any of the folders has images; for `matches`, never raises."""
    return holds(root, folders, IMAGE_ENDINGS)


def has_pair(images: Mapping[str, Path], annotations: Mapping[str, Path]) -> bool:
    """Whether any annotation file has the id of an image."""
    return not images.keys().isdisjoint(annotations)


def holds_beside(
    root: Path, image_folders: Iterable[str], endings: tuple[str, ...]
) -> bool:
    """Whether any image has a file of its id in its own folder; never raises."""
    try:
        folder, images = find_images(root, image_folders)
        return has_pair(images, index_files(root, folder, endings))
    except (OSError, DataError):
        return False


def check_ids(root: Path) -> None:
    """`DataError` where two images of a folder have one id, as a.png and a.jpg."""
    for folder in ("images", "JPEGImages", "source", ""):
        index_files(root, folder, IMAGE_ENDINGS)


def _first(ids: set[str], limit: int = 3) -> str:
    names = sorted(ids, key=natural_key)
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
