"""Nanometres from the middle of a slide as px of its scanned area."""

from pathlib import Path

import numpy as np
import pytest

from cellrec_jax.data.annotations import ndpa
from cellrec_jax.errors import DataError

FRAME = ndpa.Frame((1000, 2000), (0.5, 0.25), (-3000.0, 10_000.0))


def _view(annotation: str, title: str = "T", units: str = "nanometers") -> str:
    return (
        f'<ndpviewstate id="4"><title>{title}</title><coordformat>{units}</coordformat>'
        f"<x>1</x><y>2</y>{annotation}</ndpviewstate>"
    )


def _place(x: float, y: float) -> str:
    return f"<x>{x}</x><y>{y}</y>"


def _freehand(*places: tuple[float, float], closed: int = 1) -> str:
    points = "".join(f"<point>{_place(*place)}</point>" for place in places)
    return (
        f'<annotation type="freehand"><closed>{closed}</closed>'
        f"<pointlist>{points}</pointlist></annotation>"
    )


def _write(folder: Path, *views: str) -> Path:
    (folder / "a.ndpa").write_text(f"<annotations>{''.join(views)}</annotations>")
    return folder / "a.ndpa"


def test_places_by_hand(tmp_path: Path) -> None:
    # 10 um right and 3 um above the slide's middle is the middle of level 0.
    pin = f'<annotation type="pin">{_place(10_000, -3000)}</annotation>'
    circle = f'<annotation type="circle">{_place(10_250, -2500)}<radius>5000</radius>'
    corners = [(10_000, -3000), (12_500, -3000), (10_000, 2000)]
    read = ndpa.parse(
        _write(
            tmp_path,
            _view(pin),
            _view(f"{circle}</annotation>", title="S"),
            _view(_freehand(*corners), title="Region*"),
            _view(_freehand(*corners, closed=0)),
            _view('<annotation type="linearmeasure"/>'),
            _view(""),
        ),
        FRAME,
    )
    assert read.names == ("T", "S")
    np.testing.assert_allclose(read.points_yx, [[500, 1000], [501, 1001]])
    np.testing.assert_allclose(read.boxes_yxyx[1], [491, 981, 511, 1021])
    ((region,),) = read.annotated
    np.testing.assert_allclose(region, [[500, 1000], [500, 1010], [510, 1000]])
    assert read.notes == {ndpa.LINES: 3}


FAULTS = {
    "units": _view('<annotation type="pin"/>', units="pixels"),
    "no place": _view('<annotation type="pin"/>'),
    "text": _view('<annotation type="pin"><x>1</x><y>b</y></annotation>'),
    "radius": _view(f'<annotation type="circle">{_place(1, 2)}</annotation>'),
    "corners": _view(_freehand((1, 2), (3, 4))),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_annotation_at_fault_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.ndpa: annotation 4"):
        ndpa.parse(_write(tmp_path, FAULTS[name]), FRAME)


def test_other_xml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ndpa").write_text("<annotations><image/></annotations>")
    with pytest.raises(DataError, match=r"NDP\.view"):
        ndpa.parse(tmp_path / "a.ndpa", FRAME)
