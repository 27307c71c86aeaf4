from pathlib import Path

import h5py
import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.readers import bcdata
from cellrec_jax.errors import DataError

H, W = 9, 12


def _write_image(root: Path, name: str) -> None:
    path = root / "images" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((H, W, 3), 200, np.uint8)).save(path)


def _write_points(
    root: Path, name: str, points: object, key: str = "coordinates"
) -> None:
    path = root / "annotations" / f"{name}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file[key] = points


def test_points_are_half_pixel_yx(tmp_path: Path) -> None:
    for name in ("10", "2"):
        _write_image(tmp_path, name)
        _write_points(tmp_path, f"positive/{name}", np.array([(11, 3), (0, 8)]))
        _write_points(tmp_path, f"negative/{name}", np.array([(5, 1)]))
    assert bcdata.matches(tmp_path)
    source = bcdata.open_source(tmp_path)
    assert source.class_names == ("positive", "negative")
    assert source.image_ids == ("2", "10")
    record = source.load("2")
    assert record.image_id == "2"
    assert record.image.shape == (H, W, 3)
    assert record.points_yx.tolist() == [[3.5, 11.5], [8.5, 0.5], [1.5, 5.5]]
    assert record.labels.tolist() == [0, 0, 1]
    assert not source.repairs


@pytest.mark.parametrize("place", ["train/positive", "positive/train"])
def test_splits_are_part_of_the_id(place: str, tmp_path: Path) -> None:
    _write_image(tmp_path, "train/1")
    _write_points(tmp_path, f"{place}/1", np.array([(11, 3)]))
    _write_points(tmp_path, f"{place}/1".replace("posi", "nega"), np.array([(11, 4)]))
    source = bcdata.open_source(tmp_path)
    assert source.image_ids == ("train/1",)
    assert source.load("train/1").points_yx.tolist() == [[3.5, 11.5], [4.5, 11.5]]


@pytest.mark.parametrize("shape", [(0, 2), (0,)])
def test_empty_datasets_mean_no_cells(shape: tuple, tmp_path: Path) -> None:
    _write_image(tmp_path, "1")
    for name in ("positive/1", "negative/1"):
        _write_points(tmp_path, name, np.zeros(shape, np.int64))
    record = bcdata.open_source(tmp_path).load("1")
    assert record.points_yx.shape == (0, 2)
    assert record.labels.shape == (0,)


@pytest.mark.parametrize(
    ("points", "key", "message"),
    [
        (np.array([(1, 2)]), "points", r"no dataset 'coordinates' \(it has: points\)"),
        (np.array([1, 2, 3]), "coordinates", r"not numbers of shape \(N, 2\)"),
    ],
)
def test_other_datasets_are_refused(
    points: np.ndarray, key: str, message: str, tmp_path: Path
) -> None:
    _write_image(tmp_path, "1")
    _write_points(tmp_path, "positive/1", np.array([(1, 2)]))
    _write_points(tmp_path, "negative/1", points, key)
    with pytest.raises(DataError, match=message) as error:
        bcdata.open_source(tmp_path).load("1")
    assert str(tmp_path / "annotations/negative/1.h5") in str(error.value)


def test_a_damaged_file(tmp_path: Path) -> None:
    _write_image(tmp_path, "1")
    for name in ("positive/1", "negative/1"):
        _write_points(tmp_path, name, np.array([(1, 2)]))
    (tmp_path / "annotations/negative/1.h5").write_bytes(b"not HDF5")
    with pytest.raises(DataError, match=r"negative.1\.h5 as HDF5"):
        bcdata.open_source(tmp_path).load("1")


def test_one_class_file_missing(tmp_path: Path) -> None:
    _write_image(tmp_path, "1")
    _write_points(tmp_path, "negative/1", np.array([(1, 2)]))
    with pytest.raises(DataError, match=r"1 of 1 .*\(negative\) has no positive file"):
        bcdata.open_source(tmp_path)


def test_other_layouts_do_not_match(tmp_path: Path) -> None:
    _write_image(tmp_path, "1")
    assert not bcdata.matches(tmp_path)
    _write_points(tmp_path, "1", np.array([(1, 2)]))
    assert not bcdata.matches(tmp_path)
