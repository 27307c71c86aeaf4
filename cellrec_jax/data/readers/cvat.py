"""CVAT: one XML "CVAT for images 1.1" in the root or in `annotations/`, and images.

They lie beside it, in the root or in `images/`, under the names that it lists, for
projects below the subset, or without some of their folders.
"""

from etils.epath import Path

from cellrec_jax.data.annotations import cvat
from cellrec_jax.data.readers import foreign, listed
from cellrec_jax.data.record import Source
from cellrec_jax.errors import DataError

NAME = "cvat"
_PATTERNS = ("*.xml", "annotations/*.xml")


def matches(root: Path) -> bool:
    """Whether there is XML of CVAT in the root or in `annotations/`."""
    return listed.matches(root, _PATTERNS, _is_one)


def open_source(root: Path) -> Source:
    """Opens a task or project as CVAT exports it; the XML is read once, here."""
    files = listed.lists(root, _PATTERNS, _is_one)
    return open_file(listed.only_file(files, root, "XML of CVAT"), root)


def open_file(file: Path, root: Path) -> Source:
    """Opens what one XML lists, of images below `root`."""
    content = cvat.parse(file)
    annotations = {}
    names = []
    for name, found in content.items():
        path = listed.contained(name)
        if path is None or listed.id_of(path) in annotations:
            raise DataError(f"{file}: image {name!r} needs a name of its own")
        annotations[listed.id_of(path)] = found
        names.append([type(path)(*path.parts[at:]) for at in range(len(path.parts))])
    paths = listed.find(names, file, root)
    images = dict(zip(annotations, paths, strict=True))
    repairs = {listed.UNLISTED: listed.count_unlisted(images)}
    return listed.source(NAME, root, file, images, annotations, repairs)


def _is_one(file: Path) -> bool:
    return foreign.kind_of(file) == "CVAT"
