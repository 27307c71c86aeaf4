from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellrec_jax.data.pixels import images, tiff, tiff_colors
from cellrec_jax.data.pixels.tiff import check_one_plane, check_size
from cellrec_jax.errors import DataError

H, W = 20, 28
RGB = np.random.default_rng(3).integers(0, 256, (H, W, 3), np.uint8)
GREY = RGB[..., 0]
PLANES = np.ascontiguousarray(RGB.transpose(2, 0, 1))
GUESSED = tiff_colors.CHANNELS_GUESSED

_TABLES = {
    name: np.outer(color, np.arange(256)).astype(np.uint8)
    for name, color in (("r", (1, 0, 0)), ("g", (0, 1, 0)), ("b", (0, 0, 1)))
}


def _signed(red: int, green: int, blue: int) -> int:
    """RGBA as OME-XML writes it."""
    value = red << 24 | green << 16 | blue << 8 | 255
    return value - 2**32 if value >= 2**31 else value


def _write(path: Path, pixels: np.ndarray = PLANES, **options: object) -> None:
    tifffile.imwrite(path, pixels, **options)


def _write_pages(path: Path, *pages: np.ndarray) -> None:
    with tifffile.TiffWriter(path) as file:
        for pixels in pages:
            colors = "rgb" if pixels.ndim == 3 else "minisblack"
            file.write(pixels, photometric=colors, metadata=None)


def _write_ome(path: Path, pixels: np.ndarray, colors: list[int]) -> None:
    metadata = {"axes": "CYX", "Channel": {"Color": colors}}
    tifffile.imwrite(
        path, pixels, ome=True, photometric="minisblack", metadata=metadata
    )


def _write_composite(path: Path, pixels: np.ndarray, tables: str) -> None:
    luts = [_TABLES[name] for name in tables]
    metadata = {"axes": "CYX", "mode": "composite", "LUTs": luts}
    tifffile.imwrite(path, pixels, imagej=True, metadata=metadata)


BLUE_GREEN_RED = np.ascontiguousarray(PLANES[::-1])
FOUND: dict[str, tuple[Callable[[Path], None], np.ndarray, tuple[str, ...]]] = {
    "ImageJ composite": (
        lambda p: _write(p, imagej=True, metadata={"axes": "CYX"}),
        RGB,
        (GUESSED,),
    ),
    "ImageJ composite with tables": (
        lambda p: _write_composite(p, BLUE_GREEN_RED, "bgr"),
        RGB,
        (),
    ),
    "OME channels": (
        lambda p: _write(
            p, ome=True, metadata={"axes": "CYX"}, photometric="minisblack"
        ),
        RGB,
        (GUESSED,),
    ),
    "OME channels with colours": (
        lambda p: _write_ome(
            p,
            BLUE_GREEN_RED,
            [_signed(0, 0, 255), _signed(0, 255, 0), _signed(255, 0, 0)],
        ),
        RGB,
        (),
    ),
    "thumbnail first": (
        lambda p: _write_pages(p, RGB[::3, ::3], RGB, GREY[::2, ::3]),
        RGB,
        (tiff.PAGES_UNUSED,),
    ),
    "mask behind the image": (
        lambda p: _write_pages(p, RGB, GREY),
        RGB,
        (tiff.PAGES_UNUSED,),
    ),
    "levels": (lambda p: _write_pages(p, RGB, RGB[::2, ::2], RGB[::4, ::4]), RGB, ()),
    "planar": (
        lambda p: _write(p, photometric="rgb", planarconfig="separate"),
        RGB,
        (),
    ),
    "big-endian planar 16 bits": (
        lambda p: _write(
            p,
            PLANES.astype(np.uint16) * 7,
            photometric="rgb",
            planarconfig="separate",
            byteorder=">",
        ),
        RGB.astype(np.uint16) * 7,
        (),
    ),
    "one plane of a volume": (
        lambda p: _write(p, GREY[None, None], imagej=True, metadata={"axes": "TZYX"}),
        np.stack([GREY] * 3, -1),
        (),
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_the_image_of_a_file_is_found(name: str, tmp_path: Path) -> None:
    write, expected, notes = FOUND[name]
    path = tmp_path / "a.tif"
    write(path)
    found = images.load(path)
    np.testing.assert_array_equal(found.pixels, expected)
    assert found.pixels.dtype == expected.dtype
    assert found.header.notes == notes
    assert images.sizes(path) == ((H, W), (H, W), 1)


VOLUME = np.zeros((16, 32, 48), np.uint16)
STACKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "pages": (lambda p: _write_pages(p, *VOLUME[:5]), "stack of 5 planes"),
    "three pages": (lambda p: _write_pages(p, *PLANES), "stack of 3 planes"),
    "two rgb pages": (lambda p: _write_pages(p, RGB, RGB), "stack of 2 planes"),
    "shaped": (lambda p: _write(p, VOLUME[:5]), "stack of 5 planes"),
    "ImageJ": (lambda p: _write(p, VOLUME, imagej=True), "stack of 16 planes"),
    "volume": (
        lambda p: _write(p, VOLUME, volumetric=True, tile=(16, 16, 16)),
        "stack of 16 planes",
    ),
    "film": (
        lambda p: _write(p, VOLUME[:4], ome=True, metadata={"axes": "TYX"}),
        "stack of 4 planes",
    ),
    "four channels": (
        lambda p: _write(p, VOLUME[:4], ome=True, metadata={"axes": "CYX"}),
        "stack of 4 planes",
    ),
    "channels of a film": (
        lambda p: _write(
            p,
            VOLUME[:6].reshape(2, 3, 32, 48),
            imagej=True,
            metadata={"axes": "TCYX"},
        ),
        "stack of 6 planes",
    ),
    "channels of other colours": (
        lambda p: _write_composite(p, PLANES, "brr"),
        "#0000ff, #ff0000, #ff0000, not red, green",
    ),
}


@pytest.mark.parametrize("name", STACKS)
def test_stacks_are_refused(name: str, tmp_path: Path) -> None:
    write, what = STACKS[name]
    path = tmp_path / "a.tif"
    write(path)
    for read in (images.load_image, images.read_size, check_one_plane):
        with pytest.raises(DataError, match=rf"a\.tif .*{what}.*: save"):
            read(path)


def test_views_of_one_size_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        for _ in range(2):
            file.write(RGB, photometric="rgb")
    with pytest.raises(DataError, match="holds 2 images of one size: save one"):
        images.load_image(path)


def test_a_file_of_a_set_of_files_is_one_image(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.stack([GREY] * 5), ome=True, metadata={"axes": "TYX"})
    with tifffile.TiffFile(path) as file:
        text = file.ome_metadata
    tifffile.imwrite(path, GREY, description=text, metadata=None)  # T is still 5
    np.testing.assert_array_equal(images.load_image(path)[..., 1], GREY)


def test_channels_are_not_one_plane_of_ids(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for pixels, options in (
        (np.zeros((5, 7), np.uint16), {}),
        (np.zeros((5, 7, 3), np.uint8), {"photometric": "rgb"}),
    ):
        tifffile.imwrite(path, pixels, **options)
        check_one_plane(path)
    FOUND["ImageJ composite"][0](path)
    with pytest.raises(DataError, match=r"a\.tif is a stack of 3 planes"):
        check_one_plane(path)


def test_a_cut_channel_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    FOUND["OME channels"][0](path)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[2].tags["StripOffsets"].overwrite(10**6)
    with pytest.raises(DataError, match="truncated"):
        images.load_image(path)


def test_a_file_with_too_few_strips_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, rowsperstrip=H // 2)
    images.load_image(path)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages.first.tags["ImageLength"].overwrite(2 * H)
    with pytest.raises(DataError, match="truncated"):
        images.load_image(path)


def test_size_limit_is_inclusive() -> None:
    check_size(Path("a.png"), 5, 7, 35)
    with pytest.raises(DataError, match=r"a\.png is 5 x 7 px, more than 34"):
        check_size(Path("a.png"), 5, 7, 34)
