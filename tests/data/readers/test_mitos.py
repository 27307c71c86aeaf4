from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellrec_jax.data.readers import mitos
from cellrec_jax.data.readers.clean import POINTS_DUPLICATE
from cellrec_jax.errors import DataError


def _write(slide: Path, stem: str, mitosis: str, not_mitosis: str = "") -> None:
    """A frame, 12 high and 20 wide, with both of its tables."""
    for folder in ("frames/x40", "mitosis"):
        (slide / folder).mkdir(parents=True, exist_ok=True)
    image = np.full((12, 20, 3), 200, np.uint8)
    tifffile.imwrite(slide / "frames" / "x40" / f"{stem}.tiff", image)
    (slide / "mitosis" / f"{stem}_mitosis.csv").write_text(mitosis)
    (slide / "mitosis" / f"{stem}_not_mitosis.csv").write_text(not_mitosis)


def test_mitoses_of_both_scanners(tmp_path: Path) -> None:
    hamamatsu = tmp_path / "training" / "Hamamatsu"
    _write(hamamatsu / "H03", "H03_10Ba", "7,3,1.0\n5, 6, 0.5\n2,2,0.49\n", "9,9,.2")
    _write(hamamatsu / "H03", "H03_02Ba", "")
    _write(tmp_path / "training" / "Aperio" / "A03" / "A03", "A03_00Aa", "19,11\r\n")
    source = mitos.open_source(tmp_path)
    assert source.class_names == ("mitosis",)
    assert source.image_ids == ("A03/A03_00Aa", "H03/H03_02Ba", "H03/H03_10Ba")
    assert set(source.groups.values()) == {"03"}
    record = source.load("H03/H03_10Ba")
    np.testing.assert_allclose(record.points_yx, [[3.5, 7.5], [6.5, 5.5]])
    np.testing.assert_array_equal(record.labels, [0, 0])
    assert record.image.shape == (12, 20, 3)
    assert record.group == "03"
    assert record.mpp == 0.2274
    assert source.load("H03/H03_02Ba").points_yx.shape == (0, 2)
    aperio = source.load("A03/A03_00Aa")
    np.testing.assert_allclose(aperio.points_yx, [[11.5, 19.5]])
    assert aperio.mpp == 0.2455
    assert not source.repairs


@pytest.mark.parametrize("below", ["", "Hamamatsu", "Hamamatsu/H03"])
def test_one_scanner_by_its_folder(below: str, tmp_path: Path) -> None:
    _write(tmp_path / "Hamamatsu" / "H03", "H03_00Aa", "1,2,1")
    root = tmp_path / below
    assert mitos.matches(root)
    assert mitos.open_source(root).image_ids == ("H03/H03_00Aa",)


def test_not_mitosis_as_second_class(tmp_path: Path) -> None:
    _write(tmp_path / "A04", "A04_00Aa", "7,3,1\n2,2,0.3\n", "9,9,0.2\n8,4,0.7\n7,3,0")
    source = mitos.open_source(tmp_path, not_mitosis=True)
    assert source.class_names == ("mitosis", "not_mitosis")
    record = source.load("A04/A04_00Aa")
    np.testing.assert_allclose(
        record.points_yx, [[3.5, 7.5], [2.5, 2.5], [9.5, 9.5], [4.5, 8.5]]
    )
    np.testing.assert_array_equal(record.labels, [0, 1, 1, 1])


def test_duplicates_take_the_highest_confidence(tmp_path: Path) -> None:
    _write(tmp_path / "A04", "A04_00Aa", "7,3,0.2\n7,3,0.8\n7,3,0.8\n")
    source = mitos.open_source(tmp_path)
    assert len(source.load("A04/A04_00Aa").points_yx) == 1
    assert source.repairs == {POINTS_DUPLICATE: 2}


def test_doubled_folder_with_tables_outside(tmp_path: Path) -> None:
    _write(tmp_path / "A03" / "A03", "A03_00Aa", "1,2,1")
    (tmp_path / "A03" / "A03" / "mitosis").rename(tmp_path / "A03" / "mitosis")
    assert len(mitos.open_source(tmp_path).load("A03/A03_00Aa").labels) == 1


@pytest.mark.parametrize("row", ["x,y,1", "1;2;1"])
def test_rows_that_are_no_numbers(row: str, tmp_path: Path) -> None:
    _write(tmp_path / "A03", "A03_00Aa", f"5,6,1\n{row}\n")
    source = mitos.open_source(tmp_path)
    with pytest.raises(DataError, match=r"A03_00Aa_mitosis\.csv, line 2"):
        source.load("A03/A03_00Aa")


def test_lone_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no frames"):
        mitos.open_source(tmp_path)
    for stem in ("A03_00Aa", "A03_00Ab"):
        _write(tmp_path / "A03", stem, "1,2,1")
    (tmp_path / "A03" / "mitosis" / "A03_00Ab_mitosis.csv").unlink()
    with pytest.raises(DataError, match=r"2 images but 1 .*for A03/A03_00Ab"):
        mitos.open_source(tmp_path)


def test_one_frame_in_two_places(tmp_path: Path) -> None:
    for folder in ("training", "test"):
        _write(tmp_path / folder / "A03", "A03_00Aa", "1,2,1")
    with pytest.raises(DataError, match="two files for 'A03/A03_00Aa'"):
        mitos.open_source(tmp_path)
