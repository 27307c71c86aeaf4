from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellrec_jax.data.readers import cell_tracking, label_images, open_source
from cellrec_jax.errors import DataError

_MARKERS = np.zeros((6, 9), np.uint16)
_MARKERS[1, 2:5] = 4
_MARKERS[4, 7] = 2
_OUTLINES = np.zeros((6, 9), np.uint16)
_OUTLINES[0:3, 1:6] = 300
_OUTLINES[3:6, 5:9] = 9
_OUTLINES[5, 0:2] = 1  # no marker in it


def _write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels)
    return path


def _write_frame(root: Path, name: str, dtype: type = np.uint8) -> None:
    _write(root / f"{name}.tif", np.arange(54).reshape(6, 9).astype(dtype))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Frame 01/t000 with all three truths."""
    _write_frame(tmp_path, "01/t000")
    _write(tmp_path / "01_GT/TRA/man_track000.tif", _MARKERS)
    _write(tmp_path / "01_GT/SEG/man_seg000.tif", _OUTLINES)
    _write(tmp_path / "01_ST/SEG/man_seg000.tif", _OUTLINES)
    (tmp_path / "01_GT/TRA/man_track.txt").write_text("2 0 0 0\n4 0 0 0\n")
    return tmp_path


def test_points_of_markers_and_masks_of_outlines(root: Path) -> None:
    source = open_source(root)
    assert source.format == "cell_tracking"
    assert source.class_names == ("cell",)
    assert source.image_ids == ("01/t000",)
    assert source.groups == {"01/t000": "01"}
    record = source.load("01/t000")
    assert record.group == "01"
    assert record.image.shape == (6, 9, 3)
    assert record.points_yx.tolist() == [[4.5, 7.5], [1.5, 3.5]]  # ids 2, 4
    assert record.labels.tolist() == [0, 0]
    expected = np.select([_OUTLINES == 9, _OUTLINES == 300], [1, 2])
    np.testing.assert_array_equal(record.masks, expected)
    assert record.masks.dtype == np.int32
    assert not source.repairs


def test_data_sets_in_a_folder_and_four_digits(tmp_path: Path) -> None:
    for number in ("0000", "1760", "0200"):
        _write_frame(tmp_path, f"BF-C2DL-HSC/02/t{number}", np.uint16)
        _write(tmp_path / f"BF-C2DL-HSC/02_GT/TRA/man_track{number}.tif", _MARKERS)
    source = open_source(tmp_path)
    assert source.image_ids == tuple(
        f"BF-C2DL-HSC/02/t{number}" for number in ("0000", "0200", "1760")
    )
    assert set(source.groups.values()) == {"BF-C2DL-HSC/02"}
    record = source.load("BF-C2DL-HSC/02/t1760")
    assert record.image.dtype == np.uint16
    assert record.masks is None
    assert open_source(tmp_path / "BF-C2DL-HSC").image_ids[0] == "02/t0000"


def test_which_truth_is_read(root: Path) -> None:
    """Markers, else silver, else gold; here the silver truth has only one cell."""
    _write(root / "01_ST/SEG/man_seg000.tif", np.where(_OUTLINES == 9, 5, 0))
    source = open_source(root)
    assert len(source.load("01/t000").points_yx) == 2
    (root / "01_GT/TRA/man_track000.tif").unlink()
    record = open_source(root).load("01/t000")
    assert record.points_yx.tolist() == [[4.5, 7.0]]
    assert record.masks.max() == 1
    (root / "01_ST/SEG/man_seg000.tif").unlink()
    record = open_source(root).load("01/t000")
    assert record.points_yx.tolist() == [[5.5, 1.0], [4.5, 7.0], [1.5, 3.5]]


@pytest.mark.parametrize(
    "outlines",
    [np.where(_OUTLINES == 9, 0, _OUTLINES), np.full_like(_OUTLINES, 3)],
    ids=["a marker outside", "two markers in one"],
)
def test_outlines_that_miss_cells_are_no_masks(
    root: Path, outlines: np.ndarray
) -> None:
    _write(root / "01_GT/SEG/man_seg000.tif", outlines)
    assert open_source(root).load("01/t000").masks.max() == 2  # the silver ones
    (root / "01_ST/SEG/man_seg000.tif").unlink()
    record = open_source(root).load("01/t000")
    assert record.masks is None
    assert len(record.points_yx) == 2


def test_frames_without_truths_are_left_out(root: Path) -> None:
    for name in ("01/t001", "01/t002", "02/t000"):
        _write_frame(root, name)
    source = open_source(root)
    assert source.image_ids == ("01/t000",)
    assert source.repairs == {cell_tracking.LEFT_OUT: 3}


def test_frames_without_cells_and_ids_in_parts(root: Path) -> None:
    _write_frame(root, "01/t001", np.uint16)
    _write(root / "01_GT/TRA/man_track001.tif", np.zeros_like(_MARKERS))
    parts = _MARKERS.copy()
    parts[4, 0] = 4
    _write(root / "01_GT/TRA/man_track000.tif", parts)
    source = open_source(root)
    assert source.load("01/t001").points_yx.shape == (0, 2)
    assert source.load("01/t000").points_yx.tolist() == [[4.5, 7.5], [1.5, 3.5]]
    assert source.repairs == {label_images.SEVERAL_PARTS: 1}


@pytest.mark.parametrize(
    ("name", "pixels", "message"),
    [
        ("01/t000", np.zeros((5, 6, 9), np.uint8), r"t000\.tif is a stack of 5 planes"),
        (
            "01_GT/TRA/man_track000",
            _MARKERS.T,
            r"man_track000\.tif is 9 x 6 px but its image is 6 x 9",
        ),
        ("01_GT/TRA/man_track000", _MARKERS.astype(np.float32), "no label image"),
        ("01_GT/TRA/man_track000", None, r"cannot read .*man_track000\.tif"),
    ],
)
def test_unusable_files(
    root: Path, name: str, pixels: np.ndarray | None, message: str
) -> None:
    path = root / f"{name}.tif"
    if pixels is None:
        path.write_bytes(b"no image")
    else:
        _write(path, pixels)
    with pytest.raises(DataError, match=message) as error:
        open_source(root).load("01/t000")
    assert "\n" not in str(error.value)


def test_files_that_do_not_pair(root: Path) -> None:
    _write(root / "01_GT/TRA/man_track005.tif", _MARKERS)
    with pytest.raises(DataError, match=r"1 annotation files .*man_track005\.tif"):
        open_source(root)
    with pytest.raises(DataError, match=r"no frames such as 01/t000\.tif"):
        cell_tracking.open_source(root / "01")
