"""Label images, `labels/ID.tif`: each px has the number of its cell."""

from collections.abc import Iterable, Sequence

from etils.epath import Path
import numpy as np
import tifffile

from cellrec_jax import errors
from cellrec_jax.convert.cells import ImageCells, below

HOLDS = frozenset({"masks"})


def write(
    folder: Path, images: Iterable[ImageCells], class_names: Sequence[str]
) -> None:
    """Writes an image an image, 16 bits where the cells have room."""
    del class_names
    for cells in images:
        if cells.masks is None:
            raise errors.DataError(
                f"{cells.image_id} has no masks: choose another --to"
            )
        fits = len(cells.labels) <= np.iinfo(np.uint16).max
        ids = cells.masks.astype(np.uint16 if fits else np.int32)
        with below(folder, "labels", cells, ".tif").open("wb") as stream:
            tifffile.imwrite(stream, ids, compression="zlib")
