"""BCData (Huang et al., MICCAI 2020): `images/K.png`, two HDF5 files for each.

`annotations/{positive,negative}/K.h5` hold `coordinates`, int [N, 2] as (x, y). Splits
may be folders: `images/train/K.png`, `annotations/train/positive/K.h5`.
"""

from collections import Counter
import io
from pathlib import PurePosixPath

from etils.epath import Path
import numpy as np

from cellrec_jax.data.readers.clean import points_from_xy
from cellrec_jax.data.readers.folder import folder_source
from cellrec_jax.data.readers.layout import (
    check_pairs,
    find_images,
    has_images,
    index_files,
)
from cellrec_jax.data.record import Record, Source
from cellrec_jax.errors import DataError

NAME = "bcdata"
CLASS_NAMES = ("positive", "negative")
_DATASET = "coordinates"


def matches(root: Path) -> bool:
    """Whether there are images and h5 files in folders of the classes."""
    try:
        return any(_find_points(root)) and has_images(root, ["images"])
    except (OSError, DataError):
        return False


def open_source(root: Path) -> Source:
    """Opens a BCData folder."""
    root = Path(root)
    _, images = find_images(root, ["images"])
    files_by_class = _find_points(root)
    _check_files(root, images, files_by_class)

    def files(image_id: str) -> list[Path]:
        return [files[image_id] for files in files_by_class]

    def read(image_id: str, image: np.ndarray, _: Counter[str]) -> Record:
        points_yx = [_read_points(file) for file in files(image_id)]
        labels = np.repeat(np.arange(len(points_yx)), [len(p) for p in points_yx])
        return Record(image_id, image, np.concatenate(points_yx), labels)

    return folder_source(NAME, CLASS_NAMES, images, files, read, root)


def _find_points(root: Path) -> list[dict[str, Path]]:
    """Returns id -> h5 file for each class; the class is a folder in the path."""
    files_by_class: list[dict[str, Path]] = [{} for _ in CLASS_NAMES]
    for name, path in index_files(root, "annotations", (".h5", ".hdf5")).items():
        *folders, stem = PurePosixPath(name).parts
        for files, class_name in zip(files_by_class, CLASS_NAMES, strict=True):
            if class_name in folders:
                split = [folder for folder in folders if folder != class_name]
                files["/".join([*split, stem])] = path
    return files_by_class


def _check_files(
    root: Path, images: dict[str, Path], files_by_class: list[dict[str, Path]]
) -> None:
    positive, negative = files_by_class
    if not positive and not negative:
        raise DataError(
            f"{root}: {len(images)} images but no annotations; "
            "expected annotations/positive/*.h5 and annotations/negative/*.h5"
        )
    both = positive | negative
    check_pairs(root, images, both, "annotations/{positive,negative}/*.h5")
    single = {i: p for i, p in both.items() if not (i in positive and i in negative)}
    if single:
        image_id, path = next(iter(single.items()))
        has, lacks = CLASS_NAMES if image_id in positive else CLASS_NAMES[::-1]
        raise DataError(
            f"{root}: {len(single)} of {len(images)} images have points of one class "
            f"only: {path} ({has}) has no {lacks} file; add one (it may be empty)"
        )


def _read_points(path: Path) -> np.ndarray:
    """Reads one h5 file: half-pixel (y, x), f32 [N, 2]."""
    import h5py

    try:
        with h5py.File(io.BytesIO(path.read_bytes())) as file:
            if _DATASET not in file:
                held = ", ".join(file) or "nothing"
                raise DataError(f"{path} has no dataset '{_DATASET}' (it has: {held})")
            points_xy = np.asarray(file[_DATASET])
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(
            f"cannot read {path} as HDF5: copy or export it again"
        ) from error
    if points_xy.size == 0:
        return np.zeros((0, 2), np.float32)
    if (
        points_xy.ndim != 2
        or points_xy.shape[1] != 2
        or points_xy.dtype.kind not in "iuf"
    ):
        raise DataError(
            f"{path}: '{_DATASET}' is {points_xy.dtype} {points_xy.shape}, not numbers "
            "of shape (N, 2) as x, y"
        )
    return points_from_xy(points_xy)
