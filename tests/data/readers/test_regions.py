from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.pixels.images import Sizes
from cellrec_jax.data.readers.regions import (
    attach_regions,
    find_regions,
    ignore_boxes,
)
from cellrec_jax.data.record import Record
from cellrec_jax.errors import DataError

H, W = 4, 6


def _record(image_id: str, **more: np.ndarray) -> Record:
    image = np.zeros((H, W, 3), np.uint8)
    return Record(image_id, image, np.zeros((0, 2)), np.zeros(0, np.int32), **more)


def _write(path: Path, region: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(region * np.uint8(255)).save(path)


def _half() -> np.ndarray:
    return np.broadcast_to(np.arange(W) < 2, (H, W))


def _attach(record: Record, root: Path) -> Record:
    regions = find_regions(root, [record.image_id])
    return attach_regions(record, regions, Sizes((H, W), (H, W), 1), Counter())


def test_without_masks_nothing_changes(tmp_path: Path) -> None:
    record = _attach(_record("12"), tmp_path)
    assert record.annotated is None
    assert record.ignore is None


@pytest.mark.parametrize(
    ("image_id", "place"),
    [
        ("12", "annotated/12.png"),
        ("12", "annotated/12.PNG"),
        ("12", "annotated/12.tif"),
        ("12", "annotated/12.bmp"),
        ("12", "annotated/12.jpg"),
        ("a.b", "annotated/a.b.png"),
        ("gr\u00f6\u00dfe", "annotated/gro\u0308\u00dfe.png"),
        ("train/12", "annotated/train/12.png"),
        ("train/12", "train/annotated/12.png"),
        ("train/s/12", "train/annotated/s/12.png"),
    ],
)
def test_masks_beside_the_images_are_attached(
    image_id: str, place: str, tmp_path: Path
) -> None:
    _write(tmp_path / place, _half())
    _write(tmp_path / place.replace("annotated", "ignore"), ~_half())
    record = _attach(_record(image_id), tmp_path)
    assert record.annotated is not None
    assert record.ignore is not None
    np.testing.assert_array_equal(record.annotated, _half())
    np.testing.assert_array_equal(record.ignore, ~_half())


def test_regions_of_the_reader_stay(tmp_path: Path) -> None:
    rows = np.broadcast_to(np.arange(H)[:, None] < 1, (H, W))
    _write(tmp_path / "annotated/12.png", _half())
    _write(tmp_path / "ignore/12.png", _half())
    record = _attach(_record("12", annotated=rows, ignore=rows), tmp_path)
    np.testing.assert_array_equal(record.annotated, rows & _half())
    np.testing.assert_array_equal(record.ignore, rows | _half())


def test_other_sizes_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "ignore/12.png", _half().T)
    with pytest.raises(DataError, match=r"12\.png is 6 x 4 px but its image is 4 x 6"):
        _attach(_record("12"), tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["ignore/13.png"], "ignore/13.png is of no image"),
        (["train/annotated/12.tif"], "12.tif is of no image"),
        (["ignore/12.png", "ignore/12.tif"], "same id"),
    ],
)
def test_orphans_and_doubles_are_refused(
    names: list[str], message: str, tmp_path: Path
) -> None:
    for name in names:
        _write(tmp_path / name, _half())
    with pytest.raises(DataError, match=message):
        find_regions(tmp_path, ["12"])


def test_every_touched_pixel_is_ignored_even_by_inverted_boxes() -> None:
    boxes = np.array([[0.5, 1.0, 2.0, 2.2], [1.0, 4.5, -9.0, 99.0]])
    ignore = ignore_boxes(boxes, (3, 6))
    assert ignore is not None
    np.testing.assert_array_equal(
        ignore.astype(int), [[0, 1, 1, 0, 1, 1], [0, 1, 1, 0, 0, 0], [0] * 6]
    )


def test_no_box_ignores_nothing() -> None:
    assert ignore_boxes(np.zeros((0, 4)), (3, 6)) is None
