"""Masks, classes and smeared images that look like label images or dot maps."""

from pathlib import Path

import numpy as np
from PIL import Image
import pytest
import tifffile

from cellrec_jax.data.readers import open_source
from cellrec_jax.errors import DataError

DISC = np.hypot(*(np.mgrid[:12, :12] - 5.5)) < 4.5


def _discs(values: list[int], dtype: type = np.uint8) -> np.ndarray:
    """One disc of each value in a row, 12 px apart."""
    return np.concatenate([DISC * dtype(value) for value in values], axis=1)


def _resized(ids: np.ndarray, how: Image.Resampling) -> np.ndarray:
    size = (ids.shape[1] * 3 // 2, ids.shape[0] * 3 // 2)
    return np.rint(np.asarray(Image.fromarray(ids * 1.0).resize(size, how)))


def _write(root: Path, folder: str, pixels: np.ndarray, ending: str = "tif") -> None:
    for name in ("images", folder):
        (root / name).mkdir()
    Image.new("L", pixels.shape[::-1]).save(root / "images/a.png")
    if ending == "tif":
        tifffile.imwrite(root / folder / "a.tif", pixels)
    else:
        Image.fromarray(pixels).save(root / folder / f"a.{ending}")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (_discs([1, 2] * 5), "2 ids in 10 parts: ids are classes"),
        (_discs([1] * 5), "single id in 5 parts"),
        (_discs([255, 255]), "a mask of 0 and 255"),
        (_discs([65535] * 2, np.uint16), "a mask of 0 and 65535"),
        (_discs([255, 255]) > 0, "a mask of 0 and 1"),
        (
            _resized(_discs([40, 80, 120]), Image.Resampling.BILINEAR).astype(np.uint8),
            "resampled",
        ),
        (
            _resized(_discs([400, 800], np.uint16), Image.Resampling.BICUBIC)
            .clip(0)
            .astype(np.uint16),
            "resampled",
        ),
    ],
)
def test_no_label_images(ids: np.ndarray, message: str, tmp_path: Path) -> None:
    _write(tmp_path, "labels", ids)
    with pytest.raises(DataError, match=rf"a\.tif.*{message}"):
        open_source(tmp_path).load("a")


@pytest.mark.parametrize(
    ("ids", "number"),
    [
        (_discs([1, 2, 3]), 3),
        (_discs([255]), 1),  # one cell, or one of a crop
        (_discs([255]) > 0, 1),
        (_discs([3, 3]), 1),
        (_discs([1, 2, 2, 3, 3, 3]), 3),
        (_resized(_discs([40, 80, 120]), Image.Resampling.NEAREST).astype(np.uint8), 3),
        (np.arange(1, 401, dtype=np.uint16).reshape(20, 20), 400),
    ],
)
def test_label_images_pass(ids: np.ndarray, number: int, tmp_path: Path) -> None:
    if ids.size == 400:
        ids = np.kron(ids, np.ones((3, 3), np.uint16))  # cells of 3 px that all touch
    _write(tmp_path, "labels", ids)
    assert len(open_source(tmp_path).load("a").labels) == number


def test_masks_of_single_cells_hold_one_cell(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / "a" / name).mkdir(parents=True)
    pixels = _discs([255] * 5)
    Image.new("L", pixels.shape[::-1]).save(tmp_path / "a/images/a.png")
    Image.fromarray(pixels).save(tmp_path / "a/masks/all.png")
    with pytest.raises(DataError, match="single id in 5 parts"):
        open_source(tmp_path).load("a")


def _dots() -> np.ndarray:
    dots = np.zeros((40, 60), np.uint8)
    dots[5::9, 4::11] = 255
    return dots


def _as_jpeg(pixels: np.ndarray, folder: Path) -> np.ndarray:
    Image.fromarray(pixels).save(folder / "dots.jpg", quality=80)
    return np.asarray(Image.open(folder / "dots.jpg"))


@pytest.mark.parametrize(
    "how", [Image.Resampling.BILINEAR, Image.Resampling.LANCZOS, "jpeg"]
)
def test_smeared_dot_maps(how: object, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    if how == "jpeg":
        smeared = _as_jpeg(_dots(), tmp_path / "work")
    else:
        smeared = _resized(_dots(), how).clip(0, 255).astype(np.uint8)
    (tmp_path / "set").mkdir()
    _write(tmp_path / "set", "dots", smeared)
    with pytest.raises(DataError, match=r"a\.tif has dots that fade out"):
        open_source(tmp_path / "set").load("a")


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("classes", [False, True])
def test_sharp_dot_maps_pass(scale: int, classes: bool, tmp_path: Path) -> None:
    dots = np.kron(_dots(), np.ones((scale, scale), np.uint8))
    if classes:
        dots[dots > 0] = np.where(np.argwhere(dots)[:, 0] < 20 * scale, 1, 3)
    _write(tmp_path, "dots", dots)
    assert len(open_source(tmp_path).load("a").labels) == 4 * 6


@pytest.mark.parametrize("folder", ["dots", "labels", "masks"])
def test_jpeg_annotations_are_named(folder: str, tmp_path: Path) -> None:
    _write(tmp_path, folder, _discs([1, 2]), "jpg")
    with pytest.raises(DataError, match=r"a\.jpg: JPEG changes"):
        open_source(tmp_path)
