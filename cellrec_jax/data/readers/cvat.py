"""CVAT: one XML "CVAT for images 1.1" in the root or in `annotations/`, and images.

They lie beside it, in the root or in `images/`, under the names that it lists or, but
for their folders, the same.
"""

from etils.epath import Path

from cellrec_jax.data.annotations import cvat
from cellrec_jax.data.readers import foreign, listed
from cellrec_jax.data.readers.annotated import annotated_source
from cellrec_jax.data.record import Source
from cellrec_jax.errors import DataError

NAME = "cvat"
_MOST_LOOKED_INTO = 50  # of a folder: more are a file an image


def matches(root: Path) -> bool:
    """Whether there is XML of CVAT in the root or in `annotations/`."""
    try:
        return bool(_files(root))
    except OSError:
        return False


def open_source(root: Path) -> Source:
    """Opens a task or project as CVAT exports it; the XML is read once, here."""
    return open_file(listed.only_file(_files(root), root, "XML of CVAT"), root)


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
        names.append([path, type(path)(path.name)])
    paths = listed.find(names, file, root)
    images = dict(zip(annotations, paths, strict=True))
    unlisted = listed.count_unlisted(images)
    return annotated_source(
        NAME,
        root,
        images,
        lambda _: [file],
        annotations.__getitem__,
        repairs={listed.UNLISTED: unlisted} if unlisted else None,
    )


def _files(root: Path) -> list[Path]:
    places = (sorted(root.glob(place)) for place in ("*.xml", "annotations/*.xml"))
    files = (file for place in places for file in place[:_MOST_LOOKED_INTO])
    return [file for file in files if foreign.kind_of(file) == "CVAT"]
