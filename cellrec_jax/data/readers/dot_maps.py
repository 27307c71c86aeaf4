"""Dot maps: `source/K.png` (or `images`) with `annotations/K.png` (or `dots`).

Images of the same size, not 0 at cells; 8-connected pixels are one dot. One class,
'cell'. Kainz et al., You Should Use Regression to Detect Cells, MICCAI 2015.
"""

from collections import Counter

from etils.epath import Path
import numpy as np
from scipy import ndimage

from cellrec_jax import geometry
from cellrec_jax.data.pixels.images import load_image, load_mask
from cellrec_jax.data.readers import frames, ocelot
from cellrec_jax.data.readers.folder import folder_source
from cellrec_jax.data.readers.label_checks import refuse_lossy
from cellrec_jax.data.readers.layout import find_pairs, has_images, holds
from cellrec_jax.data.record import Record, Source
from cellrec_jax.errors import DataError

NAME = "dot_maps"
CLASS_NAMES = ("cell",)
MAX_DOT_PX = 400
"""Larger connected areas are taken for masks of cells, which others read."""
MERGED_DOTS = "dots of several connected pixels counted once"

_IMAGE_FOLDERS = ("source", "images")
_FOLDERS = ("annotations", "dots")
_ENDINGS = (".png", ".bmp", ".tif", ".tiff")
_LOSSY_ENDINGS = (".jpg", ".jpeg")


def matches(root: Path) -> bool:
    """Whether there are images, and images in a folder of dot maps."""
    # JPEG maps are refused, so that whoever has them is told.
    found = holds(root, _FOLDERS, _ENDINGS) or holds(root, ["dots"], _LOSSY_ENDINGS)
    return found and has_images(root, _IMAGE_FOLDERS) and not ocelot.matches(root)


def open_source(root: Path) -> Source:
    """Opens a folder of images with dot maps."""
    root = Path(root)
    lossless = holds(root, _FOLDERS, _ENDINGS)
    endings = _ENDINGS if lossless else _LOSSY_ENDINGS
    pairs = find_pairs(root, _IMAGE_FOLDERS, _FOLDERS, endings)
    refuse_lossy(pairs.annotations.values(), _LOSSY_ENDINGS, "dots")

    def stated(image_id: str) -> frames.Stated | None:
        return frames.of_mask(pairs.annotations[image_id], pairs.images[image_id])

    def read(image_id: str, image: np.ndarray, repairs: Counter[str]) -> Record:
        path = pairs.annotations[image_id]
        dots = load_mask(path)
        if dots.shape != image.shape[:2]:
            raise DataError(
                f"{path} is {dots.shape[0]} x {dots.shape[1]} px but its image is "
                f"{image.shape[0]} x {image.shape[1]}: export it at the image's size"
            )
        points_yx, merged = find_dots(dots, path)
        places = {}
        if merged.any():
            repairs[MERGED_DOTS] += int(merged.sum())
            places[MERGED_DOTS] = np.tile(points_yx[merged], 2)
            _check_values(path)
        labels = np.zeros(len(points_yx), np.int32)
        return Record(image_id, image, points_yx, labels, repaired=places)

    return folder_source(
        NAME, CLASS_NAMES, pairs.images, pairs.files_of, read, root, stated=stated
    )


def find_dots(dots: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Centroids f32 [N, 2] of dots in bool [H, W]; which exceed a pixel, bool [N]."""
    parts, count = ndimage.label(dots, structure=np.ones((3, 3)))
    rows, columns = np.nonzero(parts)
    ids = parts[rows, columns] - 1
    areas = np.bincount(ids, minlength=count)
    if areas.max(initial=0) > MAX_DOT_PX:
        raise DataError(
            f"{path} has a dot of {areas.max()} px: a dot map has about one pixel a "
            "cell; for masks use data.format=label_images or instance_masks"
        )
    sums = [np.bincount(ids, axis, minlength=count) for axis in (rows, columns)]
    centers_yx = np.stack(sums, 1) / np.maximum(areas, 1)[:, None]
    points_yx = geometry.pixel_to_point(centers_yx).astype(np.float32)
    return points_yx, areas > 1


def _check_values(path: Path) -> None:
    """`DataError` for a map whose dots fade out, as after JPEG or resampling."""
    values = load_image(path, channels=1)[..., 0]
    dots = load_mask(path)
    parts, count = ndimage.label(dots, structure=np.ones((3, 3)))
    numbers = np.arange(1, count + 1)
    highest = ndimage.maximum(values, parts, numbers)
    lowest = ndimage.minimum(values, parts, numbers)
    num_bright = np.count_nonzero(dots & (values >= values[dots].max() / 2))
    if (highest > lowest).any() and num_bright < dots.sum() / 2:
        raise DataError(
            f"{path} has dots that fade out: it was resampled, or saved as JPEG; "
            "export it anew, each dot one pixel of one value"
        )
