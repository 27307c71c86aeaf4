"""Regions of ImageJ, byte by byte, and markers of Cell Counter."""

from pathlib import Path
import struct
import zipfile

import numpy as np
import pytest

from cellrec_jax.data.annotations import imagej
from cellrec_jax.errors import DataError


def _region(
    kind: int,
    box: tuple[int, int, int, int],
    corners_xy: np.ndarray | None = None,
    *,
    fine: tuple[float, ...] | None = None,
    counters: list[int] | None = None,
    group: int = 0,
    composed: int = 0,
) -> bytes:
    """As RoiEncoder.java writes it; `box` is top, left, bottom, right."""
    corners = np.zeros((0, 2)) if corners_xy is None else corners_xy
    is_fine = fine is not None or (corners.dtype.kind == "f" and len(corners) > 0)
    head = struct.pack(">4shBxhhhhH", b"Iout", 227, kind, *box, len(corners))
    head += struct.pack(">4f", *(fine or (0, 0, 0, 0)))
    whole = np.nan_to_num(corners - (box[1], box[0])).round().astype(">i2").T.tobytes()
    whole += corners.astype(">f4").T.tobytes() if is_fine and len(corners) else b""
    second = 64 + len(whole)
    head += struct.pack(">hi10xh8xi", 0, composed, 128 * is_fine, second)
    offset = second + 64 if counters else 0
    tail = struct.pack(">30xB17xi12x", group, offset)
    tail += b"".join(struct.pack(">I", 7 << 8 | one) for one in counters or [])
    assert len(head) == 64
    return head + whole + tail


def _write(folder: Path, data: bytes, name: str = "a.roi") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def test_points_are_middles_of_pixels(tmp_path: Path) -> None:
    points = np.array([[7, 3], [30, 20], [12, 12]])
    data = _region(10, (3, 7, 21, 31), points, counters=[0, 2, 0])
    read = imagej.parse(_write(tmp_path, data))
    assert read.points_yx.tolist() == [[3.5, 7.5], [12.5, 12.5], [20.5, 30.5]]
    assert read.names == ("0", "0", "2")
    fine = np.array([[7.25, 3.0], [30.5, 20.75]])
    read = imagej.parse(_write(tmp_path, _region(10, (3, 7, 21, 31), fine)))
    assert read.points_yx.tolist() == [[3.5, 7.75], [21.25, 31.0]]
    assert read.names == ("", "")


def test_areas_begin_at_corners_of_pixels(tmp_path: Path) -> None:
    corners = np.array([[4, 2], [10, 2], [10, 6], [4, 6]])
    for kind in (0, 7, 8):
        data = _region(kind, (2, 4, 6, 10), corners, group=3)
        read = imagej.parse(_write(tmp_path, data))
        assert read.boxes_yxyx.tolist() == [[2, 4, 6, 10]]
        assert read.names == ("3",)
    for kind in (1, 2):
        read = imagej.parse(_write(tmp_path, _region(kind, (2, 4, 6, 10))))
        np.testing.assert_allclose(read.boxes_yxyx, [[2, 4, 6, 10]])
        fine = _region(kind, (2, 4, 6, 10), fine=(4.5, 2.25, 6, 4))
        read = imagej.parse(_write(tmp_path, fine))
        np.testing.assert_allclose(read.boxes_yxyx, [[2.25, 4.5, 6.25, 10.5]])


def test_files_of_the_manager(tmp_path: Path) -> None:
    line = _region(3, (0, 0, 5, 5))
    shape = _region(1, (0, 0, 5, 5), composed=9)
    point = _region(10, (3, 7, 4, 8), np.array([[7, 3]]))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as stored:
        for name, data in (("1.roi", line), ("2.roi", shape), ("3.roi", point)):
            stored.writestr(name, data)
        stored.writestr("notes.txt", "x")
    read = imagej.parse(tmp_path / "a.zip")
    assert read.points_yx.tolist() == [[3.5, 7.5]]
    assert read.notes == {imagej.LINES: 2}


def test_markers_of_cell_counter(tmp_path: Path) -> None:
    def marker(x: int, y: int) -> str:
        return f"<Marker><MarkerX>{x}</MarkerX><MarkerY>{y}</MarkerY></Marker>"

    text = (
        "<CellCounter_Marker_File><Marker_Data><Current_Type>1</Current_Type>"
        f"<Marker_Type><Type>1</Type>{marker(7, 3)}{marker(30, 20)}</Marker_Type>"
        f"<Marker_Type><Type>2</Type><Name>Type 2</Name>{marker(1, 2)}</Marker_Type>"
        f"<Marker_Type><Type>3</Type><Name>dead</Name>{marker(4, 5)}</Marker_Type>"
        "<Marker_Type><Type>4</Type></Marker_Type></Marker_Data>"
        "</CellCounter_Marker_File>"
    )
    read = imagej.parse(_write(tmp_path, text.encode(), "a.xml"))
    expected = [[3.5, 7.5], [20.5, 30.5], [2.5, 1.5], [5.5, 4.5]]
    assert read.points_yx.tolist() == expected
    assert read.names == ("1", "1", "2", "dead")
    for bad in (text.replace(">7<", ">x<"), text.replace("CellCounter", "Other")):
        with pytest.raises(DataError, match=r"a\.xml"):
            imagej.parse(_write(tmp_path, bad.encode(), "a.xml"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Iout",
        b"PK" * 50,
        _region(10, (3, 7, 21, 31), np.array([[7, 3], [8, 9]]))[:70],
        _region(10, (3, 7, 4, 8), np.array([[np.nan, 3.0]])),
    ],
)
@pytest.mark.parametrize("ending", ["roi", "zip"])
def test_damaged_files(data: bytes, ending: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"a\.{ending}"):
        imagej.parse(_write(tmp_path, data, f"a.{ending}"))
