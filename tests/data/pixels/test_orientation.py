from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
import pytest
import tifffile

from cellrec_jax.data.pixels import images, orientation

STORED_HW = (3, 5)
STORED = np.arange(45, dtype=np.uint8).reshape(*STORED_HW, 3) * 5


def _write(folder: Path, ending: str, value: int) -> Path:
    path = folder / f"a{ending}"
    if ending == ".tif":
        extra = [(orientation.TAG, "H", 1, value, True)]
        tifffile.imwrite(path, STORED, photometric="rgb", extratags=extra)
        return path
    image = Image.fromarray(STORED)
    exif = image.getexif()
    exif[orientation.TAG] = value
    image.save(path, exif=exif, lossless=True)
    return path


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("ending", [".png", ".webp", ".tif"])
def test_pixels_and_points_are_turned_as_viewers_do(
    ending: str, value: int, tmp_path: Path
) -> None:
    path = _write(tmp_path, ending, value)
    reference = Image.fromarray(STORED)
    reference.getexif()[orientation.TAG] = value
    expected = np.asarray(ImageOps.exif_transpose(reference))
    shown = images.load_image(path)
    np.testing.assert_array_equal(shown, expected)
    sizes = images.sizes(path)
    assert sizes == (STORED_HW, expected.shape[:2], value)
    # Every pixel keeps its colour, every box of one pixel its pixel.
    rows, columns = np.mgrid[:3, :5].reshape(2, -1)
    centers = np.stack([rows, columns], axis=-1) + 0.5
    turned = orientation.turn_points(centers, STORED_HW, value)
    at = np.floor(turned).astype(int)
    np.testing.assert_array_equal(shown[at[:, 0], at[:, 1]], STORED[rows, columns])
    boxes = np.concatenate([centers - 0.5, centers + 0.5], axis=1)
    turned_boxes = orientation.turn_boxes(boxes, STORED_HW, value)
    np.testing.assert_array_equal(turned_boxes, np.hstack([at, at + 1]))


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_is_none_changes_nothing(
    value: int, tmp_path: Path
) -> None:
    path = _write(tmp_path, ".tif", value)
    np.testing.assert_array_equal(images.load_image(path), STORED)
    assert images.sizes(path).orientation == 1
