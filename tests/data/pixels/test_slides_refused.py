from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellrec_jax.data.pixels import slide_tiff, slides
from cellrec_jax.errors import DataError

H, W = 203, 301
RGB = np.random.default_rng(4).integers(0, 256, (H, W, 3), np.uint8)


def write_one(path: Path, pixels: np.ndarray = RGB, **options: object) -> None:
    options = {"photometric": "rgb", "compression": "deflate", **options}
    tifffile.imwrite(path, pixels, **{"tile": (64, 64), "metadata": None, **options})


def write_pyramid(path: Path, ome: bool = False) -> None:
    options = {"tile": (64, 64), "photometric": "rgb", "subfiletype": 1}
    with tifffile.TiffWriter(path, ome=ome) as file:
        file.write(RGB, **options | {"subfiletype": 0}, subifds=int(ome))
        file.write(RGB[:202:2, :300:2].copy(), **options)


def enlarge_tiles(path: Path) -> None:
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("TileWidth", "TileLength"):
            file.pages[0].tags[name].overwrite(9600)


VOLUME = np.zeros((5, H, W), np.uint8)
REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "16 bits": (lambda p: write_one(p, RGB.astype(np.uint16)), "uint16"),
    "decimals": (
        lambda p: write_one(
            p, RGB[..., 0].astype(np.float32), photometric="minisblack"
        ),
        "float32",
    ),
    "stack": (lambda p: write_one(p, VOLUME, photometric="minisblack"), "5 planes"),
    "OME channels": (
        lambda p: write_one(
            p, VOLUME, photometric="minisblack", ome=True, metadata={"axes": "CYX"}
        ),
        "5 planes",
    ),
    "three colours on pages": (
        lambda p: write_one(
            p, VOLUME[:3], photometric="minisblack", ome=True, metadata={"axes": "CYX"}
        ),
        "three pages",
    ),
    "channels in a page": (
        lambda p: write_one(
            p,
            VOLUME.transpose(1, 2, 0).copy(),
            photometric="minisblack",
            planarconfig="contig",
        ),
        "5 channels",
    ),
    "two channels": (
        lambda p: write_one(
            p, RGB[..., :2].copy(), photometric="minisblack", planarconfig="contig"
        ),
        "2 channels",
    ),
    "tiles as large as a bomb": (
        lambda p: (write_one(p), enlarge_tiles(p)),
        "276,480,000 bytes",
    ),
    "compression": (lambda p: write_one(p, compression="webp"), "WEBP"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_slide_is_refused_in_a_line(name: str, tmp_path: Path) -> None:
    write, told = REFUSED[name]
    path = tmp_path / "a.tif"
    write(path)
    with pytest.raises(DataError) as error:
        slides.describe(path)
    assert told in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert not slides.is_slide(path)


def _cut(path: Path) -> None:
    write_pyramid(path)
    path.write_bytes(path.read_bytes()[:-200])


def _only_header(path: Path) -> None:
    write_pyramid(path)
    path.write_bytes(path.read_bytes()[:8])


BROKEN: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("a.svs", str, "No such file"),
    "folder": ("a.svs", lambda p: p.mkdir(), "directory"),
    "empty": ("a.svs", lambda p: p.touch(), "empty"),
    "truncated": ("a.svs", _cut, "truncated"),
    "header alone": ("a.svs", _only_header, "truncated"),
    "fake": ("a.svs", lambda p: p.write_bytes(b"no slide" * 99), "OpenSlide says"),
    "DICOM": (
        "a.dcm",
        lambda p: p.write_bytes(b"\0" * 128 + b"DICM"),
        "OpenSlide says",
    ),
    "Zeiss": ("a.czi", lambda p: p.write_bytes(b"ZISRAWFILE" + b"\0" * 999), "ZISRAW"),
    "MIRAX": ("a.mrxs", lambda p: p.write_bytes(b"\xff\xd8\xff"), "OpenSlide says"),
    "QuPath's data": ("a.qpdata", lambda p: p.write_bytes(b"a"), "GeoJSON"),
    "QuPath's project": ("a.qpproj", lambda p: p.write_bytes(b"{}"), "GeoJSON"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_opened_is_told_in_a_line(name: str, tmp_path: Path) -> None:
    file_name, write, told = BROKEN[name]
    path = tmp_path / file_name
    write(path)
    for use in (slides.describe, lambda p: slides.opened(p).__enter__()):
        with pytest.raises(DataError) as error:
            use(path)
        assert told in str(error.value)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
    assert slides.is_slide(path) == (path.suffix in slides.SLIDE_ENDINGS)


def test_a_size_that_no_slide_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_one(path)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("ImageWidth", "ImageLength"):
            file.pages[0].tags[name].overwrite(2**31 - 1, dtype="I")
    with pytest.raises(DataError, match="truncated"):
        slides.describe(path)


def test_which_files_are_slides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    write_pyramid(path)
    assert slides.is_slide(path)
    write_pyramid(tmp_path / "A.OME.TIF", ome=True)
    assert slides.is_slide(tmp_path / "A.OME.TIF")
    assert not slides.may_be_slide(path)  # it is one
    write_one(path)  # one level
    assert not slides.is_slide(path)
    assert slides.may_be_slide(path)
    tifffile.imwrite(tmp_path / "flat.ome.tif", RGB, photometric="rgb")  # no tiles
    assert slides.may_be_slide(tmp_path / "flat.ome.tif")
    tifffile.imwrite(tmp_path / "flat.tif", RGB, photometric="rgb")
    assert not slides.may_be_slide(tmp_path / "flat.tif")
    monkeypatch.setattr(slide_tiff, "_MANY_PX", H * W - 1)
    assert slides.is_slide(path)
    write_one(path, tile=None)
    assert not slides.is_slide(path)
    path.write_bytes(b"II*\0")
    assert not slides.is_slide(path)
    assert not slides.may_be_slide(path)
    assert not slides.is_slide(tmp_path / "none.tif")
    assert not slides.is_slide(tmp_path / "a.png")
    assert slides.is_slide(tmp_path / "none.NDPI")
