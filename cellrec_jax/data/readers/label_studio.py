"""Label Studio: one JSON export in the root or in `annotations/`, and the images.

They lie beside it, in the root or in `images/`, under the names that tasks give, with
or without the signs that uploading adds before them, and the spaces that it changes.
"""

from etils.epath import Path

from cellrec_jax.data.annotations import label_studio
from cellrec_jax.data.annotations.content import Annotations
from cellrec_jax.data.readers import foreign, listed
from cellrec_jax.data.record import Source
from cellrec_jax.errors import DataError

NAME = "label_studio"
_PATTERNS = ("*.json", "annotations/*.json")


def matches(root: Path) -> bool:
    """Whether there is JSON of Label Studio in the root or in `annotations/`."""
    return listed.matches(root, _PATTERNS, _is_one)


def open_source(root: Path) -> Source:
    """Opens a project's export; the JSON is read once, here."""
    files = listed.lists(root, _PATTERNS, _is_one)
    return open_file(listed.only_file(files, root, "JSON of Label Studio"), root)


def open_file(file: Path, root: Path) -> Source:
    """Opens the tasks of one JSON, of images below `root`."""
    content = label_studio.parse(file)
    annotations: dict[str, Annotations] = {}
    names = []
    for task in content.tasks:
        paths = [path for name in task.names if (path := listed.contained(name))]
        if not paths or listed.id_of(paths[0]) in annotations:
            raise DataError(
                f"{file}: {task.names[0]!r} is no name of an image, or of two tasks"
            )
        annotations[listed.id_of(paths[0])] = task.annotations
        names.append(paths)
    paths = listed.find(names, file, root, plain=label_studio.stored_name)
    images = dict(zip(annotations, paths, strict=True))
    if not images:
        raise DataError(f"{file}: no task is annotated")
    repairs = {
        listed.UNLISTED: listed.count_unlisted(images),
        label_studio.UNANNOTATED: content.num_unannotated,
    }
    if content.num_unannotated:  # their images are not listed either
        del repairs[listed.UNLISTED]
    return listed.source(NAME, root, file, images, annotations, repairs)


def _is_one(file: Path) -> bool:
    return foreign.kind_of(file) == "Label Studio"
