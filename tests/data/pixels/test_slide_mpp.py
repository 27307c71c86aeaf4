from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellrec_jax.data.pixels import slides
from cellrec_jax.data.pixels.slide_mpp import choose

A, B, C = ("A", (0.5, 0.502)), ("B", (352.8, 352.8)), ("C", (0.25, 0.25))


@pytest.mark.parametrize(
    ("given", "stated", "objective", "expected", "told"),
    [
        (0, [A], 0, (0.501, "A"), []),
        (0, [B], 0, (0, ""), ["B says 352.8"]),
        (0, [B, C], 0, (0.25, "C"), ["B says 352.8"]),
        (0, [A, B], 40, (0.501, "A"), []),
        (0, [B, ("D", (352.7, 352.7))], 0, (0, ""), ["B says 352.8"]),
        (0, [A, C], 0, (0.501, "A"), ["C says 0.25 um per px, A 0.501"]),
        (0, [("D", (0.25, 0.5)), C], 0, (0.25, "C"), ["0.25 x 0.5 um per px, height"]),
        (0, [("D", (0.0, 0.0))], 0, (0, ""), []),
        (0, [("D", (float("nan"),) * 2), C], 0, (0.25, "C"), ["D says nan"]),
        (0, [], 20, (0.5, "objective 20x"), ["0.5 um per px is guessed"]),
        (0, [B], 40, (0.25, "objective 40x"), ["B says", "0.25 um per px is guessed"]),
        (0, [], 1, (0, ""), []),
        (0, [("D", (0.1, 0.1))], 0, (0.1, "D"), []),
        (0, [("D", (4.0, 4.0))], 0, (4.0, "D"), []),
        (0, [("D", (4.01, 4.01))], 0, (0, ""), ["0.1 to 4"]),
        (0.3, [], 0, (0.3, "--mpp"), []),
        (0.5, [A], 20, (0.501, "A"), []),
        (0.3, [A], 0, (0.501, "A"), ["warning: A says 0.501 um per px, which counts"]),
        (0.3, [], 20, (0.5, "objective 20x"), ["guessed", "20x says 0.5 um per px"]),
        (8, [B], 0, (8, "--mpp"), ["B says 352.8"]),
    ],
)
def test_the_first_sane_size_wins(
    given: float,
    stated: list[tuple[str, tuple[float, float]]],
    objective: float,
    expected: tuple[float, str],
    told: list[str],
) -> None:
    found = choose(given, stated, objective)
    assert (found.mpp, found.source) == expected
    assert len(found.notes) == len(told)
    assert all(text in note for text, note in zip(told, found.notes, strict=True))


def test_what_is_of_all_counts() -> None:
    found = choose(0.3, [A], 0, for_all=True)
    assert (found.mpp, found.source) == (0.3, "--mpp-all")
    (note,) = found.notes
    assert note == "warning: A says 0.501 um per px, --mpp-all 0.3, which counts"
    assert choose(0.5, [A], 20, for_all=True) == (0.5, "--mpp-all", ())


def _write(path: Path, **options: object) -> None:
    pixels = np.zeros((64, 96, 3), np.uint8)
    tifffile.imwrite(path, pixels, tile=(32, 32), photometric="rgb", **options)


APERIO = "Aperio Image Library v11\r\n96x64|AppMag = 20"
OME_20X = """<?xml version="1.0"?><OME
xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Instrument ID="Instrument:0">
<Objective ID="Objective:0" NominalMagnification="{}"/></Instrument><Image ID="Image:0">
<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="96" SizeY="64"
SizeC="3" SizeZ="1" SizeT="1"><Channel ID="Channel:0" SamplesPerPixel="3"/><TiffData/>
</Pixels></Image></OME>"""
OME_HALF = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
DPI_72 = {"resolution": (72, 72), "resolutionunit": 2}
UM_025 = {"resolution": (40_000, 40_000), "resolutionunit": 3}


@pytest.mark.parametrize(
    ("options", "mpp", "source", "told"),
    [
        ({"description": APERIO + "|MPP = 0.4990"}, 0.499, "OpenSlide (aperio)", 0),
        ({"description": APERIO}, 0.5, "objective 20x", 1),
        ({"description": APERIO + "|MPP = 99"}, 0.5, "objective 20x", 2),
        ({"ome": True, "metadata": OME_HALF}, 0.5, "OME-XML", 0),
        ({"ome": True, "metadata": OME_HALF, **DPI_72}, 0.5, "OME-XML", 1),
        ({"description": OME_20X.format(20)}, 0.5, "objective 20x", 1),
        ({"description": OME_20X.format("twenty")}, 0, "", 0),
        (UM_025, 0.25, "OpenSlide (generic-tiff)", 0),
        (DPI_72, 0, "", 1),
        ({**UM_025, "compression": "lzma"}, 0.25, "TIFF resolution", 0),
        ({}, 0, "", 0),
    ],
)
def test_places_in_files(
    options: dict[str, object], mpp: float, source: str, told: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    _write(path, **{"metadata": None, **options})
    found = slides.describe(path)
    assert (found.mpp, found.mpp_source) == (pytest.approx(mpp, rel=1e-3), source)
    assert len(found.notes) == told
    given, forced = (slides.describe(path, 0.75, for_all=how) for how in (False, True))
    assert (forced.mpp, forced.mpp_source) == (0.75, "--mpp-all")
    assert (given.mpp, given.mpp_source) == (
        (found.mpp, source) if mpp else (0.75, "--mpp")
    )


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    bomb = '<!DOCTYPE a [<!ENTITY x "20">]><OME'
    _write(path, description=OME_20X.format("&x;").replace("<OME", bomb), metadata=None)
    assert slides.describe(path).mpp == 0
