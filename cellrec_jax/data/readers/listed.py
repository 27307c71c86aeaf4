"""Images that an annotation file lists by name: where they are below the root."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import functools
from pathlib import PurePosixPath

from etils.epath import Path

from cellrec_jax.data.annotations.content import Annotations
from cellrec_jax.data.pixels.files import list_images
from cellrec_jax.data.readers.annotated import annotated_source
from cellrec_jax.data.record import Source
from cellrec_jax.data.text import composed
from cellrec_jax.errors import DataError

UNLISTED = "images left out that the annotation file does not list"
_MOST_LOOKED_INTO = 50  # files of a folder: more are a file an image


def lists(
    root: Path, patterns: Iterable[str], is_one: Callable[[Path], bool]
) -> list[Path]:
    """Files of some patterns below `root` that list images; the first 50 of each."""
    places = (sorted(root.glob(pattern)) for pattern in patterns)
    files = (file for place in places for file in place[:_MOST_LOOKED_INTO])
    return [file for file in files if is_one(file)]


def matches(
    root: Path, patterns: Iterable[str], is_one: Callable[[Path], bool]
) -> bool:
    """Whether there is such a file; False for a folder that cannot be read."""
    try:
        return bool(lists(root, patterns, is_one))
    except OSError:
        return False


def source(
    name: str,
    root: Path,
    file: Path,
    images: Mapping[str, Path],
    annotations: Mapping[str, Annotations],
    repairs: Mapping[str, int],
) -> Source:
    """The images that one file lists, with what it says of each, as a set.

    Of `repairs`, what is told -> how often, those of 0 are left out.
    """
    return annotated_source(
        name,
        root,
        images,
        lambda _: [file],
        annotations.__getitem__,
        repairs={what: number for what, number in repairs.items() if number} or None,
    )


def contained(text: str) -> PurePosixPath | None:
    """A name as a path below some folder; None for one that is none, or leads out.

    Example:
      >>> contained("a/b.png"), contained("../b.png")
      (PurePosixPath('a/b.png'), None)
    """
    name = PurePosixPath(composed(text.replace("\\", "/")))
    if not name.name or name.is_absolute() or ".." in name.parts or "\0" in text:
        return None
    return name


def id_of(name: PurePosixPath) -> str:
    """The id of an image of this name."""
    return name.with_suffix("").as_posix()


def find(
    listed: Sequence[Sequence[PurePosixPath]],
    file: Path,
    root: Path,
    folders: Iterable[Path] = (),
    plain: Callable[[str], str] = composed,
) -> list[Path]:
    """The file of each image, of which `listed` gives one name or several.

    They lie beside `file`, in `root`, its `images/`, or other `folders`, under such a
    name, or one that `plain` makes the same, of which there is one alone. A
    `DataError`: missing ones, and one file under two names.
    """
    places = [*dict.fromkeys((file.parent, root, root / "images", *folders))]
    by_plain = functools.lru_cache(functools.partial(_by_plain, plain))
    paths, missing = [], []
    for names in listed:
        options = [folder / name for name in names for folder in places]
        path = next((p for p in options if p.is_file()), None)
        if path is None:
            named = (by_plain(p.parent).get(plain(p.name)) for p in options)
            path = next(filter(None, named), None)
        if path is None:
            missing.append(names[0])
        paths.append(path or options[0])
    if missing:
        raise DataError(
            f"{root}: {len(missing)} of the {len(listed)} images in {file.name} are "
            f"not there, first {missing[0]}: copy them or remove their entries"
        )
    first: dict[Path, PurePosixPath] = {}
    for path, names in zip(paths, listed, strict=True):
        if first.setdefault(path, names[0]) != names[0]:
            raise DataError(
                f"{file}: {first[path]} and {names[0]} are both {path}: put images "
                "where the file says"
            )
    return paths


def count_unlisted(images: Mapping[str, Path]) -> int:
    """Images beside those listed that are not."""
    folders = {image.parent for image in images.values()}
    files = {image for folder in folders for image in list_images(folder)}
    return len(files - set(images.values()))


def only_file(files: Sequence[Path], root: Path, what: str) -> Path:
    """The one of these; none or several are a `DataError` of what they are."""
    if not files:
        raise DataError(f"{root}: no {what} here or in annotations/")
    if len(files) > 1:
        first, second = (file.relative_to(root) for file in files[:2])
        raise DataError(
            f"{root}: {first} and {second} may both be the {what}; keep one of them"
        )
    return files[0]


def _by_plain(plain: Callable[[str], str], folder: Path) -> dict[str, Path | None]:
    """Plain name -> file; None for several."""
    found: dict[str, Path | None] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_file():
            name = plain(path.name)
            found[name] = None if name in found else path
    return found
