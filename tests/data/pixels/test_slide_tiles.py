from pathlib import Path
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile

from cellrec_jax.data.pixels import slide_tiles, slides
from cellrec_jax.data.pixels.slide_tiles import TileCache, TiledPages

NOISE = np.random.default_rng(2).integers(0, 256, (200, 300, 3), np.uint8)


def _write(path: Path, **options: object) -> None:
    options = {"tile": (64, 64), "photometric": "rgb", **options}
    tifffile.imwrite(path, NOISE, metadata=None, **options)


def test_the_last_used_tiles_are_kept() -> None:
    tile = np.zeros((10, 10), np.uint8)
    cache = TileCache(350)
    for key in "abc":
        cache.put(key, tile)
    assert cache.get("a") is tile
    cache.put("a", tile)  # again: counts once
    cache.put("d", tile)
    assert [cache.get(key) is tile for key in "abcd"] == [True, False, True, True]
    cache.put("e", np.zeros(351, np.uint8))  # alone too large: the others stay
    assert [cache.get(key) is tile for key in "acde"] == [True, True, True, False]


@pytest.mark.parametrize("options", [{}, {"tile": None, "rowsperstrip": 8}])
def test_only_tiles_of_a_region_are_decoded_once(
    options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    _write(path, compression="lzma", **options)
    decoded: list[tuple[int, int]] = []
    decode = TiledPages._decoded

    def counted(self: TiledPages, page: object, row: int, column: int) -> object:
        decoded.append((row, column))
        return decode(self, page, row, column)

    monkeypatch.setattr(TiledPages, "_decoded", counted)
    with slides.opened(path) as slide:
        for left in (70, 90, 110):
            found = slides.read_region(slide, 0, (60, left), (10, 40))
            np.testing.assert_array_equal(found, NOISE[60:70, left : left + 40])
    expected = [(7, 0), (8, 0)] if options else [(0, 1), (1, 1), (0, 2), (1, 2)]
    assert decoded == expected


def _jpeg(height: int, width: int) -> bytes:
    """An image of 8 x 8 whose header says otherwise."""
    data = bytearray(imagecodecs.jpeg8_encode(NOISE[:8, :8]))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def _jpeg_2000(height: int, width: int) -> bytes:
    data = bytearray(imagecodecs.jpeg2k_encode(NOISE[:8, :8], codecformat="j2k"))
    at = data.index(b"\xff\x4f\xff\x51") + 8
    data[at : at + 8] = struct.pack(">II", width, height)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "compression", "reason"),
    [
        (_jpeg(65500, 65500), 7, "12,870,750,000 bytes"),
        (_jpeg_2000(2**31, 2**20), 34712, "bytes"),
        (b"\xff\xd8 between" + _jpeg(8, 8)[2:], 7, "no JPEG"),
        (_jpeg(8, 8)[:-2], 7, "end is missing"),
        (b"\xff\xd8\xff", 7, "unpack"),
        (b"no code stream", 34712, "not found"),
    ],
)
def test_a_tile_that_claims_too_much_is_not_decoded(
    data: bytes, compression: int, reason: str
) -> None:
    with pytest.raises((ValueError, struct.error), match=reason):
        slide_tiles._check_claim(data, compression)


def test_claims_of_sound_tiles() -> None:
    slide_tiles._check_claim(_jpeg(8, 8), 7)
    slide_tiles._check_claim(_jpeg_2000(8, 8), 34712)
    assert slide_tiles._jpeg_bytes(_jpeg(8, 16)) == 384
    assert slide_tiles._jpeg_2000_bytes(_jpeg_2000(8, 16)) == 384
    boxed = imagecodecs.jpeg2k_encode(NOISE[:8, :16], codecformat="jp2")
    assert slide_tiles._jpeg_2000_bytes(boxed) == 384


def test_a_bomb_in_a_file_is_a_bad_region(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    _write(path, compression="jpeg2000")
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[2]
    content = bytearray(path.read_bytes())
    at = content.index(b"\xff\x4f\xff\x51", offset) + 8
    content[at : at + 8] = struct.pack(">II", 2**30, 2**30)
    path.write_bytes(content)
    with slides.opened(path) as slide:
        with pytest.raises(slides.BadRegion, match="row 0, column 2 is damaged"):
            slides.read_region(slide, 0, (0, 130), (4, 4))
        assert slides.read_region(slide, 0, (70, 130), (4, 4)).shape == (4, 4, 3)
