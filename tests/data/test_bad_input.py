"""Folders that cannot be used give one line; faults that can be mended are counted."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
import pytest
import tifffile

from cellrec_jax.data.readers import clean as cleaning
from cellrec_jax.data.readers import open_source
from cellrec_jax.errors import DataError

H, W = 9, 12


def _image(root: Path, name: str = "images/1.png", size_hw: tuple = (H, W)) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 255, (*size_hw, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def _text(root: Path, name: str = "labels/1.csv", text: str = "7,3\n") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _h5(root: Path, key: str) -> None:
    for name in ("positive", "negative"):
        (root / "annotations" / name).mkdir(parents=True)
        with h5py.File(root / "annotations" / name / "1.h5", "w") as file:
            file[key] = np.array([(7, 3)])


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _truncated_png(root: Path) -> None:
    _image(root)
    _text(root)
    _cut(root / "images/1.png")


def _truncated_tiff(root: Path) -> None:
    (root / "images").mkdir()
    tifffile.imwrite(root / "images/1.tif", np.ones((H, W, 3), np.uint8))
    _text(root)
    _cut(root / "images/1.tif")


def _h5_without_coordinates(root: Path) -> None:
    _image(root)
    _h5(root, "points")


def _image_without_annotation(root: Path) -> None:
    _image(root)
    _image(root, "images/2.png")
    _text(root)


def _annotation_without_image(root: Path) -> None:
    _image(root)
    _text(root)
    _text(root, "labels/2.csv")


def _unknown_class(root: Path) -> None:
    _image(root)
    _text(root, text="7,3,5\n")
    _text(root, "label_map.yaml", "0: cell\n")


def _region_of_another_size(root: Path) -> None:
    _image(root)
    _text(root)
    _image(root, "ignore/1.png", (W, H))


def _wrong_mask(root: Path) -> None:
    _image(root)
    _image(root, "dots/1.png", (W, H))


def _load_all(root: Path) -> None:
    source = open_source(root)
    for image_id in source.image_ids:
        source.load(image_id)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty folder": (lambda _: None, "is empty"),
    "only empty folders": (lambda root: (root / "images").mkdir(), "no known way"),
    "images alone": (_image, "no known way"),
    "annotations alone": (_text, "no known way"),
    "image without annotation": (_image_without_annotation, "no annotation for 2"),
    "annotation without image": (_annotation_without_image, "no image for 2"),
    "truncated png": (_truncated_png, "1.png"),
    "truncated tiff": (_truncated_tiff, "1.tif"),
    "h5 without coordinates": (_h5_without_coordinates, "no dataset 'coordinates'"),
    "unknown class": (_unknown_class, "line 1: unknown class '5'"),
    "region of another size": (_region_of_another_size, "12 x 9 px but its image"),
    "dot map of another size": (_wrong_mask, "12 x 9 px but its image"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_one_line_with_the_file(name: str, tmp_path: Path) -> None:
    write, message = REFUSED[name]
    write(tmp_path)
    with pytest.raises(DataError) as error:
        _load_all(tmp_path)
    assert message in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


MENDED = {
    "outside": ("11,9\n12,3\n-1,3\n", cleaning.POINTS_OUTSIDE, 3),
    "y and x swapped is outside": ("3,11\n", cleaning.POINTS_OUTSIDE, 1),
    "no number": ("nan,3\n2,\n", cleaning.POINTS_NAN, 2),
    "duplicated": ("7,3\n7,3\n", cleaning.POINTS_DUPLICATE, 2),
}


@pytest.mark.parametrize("name", MENDED)
def test_repairs_are_counted(name: str, tmp_path: Path) -> None:
    text, repair, count = MENDED[name]
    _image(tmp_path)
    _text(tmp_path, text="7,3\n" + text)
    source = open_source(tmp_path)
    assert source.load("1").points_yx.tolist() == [[3.5, 7.5]]
    assert source.repairs == {repair: count}


@pytest.mark.parametrize("size_hw", [(1, 1), (20000, 200), (200, 20000)])
def test_extreme_sizes_load(size_hw: tuple[int, int], tmp_path: Path) -> None:
    _image(tmp_path, size_hw=size_hw)
    _text(tmp_path, text=f"{size_hw[1] - 1},{size_hw[0] - 1}\n")
    record = open_source(tmp_path).load("1")
    assert record.image.shape == (*size_hw, 3)
    assert record.points_yx.tolist() == [[size_hw[0] - 0.5, size_hw[1] - 0.5]]


def test_mixed_kinds_and_sizes_load(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    grey = np.zeros((H, W), np.uint8)
    Image.fromarray(grey).save(tmp_path / "images/grey.png")
    Image.fromarray(grey[1:]).convert("RGBA").save(tmp_path / "images/rgba.png")
    Image.fromarray(grey).convert("P").save(tmp_path / "images/palette.png")
    Image.fromarray(grey[:, 1:]).convert("CMYK").save(tmp_path / "images/cmyk.jpg")
    tifffile.imwrite(tmp_path / "images/deep.tif", grey.astype(np.uint16))
    ids = ("cmyk", "deep", "grey", "palette", "rgba")
    for image_id in ids:
        _text(tmp_path, f"labels/{image_id}.csv")
    source = open_source(tmp_path)
    assert source.image_ids == ids
    records = [source.load(image_id) for image_id in ids]
    assert [record.image.shape[-1] for record in records] == [3] * 5
    assert [record.image.dtype.itemsize for record in records] == [1, 2, 1, 1, 1]
