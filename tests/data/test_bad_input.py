"""Folders that cannot be used give one line; faults that can be mended are counted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
import pytest
import tifffile

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


def _two_endings(root: Path) -> None:
    for name in ("images/1.png", "images/1.jpg"):
        _image(root, name)
    _text(root)


def _load_all(root: Path) -> None:
    source = open_source(root)
    for image_id in source.image_ids:
        source.load(image_id)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty folder": (lambda _: None, "is empty"),
    "only empty folders": (lambda root: (root / "images").mkdir(), "no known way"),
    "images alone": (_image, "no known way"),
    "annotations alone": (_text, "no known way"),
    "two images of one name": (_two_endings, "1.jpg and"),
    "truncated png": (_truncated_png, "1.png"),
    "truncated tiff": (_truncated_tiff, "1.tif"),
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


@pytest.mark.parametrize("size_hw", [(1, 1), (2000, 20), (20, 2000)])
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
