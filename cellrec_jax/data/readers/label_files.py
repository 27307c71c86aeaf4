"""Files of label images: PNG, TIFF and BMP as stored, and arrays without pickle."""

from etils.epath import Path
import numpy as np
from PIL import Image

from cellrec_jax.data.pixels import images, tiff
from cellrec_jax.data.readers import frames
from cellrec_jax.errors import DataError

ENDINGS = (".png", ".tif", ".tiff", ".bmp", ".npy")
IGNORED = -1
"""The id of px to leave out, of files of signed numbers."""


def load_ids(
    file: Path, size_hw: tuple[int, ...], *, may_ignore: bool = False
) -> np.ndarray:
    """Ids [H, W] >= 0 as stored, or `IGNORED` where allowed; else a `DataError`."""
    ids = _load(file)
    if ids.ndim != 2 or ids.dtype.kind not in "uib":
        raise DataError(
            f"{file} is no label image (shape {ids.shape}, {ids.dtype}): save one grey "
            "channel of whole numbers"
        )
    if ids.min(initial=0) < (IGNORED if may_ignore else 0):
        raise DataError(f"{file} has negative ids: number the cells from 1")
    if ids.shape != tuple(size_hw):
        raise DataError(
            f"{file} is {ids.shape[0]} x {ids.shape[1]} px but its image is "
            f"{size_hw[0]} x {size_hw[1]}: export it again"
        )
    return ids


def stated(file: Path, image: Path) -> frames.Stated | None:
    """As `frames.of_mask`, of arrays too."""
    if file.suffix.lower() != ".npy":
        return frames.of_mask(file, image)
    said = images.sizes(image)
    shape = _load(file).shape
    if said.stored_hw == said.shown_hw or len(shape) != 2:
        return None
    return frames.Stated(str(file), (shape[0], shape[1]))


def _load(file: Path) -> np.ndarray:
    try:
        ending = file.suffix.lower()
        if ending in (".tif", ".tiff"):
            ids = _load_tiff(file)
            tiff.check_one_plane(file)
            return ids
        with file.open("rb") as stream:
            if ending == ".npy":
                return np.squeeze(np.lib.format.read_array(stream, allow_pickle=False))
            with Image.open(stream) as image:
                return np.asarray(image)
    except DataError:
        raise
    # Decoders raise every kind of error on damaged files.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"cannot read {file}: {reason}; export it again") from error


def _load_tiff(file: Path) -> np.ndarray:
    with tiff.opened(file) as opened:
        page = opened.pages.first
        # tifffile takes what lies behind the end of a truncated file for zeros.
        ends = np.add(page.dataoffsets, page.databytecounts)
        if ends.max() > opened.filehandle.size:
            raise ValueError("the file is truncated")
        return np.squeeze(page.asarray())
