from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellrec_jax.data.pixels import images, pixel_size

PIXELS = np.zeros((5, 7), np.uint8)


def _ome(x: float, y: float | None = None, unit: str = "\u00b5m") -> dict[str, object]:
    size = {"PhysicalSizeX": x, "PhysicalSizeY": x if y is None else y}
    units = {f"{name}Unit": unit for name in size}
    return {"ome": True, "metadata": {"axes": "YX", **size, **units}}


def _tag(x: float, y: float | None = None, unit: object = 3) -> dict[str, object]:
    """`x`, `y` px per unit: 2 inch, 3 cm."""
    return {"resolution": (x, x if y is None else y), "resolutionunit": unit}


@pytest.mark.parametrize(
    ("options", "source"),
    [
        (_tag(40000), "TIFF resolution"),
        ({**_ome(0.5), **_tag(20000)}, "OME-XML"),
        ({**_ome(0.01), **_tag(20000)}, "TIFF resolution"),
        ({**_ome(0.5), **_tag(40000)}, ""),
        ({}, ""),
    ],
)
def test_the_place_that_says_it_is_told(options, source, tmp_path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS, **options)
    assert images.header(path).mpp_source == source


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (_tag(40000), 0.25),
        (_tag(40000, 40200), 0.2494),  # as one: the geometric mean
        (_tag(101600, unit=2), 0.25),
        (_ome(0.5), 0.5),
        (_ome(500, unit="nm"), 0.5),
        (_ome(0.0005, unit="mm"), 0.5),
        ({**_ome(0.5), **_tag(20000)}, 0.5),
        (
            {"imagej": True, "resolution": (4, 4), "metadata": {"unit": "micron"}},
            0.25,
        ),
        (
            {"imagej": True, "resolution": (4, 4), "metadata": {"unit": "\\u00B5m"}},
            0.25,
        ),
        (
            {"description": "Aperio Image\r\n|AppMag = 20|MPP = 0.4990|Left = 1"},
            0.499,
        ),
        ({}, 0),
        (_tag(1, unit=1), 0),
        (_ome(1, unit="pixel"), 0),
    ],
)
def test_a_sane_size_is_read(
    options: dict[str, object], expected: float, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS, **options)
    assert images.mpp(path) == images.load(path).header.mpp == expected
    assert images.header(path).notes == ()


@pytest.mark.parametrize(
    ("options", "expected", "told"),
    [
        (_tag(72, unit=2), 0, ["352.8"]),
        (_tag(1e7), 0, ["0.001"]),
        (_tag(40000, 20000), 0, ["0.5 x 0.25"]),
        (_ome(0.5, 0.52), 0, ["0.52 x 0.5"]),
        (_ome(0), 0, ["OME-XML says 0 um"]),
        ({**_ome(0.5), **_tag(72, unit=2)}, 0.5, ["TIFF resolution says 352.8"]),
        ({**_ome(0.5), **_tag(40000)}, 0, ["0.5 by OME-XML, 0.25 by TIFF"]),
    ],
)
def test_other_sizes_are_passed_over_and_told(
    options: dict[str, object], expected: float, told: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS, **options)
    found = images.header(path)
    assert found.mpp == expected
    assert len(found.notes) == len(told)
    assert all(text in note for text, note in zip(told, found.notes, strict=True))


@pytest.mark.parametrize(
    ("own", "given", "for_all", "expected"),
    [
        (0.5, 0.25, False, 0.5),
        (0.0, 0.25, False, 0.25),
        (0.5, 0.25, True, 0.25),
        (0.5, 0.0, True, 0.5),
        (0.0, 0.0, False, 0.0),
    ],
)
def test_what_the_user_gives_is_of_files_that_say_none_or_of_all(
    own: float, given: float, for_all: bool, expected: float
) -> None:
    assert pixel_size.chosen(own, given, for_all=for_all) == expected


def test_damaged_xml_costs_only_the_size(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    text = '<?xml version="1.0"?><OME xmlns="openmicroscopy.org/OME"><Image </OME>'
    tifffile.imwrite(path, PIXELS, description=text, metadata=None)
    assert images.mpp(path) == 0
    assert images.load_image(path).shape == (5, 7, 3)
