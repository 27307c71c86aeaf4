"""XML of ASAP, ImageScope and Cell Counter: which program, which image."""

from pathlib import Path

from PIL import Image
import pytest

from cellrec_jax.data.readers import open_source

ASAP = (
    '<ASAP_Annotations><Annotations><Annotation Name="a" Type="Dot" PartOfGroup="T">'
    '<Coordinates><Coordinate Order="0" X="7.5" Y="3"/></Coordinates></Annotation>'
    "</Annotations></ASAP_Annotations>"
)
APERIO = (
    '<Annotations><Annotation Name="T"><Regions><Region Type="0"><Vertices>'
    '<Vertex X="7.5" Y="3"/></Vertices></Region></Regions></Annotation></Annotations>'
)
COUNTER = (
    "<CellCounter_Marker_File><Marker_Data><Marker_Type><Type>1</Type><Name>T</Name>"
    "<Marker><MarkerX>7</MarkerX><MarkerY>2.5</MarkerY></Marker></Marker_Type>"
    "</Marker_Data></CellCounter_Marker_File>"
)
PROGRAMS = [("asap", ASAP), ("aperio", APERIO), ("imagej", COUNTER)]


@pytest.mark.parametrize(("name", "text"), PROGRAMS)
@pytest.mark.parametrize(
    ("image", "file", "image_id"),
    [
        ("images/a.png", "annotations/a.xml", "a"),
        ("a.png", "a.xml", "a"),
        ("images/train/a.png", "xml/train/a.xml", "train/a"),
        ("images/a.png", "labels/CellCounter_a.xml", "a"),
    ],
)
def test_xml_of_an_image(
    image: str, file: str, image_id: str, name: str, text: str, tmp_path: Path
) -> None:
    for place in (image, file):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30)).save(tmp_path / image)
    (tmp_path / file).write_text(text)
    source = open_source(tmp_path)
    assert (source.format, source.image_ids) == (name, (image_id,))
    assert source.class_names == ("T",)
    assert source.load(image_id).points_yx.tolist() == [[3, 7.5]]
