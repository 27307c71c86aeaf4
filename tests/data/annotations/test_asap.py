"""Dots, point sets and areas of ASAP, by group."""

from pathlib import Path

import pytest

from cellrec_jax.data.annotations import asap, content
from cellrec_jax.errors import DataError


def _annotation(kind: str, *places_xy: tuple, group: str = "T", order: str = "") -> str:
    numbers = order.split(",") if order else range(len(places_xy))
    coordinates = "".join(
        f'<Coordinate Order="{i}" X="{x}" Y="{y}"/>'
        for i, (x, y) in zip(numbers, places_xy, strict=True)
    )
    return (
        f'<Annotation Name="A 0" Type="{kind}" PartOfGroup="{group}" Color="#64FE2E">'
        f"<Coordinates>{coordinates}</Coordinates></Annotation>"
    )


def _write(folder: Path, *annotations: str) -> Path:
    file = folder / "a.xml"
    groups = '<AnnotationGroups><Group Name="T" PartOfGroup="None"/></AnnotationGroups>'
    text = f"<Annotations>{''.join(annotations)}</Annotations>{groups}"
    file.write_text(f'<?xml version="1.0"?><ASAP_Annotations>{text}</ASAP_Annotations>')
    return file


def test_every_type(tmp_path: Path) -> None:
    square = ((4, 2), (10, 2), (10, 6), (4, 6))
    file = _write(
        tmp_path,
        _annotation("Dot", (7.25, 3)),
        _annotation("PointSet", (1, 2), ("8,5", 4), group="S"),
        _annotation("Polygon", *square, group="None"),
        _annotation("Rectangle", *square, group="Ignore*"),
        _annotation("Spline", *square, group="Region*"),
        _annotation("Measurement", *square[:2]),
    )
    read = asap.parse(file)
    assert read.points_yx.tolist() == [[3, 7.25], [2, 1], [4, 8.5], [4, 7]]
    assert read.names == ("T", "S", "S", "")
    assert read.boxes_yxyx[3].tolist() == [2, 4, 6, 10]
    assert len(read.ignore) == len(read.annotated) == 1
    assert read.notes == {asap.OTHERS: 1}


def test_corners_in_their_order(tmp_path: Path) -> None:
    places = ((4, 2), (10, 6), (10, 2), (4, 6))
    file = _write(tmp_path, _annotation("Polygon", *places, order="0,2,1,3"))
    # Taken as written, the outline would cross itself, and have no area.
    assert asap.parse(file).points_yx.tolist() == [[4, 7]]


def test_a_group_holds_its_cells(tmp_path: Path) -> None:
    tissue = _annotation("Polygon", (0, 0), (40, 0), (40, 40), (0, 40), group="Tissue")
    dots = [_annotation("Dot", (x, 9)) for x in (3, 5, 7)]
    read = asap.parse(_write(tmp_path, tissue, *dots))
    assert read.names == ("T", "T", "T")
    assert read.notes == {content.AREAS: 1}


@pytest.mark.parametrize(
    "text",
    [_annotation("Dot", ("x", 1)), _annotation("Dot"), _annotation("Dot", ("", 1))],
)
def test_the_annotation_at_fault_is_named(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.xml: annotation A 0"):
        asap.parse(_write(tmp_path, text))


def test_other_xml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<annotation/>")
    with pytest.raises(DataError, match="no annotations of ASAP"):
        asap.parse(tmp_path / "a.xml")
