"""Tables of many images: which columns, which unit, which rows are cells."""

from pathlib import Path

import numpy as np
import pytest

from cellrec_jax.data.annotations import table
from cellrec_jax.errors import DataError


def _write(folder: Path, text: str) -> Path:
    (folder / "t.csv").write_text(text, encoding="utf-8")
    return folder / "t.csv"


def test_what_predictions_are(tmp_path: Path) -> None:
    text = (
        "image,x,y,score,class,kept\n"
        "a.png,7,3,0.25,T,1\n"
        'b/c.png,1.5,2,0.5,"S, 2",1\n'
        "a.png,30,20,0.75,'=1,0\n"
    )
    read = table.parse(_write(tmp_path, text))
    assert not read.in_um
    assert list(read.images) == ["a.png", "b/c.png"]
    cells = read.images["a.png"]
    assert cells.points_yx.tolist() == [[3, 7], [20, 30]]  # continuous, as written
    assert cells.scores.tolist() == [0.25, 0.75]
    assert cells.names == ("T", "=1")
    assert read.images["b/c.png"].names == ("S, 2",)


@pytest.mark.parametrize("unit", ["µm", "\u03bcm", "um"])
def test_measurements_of_qupath(unit: str, tmp_path: Path) -> None:
    text = (
        f"Image\tObject type\tName\tClassification\tROI\tCentroid X {unit}\t"
        f"Centroid Y {unit}\tNucleus: Area {unit}^2\tDetection probability\n"
        "a.tif\tDetection\t\tTumor: Positive\tPolygon\t10.5\t20\t30\t0.5\n"
        "a.tif\tAnnotation\t\tRegion\tRectangle\t100\t200\t9e4\t\n"
        "a.tif\tCell\t\t\tPolygon\t4\t5\t\tNaN\n"
    )
    read = table.parse(_write(tmp_path, text))
    assert read.in_um
    cells = read.images["a.tif"]
    assert cells.points_yx.tolist() == [[20, 10.5], [5, 4]]
    assert cells.names == ("Tumor: Positive", "")
    np.testing.assert_array_equal(cells.scores, [0.5, np.nan])


def test_decimal_commas(tmp_path: Path) -> None:
    text = "Image;Centroid X px;Centroid Y px;Class\na.tif;10,25;1234,5;2,5\n"
    cells = table.parse(_write(tmp_path, text)).images["a.tif"]
    assert cells.points_yx.tolist() == [[1234.5, 10.25]]
    quoted = 'image,x,y\na.tif,"1,234",5\n'  # perhaps of thousands
    with pytest.raises(DataError, match="'1,234' is not a number"):
        table.parse(_write(tmp_path, quoted))


def test_rows_of_several_points_are_refused(tmp_path: Path) -> None:
    head = "Image\tClass\tROI\tCentroid X px\tCentroid Y px\tNum points\n"
    row = "a.tif\tT\tPoints\t10.5\t20\t{}\n"
    read = table.parse(_write(tmp_path, head + row.format(1) + row.format("")))
    assert read.images["a.tif"].points_yx.tolist() == [[20, 10.5]] * 2
    with pytest.raises(DataError, match="line 2: 12 points"):
        table.parse(_write(tmp_path, head + row.format(12)))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_tables_are_told_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    text = "Image\tCentroid X µm\tCentroid Y µm\na.tif\t1.5\t2\n"
    (tmp_path / "t.tsv").write_text(text, encoding=encoding)
    assert table.is_table(tmp_path / "t.tsv")
    if encoding == "latin-1":
        with pytest.raises(DataError, match="save it as UTF-8"):
            table.parse(tmp_path / "t.tsv")
    else:
        read = table.parse(tmp_path / "t.tsv").images["a.tif"]
        assert read.points_yx.tolist() == [[2, 1.5]]


def test_annotations_alone_are_cells(tmp_path: Path) -> None:
    text = (
        "Image;Object type;Class;Centroid X px;Centroid Y px\n"
        "a.tif;Annotation;T;10;20\n"
    )
    cells = table.parse(_write(tmp_path, text)).images["a.tif"]
    assert cells.points_yx.tolist() == [[20, 10]]
    assert cells.names == ("T",)


def test_clicks_and_boxes(tmp_path: Path) -> None:
    clicks = table.parse(_write(tmp_path, "file_name,x,y\na.png,7,3\nb.png,1,2\n"))
    assert clicks.images["a.png"].points_yx.tolist() == [[3.5, 7.5]]
    fine = table.parse(_write(tmp_path, "file_name,x,y\na.png,7,3\nb.png,1,2.5\n"))
    assert fine.images["a.png"].points_yx.tolist() == [[3, 7]]
    text = "image,xmin,ymin,xmax,ymax,label\na.png,2,4,8,6,T\n"
    boxes = table.parse(_write(tmp_path, text)).images["a.png"]
    assert boxes.boxes_yxyx.tolist() == [[4, 2, 6, 8]]
    assert boxes.points_yx.tolist() == [[5, 5]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,x,y\na.png,1,b\n", "line 2: 'b'"),
        ("image,x,y\na.png,1\n", "line 2: too few"),
        ("image,x,y\n,1,2\n", "line 2: no image"),
        ("x,y\n1,2\n", "no columns"),
        ("image,score\na,2\n", "no columns"),
        ("", "no columns"),
    ],
)
def test_the_line_at_fault_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"t\.csv.*{message}"):
        table.parse(_write(tmp_path, text))
    assert table.is_table(tmp_path / "t.csv") == text.startswith("image,x,y")
