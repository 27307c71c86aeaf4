from pathlib import Path

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.readers import instance_masks
from cellrec_jax.errors import DataError


def _write(root: Path, image_id: str, masks: dict[str, np.ndarray]) -> None:
    """An RGBA image, 6 high and 9 wide, and its masks."""
    for folder in ("images", "masks"):
        (root / image_id / folder).mkdir(parents=True)
    image = root / image_id / "images" / f"{image_id}.png"
    Image.new("RGBA", (9, 6), (200, 100, 50, 255)).save(image)
    for name, mask in masks.items():
        pixels = mask.astype(np.uint8) * 255
        Image.fromarray(pixels).save(root / image_id / "masks" / name)


def _block(
    rows: slice, columns: slice, size_hw: tuple[int, int] = (6, 9)
) -> np.ndarray:
    mask = np.zeros(size_hw, bool)
    mask[rows, columns] = True
    return mask


def test_one_mask_a_cell(tmp_path: Path) -> None:
    _write(tmp_path, "b10", {"c.png": _block(slice(0, 1), slice(0, 1))})
    second = _block(slice(4, 6), slice(2, 7))
    _write(
        tmp_path, "b2", {"9.png": _block(slice(0, 2), slice(5, 9)), "10.png": second}
    )
    assert instance_masks.matches(tmp_path)
    source = instance_masks.open_source(tmp_path)
    assert source.image_ids == ("b2", "b10")
    assert source.class_names == ("cell",)
    record = source.load("b2")
    assert record.image.shape == (6, 9, 3)
    np.testing.assert_allclose(record.points_yx, [[1, 7], [5, 4.5]])
    np.testing.assert_array_equal(record.labels, [0, 0])
    assert record.masks is not None
    np.testing.assert_array_equal(record.masks == 2, second)
    assert record.boxes_yxyx is None
    assert not source.repairs


def test_later_masks_win_and_are_counted(tmp_path: Path) -> None:
    masks = {
        "1.png": _block(slice(0, 2), slice(0, 4)),
        "2.png": _block(slice(0, 2), slice(2, 6)),
        "3.png": _block(slice(4, 5), slice(1, 2)),
        "4.png": _block(slice(4, 6), slice(0, 4)),  # hides the third
        "5.png": _block(slice(0, 0), slice(0, 0)),
    }
    _write(tmp_path, "a", masks)
    source = instance_masks.open_source(tmp_path)
    record = source.load("a")
    np.testing.assert_allclose(record.points_yx, [[1, 1], [1, 4], [5, 2]])
    assert record.masks is not None
    assert set(np.unique(record.masks)) == {0, 1, 2, 3}
    assert source.repairs == {
        instance_masks.EMPTY: 1,
        instance_masks.OVERLAPPING: 2,
        instance_masks.HIDDEN: 1,
    }


def test_image_without_cells(tmp_path: Path) -> None:
    _write(tmp_path, "a", {})
    record = instance_masks.open_source(tmp_path).load("a")
    assert record.points_yx.shape == (0, 2)
    assert record.masks is not None
    assert not record.masks.any()


def test_mask_of_another_size(tmp_path: Path) -> None:
    _write(tmp_path, "a", {"1.png": _block(slice(0, 2), slice(0, 2), (9, 6))})
    source = instance_masks.open_source(tmp_path)
    with pytest.raises(DataError, match=r"1\.png is 9 x 6 px but its image is 6 x 9"):
        source.load("a")


def test_folders_that_lack_a_part(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folders ID/images"):
        instance_masks.open_source(tmp_path)
    _write(tmp_path, "a", {"1.png": _block(slice(0, 2), slice(0, 2))})
    (tmp_path / "b" / "images").mkdir(parents=True)
    with pytest.raises(DataError, match=r"2 images but 1 .*no annotation for b"):
        instance_masks.open_source(tmp_path)
    (tmp_path / "b" / "masks").mkdir()
    with pytest.raises(DataError, match="holds 0 images"):
        instance_masks.open_source(tmp_path)
