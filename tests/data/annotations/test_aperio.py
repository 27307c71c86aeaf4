"""Layers and regions of ImageScope and HALO."""

from pathlib import Path

import numpy as np
import pytest

from cellrec_jax.data.annotations import aperio
from cellrec_jax.errors import DataError

SQUARE = ((4, 2), (10, 2), (10, 6), (4, 6))


def _region(
    kind: str, *places_xy: tuple, negative: int = 0, tag: str = "Vertex"
) -> str:
    corners = "".join(f'<{tag} X="{x}" Y="{y}" Z="0"/>' for x, y in places_xy)
    return (
        f'<Region Id="7" Type="{kind}" NegativeROA="{negative}"><Attributes/>'
        f"<Vertices>{corners}</Vertices></Region>"
    )


def _layer(*regions: str, name: str = "", color: int = 65280, more: str = "") -> str:
    return (
        f'<Annotation Id="1" Name="{name}" LineColor="{color}">{more}<Regions>'
        f"<RegionAttributeHeaders/>{''.join(regions)}</Regions></Annotation>"
    )


def _write(folder: Path, *layers: str) -> Path:
    text = f'<Annotations MicronsPerPixel="0.25">{"".join(layers)}</Annotations>'
    (folder / "a.xml").write_text(text)
    return folder / "a.xml"


def test_every_form(tmp_path: Path) -> None:
    regions = [
        _region("0", *SQUARE),
        _region("1", (4, 2), (10, 6)),
        _region("2", (10, 2), (4, 6)),
        _region("Polygon", *SQUARE, tag="V"),
        _region("0", (7.5, 3)),
        _region("0", *SQUARE, negative=1),
        _region("3", (4, 2), (10, 6)),
        _region("0", (4, 2), (10, 6)),
    ]
    read = aperio.parse(_write(tmp_path, _layer(*regions, name="T"), _layer()))
    assert read.names == ("T",) * 5
    np.testing.assert_allclose(read.points_yx, [[4, 7]] * 4 + [[3, 7.5]])
    np.testing.assert_allclose(read.boxes_yxyx[:4], [[2, 4, 6, 10]] * 4)
    assert len(read.ignore) == 1
    assert read.notes == {aperio.LINES: 2}


def test_names_of_layers(tmp_path: Path) -> None:
    described = '<Attributes><Attribute Name="Description" Value="S"/></Attributes>'
    cell = _region("0", *SQUARE)
    plain = [_layer(cell), _layer(cell, more=described), _layer(cell, name="Ignore*")]
    read = aperio.parse(_write(tmp_path, *plain))
    assert read.names == ("", "S")
    assert len(read.ignore) == 1
    colors = [_layer(cell, color=255), _layer(cell, color=16711680 + 1), _layer(cell)]
    assert aperio.parse(_write(tmp_path, *colors)).names == (
        "#ff0000",
        "#0100ff",
        "#00ff00",
    )


@pytest.mark.parametrize(
    "region", [_region("0"), _region("0", ("x", 1), (2, 3), (4, 5))]
)
def test_the_region_at_fault_is_named(region: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="layer T, region 7"):
        aperio.parse(_write(tmp_path, _layer(region, name="T")))


def test_other_xml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<annotations/>")
    with pytest.raises(DataError, match="no annotations of ImageScope"):
        aperio.parse(tmp_path / "a.xml")
