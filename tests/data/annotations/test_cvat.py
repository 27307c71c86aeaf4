"""CVAT's shapes by hand: what each covers, and what is told where it cannot be read."""

from pathlib import Path

import numpy as np
import pytest

from cellrec_jax import polygons
from cellrec_jax.data.annotations import cvat
from cellrec_jax.errors import DataError


def _write(folder: Path, shapes: str, image: str = 'name="s/a.png"') -> Path:
    file = folder / "annotations.xml"
    file.write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
        f'<image id="0" {image} width="40" height="30">{shapes}</image></annotations>'
    )
    return file


def test_every_shape(tmp_path: Path) -> None:
    shapes = """
      <points label="T" occluded="0" points="7.25,3.50;9.00,4.00"><attribute/></points>
      <box label="S" xtl="2" ytl="4" xbr="8" ybr="6"/>
      <box label="S" xtl="10" ytl="4" xbr="16" ybr="6" rotation="90.0"/>
      <polygon label="T" points="0,0;9,0;0,6"/>
      <ellipse label="T" cx="20" cy="10" rx="4" ry="2" rotation="90"/>
      <mask label="T" rle="1, 3, 2" left="30" top="20" width="3" height="2"/>
      <polyline label="T" points="1,1;2,2"/><tag label="blurred"/>
    """
    (read,) = cvat.parse(_write(tmp_path, shapes)).values()
    assert read.names == ("T", "T", "S", "S", "T", "T", "T")
    assert read.size_hw == (30, 40)
    assert read.notes == {cvat.OTHERS: 2}
    assert np.isnan(read.boxes_yxyx[:2]).all()
    expected = [[3.5, 7.25], [4, 9], [5, 5], [5, 13], [2, 3], [10, 20]]
    np.testing.assert_allclose(read.points_yx[:6], expected)
    boxes = [[4, 2, 6, 8], [2, 12, 8, 14], [0, 0, 6, 9], [6, 18, 14, 22]]
    np.testing.assert_allclose(read.boxes_yxyx[2:6], boxes)
    # Rows of three: .XX and X.. are an L of three px.
    assert read.boxes_yxyx[6].tolist() == [20, 30, 22, 33]


def test_masks_are_what_their_runs_say(tmp_path: Path) -> None:
    shapes = (
        '<mask label="Ignore*" rle="1, 3, 2" left="30" top="20" width="3" height="2"/>'
        '<points label="T" points="1,2"/>'
    )
    (read,) = cvat.parse(_write(tmp_path, shapes)).values()
    filled = polygons.fill(read.ignore, (30, 40))
    assert np.argwhere(filled).tolist() == [[20, 31], [20, 32], [21, 30]]


def test_images_without_shapes_are_read(tmp_path: Path) -> None:
    read = cvat.parse(_write(tmp_path, ""))
    assert list(read) == ["s/a.png"]
    assert len(read["s/a.png"].names) == 0


FAULTS = {
    "number": '<box label="S" xtl="2" ytl="x" xbr="8" ybr="6"/>',
    "missing": '<box label="S" xtl="2" ytl="4" xbr="8"/>',
    "nan": '<ellipse label="S" cx="nan" cy="4" rx="8" ry="1"/>',
    "points": '<points label="S" points="1,2;3"/>',
    "no points": '<points label="S"/>',
    "triples": '<points label="S" points="1,2,3"/>',
    "corner": '<polygon label="S" points="1,2;nan,3;4,4"/>',
    "short mask": '<mask label="S" rle="1, 3" left="0" top="0" width="3" height="2"/>',
    "empty mask": '<mask label="S" rle="6" left="0" top="0" width="3" height="2"/>',
    "no mask": '<mask label="S" left="0" top="0" width="3" height="2"/>',
    "huge": '<mask label="S" rle="1" left="0" top="0" width="1e8" height="1e8"/>',
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_image_at_fault_is_named(name: str, tmp_path: Path) -> None:
    file = _write(tmp_path, FAULTS[name])
    with pytest.raises(DataError, match=r"image s/a\.png") as error:
        cvat.parse(file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "<annotations><track/></annotations>",
        "<annotations/>",
        "<other/>",
        '<annotations><image width="3" height="3"/></annotations>',
        '<annotations><image name="a" width="3" height="3"/>'
        '<image name="a" width="3" height="3"/></annotations>',
        '<!DOCTYPE x [<!ENTITY a "b">]><annotations>&a;</annotations>',
    ],
)
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(DataError, match=r"a\.xml"):
        cvat.parse(tmp_path / "a.xml")
