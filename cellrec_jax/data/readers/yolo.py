"""YOLO: a text file an image, in `labels/` or beside it.

`images/train/a.jpg` with `labels/train/a.txt`, `train/images/a.jpg` with
`train/labels/a.txt` (Roboflow), or both in one folder, as in `obj_train_data/`. Classes
are named by `data.yaml`, `classes.txt` or `obj.names`; an image without a file has no
cells.
"""

from etils.epath import Path

from cellrec_jax.data.annotations import yolo, yolo_names
from cellrec_jax.data.annotations.content import Annotations, collect
from cellrec_jax.data.pixels.images import read_size
from cellrec_jax.data.readers import pairs, roboflow
from cellrec_jax.data.readers.annotated import annotated_source
from cellrec_jax.data.record import Source
from cellrec_jax.errors import DataError

NAME = "yolo"
WITHOUT_FILE = "images without a file of YOLO read as images without cells"

_KINDS = ("YOLO",)
_ENDINGS = ((".txt",),)
_IMAGE_FOLDERS = ("images", "", "obj_train_data")
_LISTS = ("classes", "train", "val", "valid", "test", "labels", "obj", "notes")
_YAML = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_TEXT = ("classes.txt", "obj.names", "labels/classes.txt", "obj_train_data/classes.txt")


def matches(root: Path) -> bool:
    """Whether images have text files of YOLO."""
    return pairs.matches(root, _ENDINGS, _KINDS, image_folders=_IMAGE_FOLDERS)


def open_source(root: Path) -> Source:
    """Opens images with files of YOLO; all are read once, for classes."""
    found = pairs.find(
        root,
        _ENDINGS,
        _KINDS,
        all_annotated=False,
        image_folders=_IMAGE_FOLDERS,
        no_images=_LISTS,
    )
    names = _names(root)

    def annotations_of(image_id: str) -> Annotations:
        file = found.annotations.get(image_id)
        if file is None:
            return collect([])
        size_hw = read_size(found.images[image_id])
        return yolo.parse(
            file, size_hw, names.names, has_key_points=names.has_key_points
        )

    num_without = len(found.images.keys() - found.annotations.keys())
    return annotated_source(
        NAME,
        root,
        found.images,
        found.files_of,
        annotations_of,
        class_names=names.names or None,
        groups=roboflow.groups(found.images),
        repairs={WITHOUT_FILE: num_without} if num_without else None,
    )


def _names(root: Path) -> yolo_names.Names:
    """What the first file that names classes says; nothing where there is none."""
    others = [
        file
        for pattern in ("*.yaml", "*.yml")
        for file in sorted(root.glob(pattern))
        if file.name not in _YAML and yolo_names.is_of_yolo(file)
    ]
    usual = [root / name for name in _YAML]
    files = [file for file in usual if file.is_file()] or others
    if len(files) > 1:
        raise DataError(
            f"{root}: {files[0].name} and {files[1].name} both name classes; keep one"
        )
    files += [root / name for name in _TEXT if (root / name).is_file()]
    return yolo_names.read(files[0]) if files else yolo_names.Names(())
