"""Opens an annotated folder in spite of files that its reader would refuse it for."""

from collections.abc import Iterable, Iterator
import contextlib
import dataclasses
import os
from pathlib import Path
import tempfile
from typing import NamedTuple

from cellrec_jax import errors
from cellrec_jax.check.rules import Finding, finding
from cellrec_jax.data import readers
from cellrec_jax.data.pixels.files import list_files
from cellrec_jax.data.readers.layout import UnpairedError
from cellrec_jax.data.record import Record, Source

_MOST_TRIES = 50
_Faults = dict[Path, Finding | None]
"""File or folder, from the root -> what is wrong; None: it lost its partner so."""


class Opened(NamedTuple):
    """A folder without its unusable files."""

    source: Source
    findings: list[Finding]
    """The files that were left out."""


@contextlib.contextmanager
def opened(
    root: str | os.PathLike[str], format: str = "auto", mpp: float = 0.0
) -> Iterator[Opened]:
    """Gives the set of a folder, without unpaired files and those that are refused.

    Where there are some, a temporary folder of links to the others is read instead, so
    use the set inside the block only. `mpp` is that of tiles of slides. Raises what
    `readers.open_source` does where no single file is to blame, or nothing is left.
    """
    root = Path(root).expanduser()
    faults: _Faults = {}
    first: errors.DataError | None = None
    with contextlib.ExitStack() as views:
        view = root
        for _ in range(_MOST_TRIES):
            try:
                source = readers.open_source(str(view), format, mpp=mpp)
                break
            except errors.DataError as error:
                first = first or error
                new = _blamed(error, view, root, faults)
                if not new:
                    raise first from error
                faults |= new
            try:
                folder = Path(views.enter_context(tempfile.TemporaryDirectory()))
                view = _view(root, folder.resolve() / root.absolute().name, faults)
            except OSError:  # links cannot be made here
                raise first from None
        else:
            assert first is not None  # for mypy
            raise first
        found = [one for one in faults.values() if one is not None]
        yield Opened(source if view == root else _naming(source, view, root), found)


def _naming(source: Source, view: Path, root: Path) -> Source:
    """The set, whose errors name files of the folder itself."""

    def load(image_id: str) -> Record:
        try:
            return source.load(image_id)
        except errors.DataError as error:
            text = str(error).replace(str(view), str(root))
            raise errors.DataError(text) from error

    return dataclasses.replace(source, load=load)


def _blamed(error: errors.DataError, view: Path, root: Path, known: _Faults) -> _Faults:
    """The files of the folder that an error is about; empty where it is about more."""
    if not root.is_dir():  # it may be in a cloud
        return {}
    if isinstance(error, UnpairedError):
        lost = {_stem(place) for place in known}
        return {
            **_unpaired(error.images, "has no annotations", view, lost),
            **_unpaired(error.annotations, "has no image of its name", view, lost),
        }
    text = str(error)
    named = [place for place in _files(root) if str(view / place) in text]
    # "a.png" is in "a.png.xml" too.
    named = [
        one
        for one in named
        if not any(str(one) in str(other) and one != other for other in named)
    ]
    if len(named) != 1:
        return {}
    name = named[0].as_posix()
    reason = text.replace(str(view), str(root))
    return {named[0]: finding("unreadable", name, reason)}


def _unpaired(
    files: Iterable[os.PathLike[str]], what: str, view: Path, lost: set[str]
) -> _Faults:
    """Files without a partner; those whose partner was left out are no fault."""
    places = [Path(os.path.relpath(file, view)) for file in files]
    return {
        place: None
        if _stem(place) in lost
        else finding("unpaired", place.as_posix(), what)
        for place in places
    }


def _stem(place: Path) -> str:
    return place.name.partition(".")[0]


def _view(root: Path, folder: Path, faults: _Faults) -> Path:
    """Makes a folder of links to the files of another, but for some."""
    folder.mkdir()
    for place in _files(root):
        if place in faults or any(parent in faults for parent in place.parents):
            continue
        link = folder / place
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((root / place).resolve())
    return folder


def _files(root: Path) -> list[Path]:
    """All files below a folder, from there, but for hidden ones."""
    found = list_files(root, ("",), recursive=True)
    return [Path(os.path.relpath(file, root)) for file in found]
