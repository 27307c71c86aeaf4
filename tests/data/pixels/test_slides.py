from collections.abc import Callable, Iterator
from concurrent import futures
import contextlib
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
import imagecodecs
import numpy as np
import pytest
import tifffile

from cellrec_jax.data.pixels import slide_openslide, slide_tiff, slide_tiles, slides
from cellrec_jax.errors import DataError

H, W, TILE = 203, 301, 64  # the second level's downsampling is no whole number
Y, X = np.mgrid[:H, :W]
RGB = np.stack([Y + X, 3 * Y % 256, 255 - X % 251], -1).astype(np.uint8)
RGB[60:130, 70:200] = np.random.default_rng(5).integers(0, 256, (70, 130, 3), np.uint8)
LEVELS = [RGB, RGB[::2, ::2][:-1, :-1], RGB[::4, ::4][:-1, :-1]]
SIZES = [(203, 301), (101, 150), (50, 75)]


def write_pyramid(
    path: Path, compression: object = "deflate", **options: object
) -> None:
    """Three levels, the lower ones as pages that say so."""
    first = {
        key: options.pop(key) for key in ("description", "resolution") if key in options
    }
    with tifffile.TiffWriter(path) as file:
        for number, pixels in enumerate(LEVELS):
            file.write(
                np.ascontiguousarray(pixels),
                tile=(TILE, TILE),
                photometric="rgb",
                compression=compression,
                metadata=None,
                subfiletype=min(number, 1),
                **(options | first if number == 0 else options),
            )


def write_one(path: Path, pixels: np.ndarray = RGB, **options: object) -> None:
    options = {"photometric": "rgb", "compression": "deflate", **options}
    tifffile.imwrite(
        path, pixels, **{"tile": (TILE, TILE), "metadata": None, **options}
    )


def write_ome(path: Path, **metadata: object) -> None:
    """Lower levels behind a tag of the first page."""
    with tifffile.TiffWriter(path, ome=True) as file:
        for number, pixels in enumerate(LEVELS):
            below = (
                {"subfiletype": 1} if number else {"subifds": 2, "metadata": metadata}
            )
            options = {"tile": (TILE, TILE), "photometric": "rgb"}
            file.write(
                np.ascontiguousarray(pixels), compression="lzw", **options, **below
            )


def write_aperio(path: Path, compression: int, pixels: np.ndarray) -> None:
    """Tiles of JPEG 2000, of which the number of the compression tells the colours."""

    def tiles() -> Iterator[bytes]:
        options = {"level": 0, "codecformat": "j2k", "mct": False, "reversible": True}
        for top in range(0, H, TILE):
            for left in range(0, W, TILE):
                tile = np.zeros((TILE, TILE, 3), np.uint8)
                part = pixels[top : top + TILE, left : left + TILE]
                tile[: part.shape[0], : part.shape[1]] = part
                yield imagecodecs.jpeg2k_encode(tile, **options)

    text = "Aperio Image Library v11\r\n301x203 (64x64) J2K|AppMag = 20|MPP = 0.25"
    options = {"shape": RGB.shape, "dtype": np.uint8, "description": text}
    write_one(path, tiles(), compression=compression, **options)


def write_scn(path: Path) -> None:
    """Leica's: a scan of H x W px of 0.5 um at (400, 300) of a slide 1000 x 750."""
    form = (
        '<image><device model="m" version="1"/><pixels sizeX="{1}" sizeY="{0}">'
        '<dimension sizeX="{1}" sizeY="{0}" r="0" ifd="{6}"/></pixels><view '
        'sizeX="{3}" sizeY="{2}" offsetX="{5}" offsetY="{4}"/><scanSettings>'
        "<objectiveSettings>"
        "<objective>{7}</objective></objectiveSettings><illuminationSettings>"
        "<illuminationSource>brightfield</illuminationSource></illuminationSettings>"
        "</scanSettings></image>"
    )
    all_hw, scan_hw = (500_000, 375_000), (H * 500, W * 500)  # nm
    text = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        f'<collection sizeX="{all_hw[1]}" sizeY="{all_hw[0]}"><barcode/>'
        + form.format(80, 60, *all_hw, 0, 0, 0, 1)
        + form.format(H, W, *scan_hw, 400 * 500, 300 * 500, 1, 20)
        + "</collection></scn>"
    )
    options = {"photometric": "rgb", "compression": "jpeg", "metadata": None}
    options |= {"resolution": (20_000, 20_000), "resolutionunit": 3}
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(RGB[:80, :60].copy(), description=text, tile=(TILE, TILE), **options)
        file.write(RGB, tile=(TILE, TILE), **options)


def tile_place(path: Path, number: int, page: int = 0) -> tuple[int, int]:
    """Where the bytes of a tile are, and how many."""
    with tifffile.TiffFile(path) as file:
        found = file.pages[page]
        return found.dataoffsets[number], found.databytecounts[number]


def change_tag(path: Path, name: str, number: int, value: int, page: int = 0) -> None:
    with tifffile.TiffFile(path, mode="r+b") as file:
        values = list(file.pages[page].tags[name].value)
        values[number] = value
        file.pages[page].tags[name].overwrite(values)


def overwrite(path: Path, offset: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)


def read_all(path: Path, level: int = 0) -> np.ndarray:
    with slides.opened(path) as slide:
        return slides.read_region(slide, level, (0, 0), slide.levels[level].size_hw)


@pytest.fixture(params=["tifffile", "openslide"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both readers of a TIFF that both can read."""
    if request.param == "openslide":
        monkeypatch.setattr(slide_tiff, "_TRIED_KINDS", ())
    return request.param


PLANES = np.ascontiguousarray(RGB.transpose(2, 0, 1))
GREY = np.repeat(RGB[..., :1], 3, axis=-1)
YCBCR = imagecodecs.jpeg8_decode(
    imagecodecs.jpeg8_encode(RGB, level=100, subsampling="444"), outcolorspace="ycbcr"
)
JPEG = {"compression": "jpeg", "compressionargs": {"level": 90}}
BOTH: dict[str, tuple[Callable[[Path], None], np.ndarray]] = {
    "deflate": (write_pyramid, RGB),
    "predictor": (lambda p: write_pyramid(p, predictor=2), RGB),
    "lzw": (lambda p: write_pyramid(p, "lzw"), RGB),
    "zstd": (lambda p: write_pyramid(p, "zstd"), RGB),
    "plain": (lambda p: write_pyramid(p, None), RGB),
    "planar": (
        lambda p: write_one(p, PLANES, planarconfig="separate"),
        RGB,
    ),
    "grey": (lambda p: write_one(p, RGB[..., 0], photometric="minisblack"), GREY),
    "white is 0": (
        lambda p: write_one(p, RGB[..., 0], photometric="miniswhite"),
        255 - GREY,
    ),
    "Aperio": (lambda p: write_aperio(p, 33005, RGB), RGB),
}
ONE: dict[str, tuple[Callable[[Path], None], np.ndarray]] = {
    "OME-TIFF": (write_ome, RGB),
    "JPEG 2000": (lambda p: write_one(p, compression="jpeg2000"), RGB),
    "strips": (lambda p: write_one(p, tile=None, rowsperstrip=40), RGB),
    "one strip": (lambda p: write_one(p, tile=None, rowsperstrip=H), RGB),
}


@pytest.mark.parametrize("name", BOTH)
def test_levels_are_read_by_either(name: str, reader: str, tmp_path: Path) -> None:
    write, expected = BOTH[name]
    path = tmp_path / "a.tif"
    write(path)
    with slides.opened(path) as slide:
        assert slide.reader.name == reader
        found = [
            slides.read_region(slide, number, (0, 0), level.size_hw)
            for number, level in enumerate(slide.levels)
        ]
    np.testing.assert_array_equal(found[0], expected)
    assert found[0].dtype == np.uint8
    for pixels, level in zip(found, LEVELS, strict=False):
        assert pixels.shape == level.shape
        if expected is RGB:
            np.testing.assert_array_equal(pixels, level)


@pytest.mark.parametrize("name", ONE)
def test_what_openslide_does_not_open(name: str, tmp_path: Path) -> None:
    write, expected = ONE[name]
    path = tmp_path / "a.tif"
    write(path)
    assert slides.describe(path).reader == "tifffile"
    np.testing.assert_array_equal(read_all(path), expected)
    if name == "OME-TIFF":
        assert [level.size_hw for level in slides.describe(path).levels] == SIZES
        np.testing.assert_array_equal(read_all(path, 2), LEVELS[2])


@pytest.mark.parametrize("subsampling", ["444", "422", "420"])
@pytest.mark.parametrize("colors", ["ycbcr", "rgb"])
def test_jpeg_is_shown_as_openslide_does(
    colors: str,
    subsampling: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "a.tif"
    options = {"outcolorspace": colors, "level": 90}
    if colors == "ycbcr":
        options["subsampling"] = subsampling
    write_pyramid(path, "jpeg", compressionargs=options)
    with slides.opened(path) as slide:
        assert slide.reader.name == "tifffile"
    found = [read_all(path, level) for level in range(3)]
    monkeypatch.setattr(slide_tiff, "_TRIED_KINDS", ())
    for level, pixels in enumerate(found):
        np.testing.assert_array_equal(pixels, read_all(path, level))
    assert np.abs(found[0].astype(int) - RGB)[:50].mean() < 6


def test_aperio_ycbcr_is_openslides(tmp_path: Path) -> None:
    """It rounds a few greens otherwise, so it is left to it."""
    path = tmp_path / "a.svs"
    write_aperio(path, 33003, YCBCR)
    assert slides.describe(path).reader == "openslide"
    found = read_all(path).astype(int)
    assert np.abs(found - RGB).max() <= 4  # rounded twice
    with contextlib.closing(slide_tiff.open_reader(path)) as other:
        assert np.abs(found - other.read(0, (0, 0), (H, W))).max() <= 1


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slides") / "a.tif"
    write_pyramid(path)
    return path


def _expected(
    whole: np.ndarray, origin_yx: list[int], size_hw: list[int]
) -> np.ndarray:
    """Each px by itself: of the level, or white."""
    region = np.full((*size_hw, 3), 255, np.uint8)
    for y in range(size_hw[0]):
        for x in range(size_hw[1]):
            at = y + origin_yx[0], x + origin_yx[1]
            if 0 <= at[0] < whole.shape[0] and 0 <= at[1] < whole.shape[1]:
                region[y, x] = whole[at]
    return region


@settings(max_examples=30)
@given(
    level=st.integers(0, 2),
    origin=st.tuples(st.integers(-30, 220), st.integers(-30, 320)),
    size=st.tuples(st.integers(0, 30), st.integers(0, 30)),
)
def test_a_region_is_that_part_of_its_level(
    pyramid: Path, level: int, origin: tuple[int, int], size: tuple[int, int]
) -> None:
    with slides.opened(pyramid) as slide:
        found = slides.read_region(slide, level, origin, size)
    np.testing.assert_array_equal(found, _expected(LEVELS[level], origin, size))


@settings(max_examples=20)
@given(
    level=st.integers(0, 1),
    origin=st.tuples(st.integers(-30, 200), st.integers(-30, 300)),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_a_region_by_openslide_is_that_part_of_its_level(
    halved: Path, level: int, origin: tuple[int, int], size: tuple[int, int]
) -> None:
    """Where the downsampling is 2; elsewhere OpenSlide blends, see below."""
    whole = [RGB[:202, :300], RGB[:202:2, :300:2]][level]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slide_tiff, "_TRIED_KINDS", ())
        with slides.opened(halved) as slide:
            assert slide.reader.name == "openslide"
            found = slides.read_region(slide, level, origin, size)
    np.testing.assert_array_equal(found, _expected(whole, origin, size))


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slides") / "b.tif"
    options = {"tile": (TILE, TILE), "photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as file:
        file.write(RGB[:202, :300].copy(), **options)
        file.write(RGB[:202:2, :300:2].copy(), subfiletype=1, **options)
    return path


def test_levels_that_openslide_blends_are_told(
    pyramid: Path, halved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert slides.describe(pyramid).notes == ()
    monkeypatch.setattr(slide_tiff, "_TRIED_KINDS", ())
    (note,) = slides.describe(pyramid).notes
    assert "level 1, 2" in note
    assert slides.describe(halved).notes == ()
    with slides.opened(pyramid) as slide:
        found = slides.read_region(slide, 1, (40, 100), (30, 40)).astype(float)
    # Still at its place, to half a px of level 0: nearer than if moved by a px.
    moved = [
        LEVELS[1][y : y + 30, x : x + 40] for y in (39, 40, 41) for x in (99, 100, 101)
    ]
    errors = [np.abs(found - pixels).mean() for pixels in moved]
    assert np.argmin(errors) == 4


@settings(max_examples=20)
@given(
    origin=st.tuples(st.integers(0, 90), st.integers(0, 140)),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_blended_px_do_not_depend_on_what_is_read(
    pyramid: Path, origin: tuple[int, int], size: tuple[int, int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slide_tiff, "_TRIED_KINDS", ())
        patch.setattr(slide_openslide, "_BLOCK", 32)
        with slides.opened(pyramid) as slide:
            assert slide.reader.name == "openslide"
            whole = slides.read_region(slide, 1, (0, 0), SIZES[1])
            found = slides.read_region(slide, 1, origin, size)
    np.testing.assert_array_equal(found, _expected(whole, origin, size))


def test_a_description_tells_of_levels_and_bytes(pyramid: Path) -> None:
    found = slides.describe(pyramid)
    assert found.path == pyramid
    assert found.reader == "tifffile"
    assert [level.size_hw for level in found.levels] == SIZES
    assert found.levels[1].downsample_yx == (2, 2)
    assert found.num_bytes == len(pyramid.read_bytes())
    assert found.bounds_yxyx is None
    assert (found.mpp, found.mpp_source, found.notes) == (0.0, "", ())


def test_other_images_of_a_file_are_no_levels(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    options = {"photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as file:
        file.write(RGB, tile=(TILE, TILE), **options)
        file.write(RGB[::4, ::2].copy(), tile=(TILE, TILE), subfiletype=1, **options)
        file.write(RGB[:90, :40].copy(), **options)
    assert [level.size_hw for level in slides.describe(path).levels] == [(H, W)]


def test_bounds_and_what_was_not_scanned(tmp_path: Path) -> None:
    path = tmp_path / "a.scn"
    write_scn(path)
    found = slides.describe(path)
    assert found.reader == "openslide"
    assert found.levels[0].size_hw == (1000, 750)
    assert found.bounds_yxyx == (400, 300, 400 + H, 300 + W)
    assert (found.mpp, found.mpp_source) == (0.5, "OpenSlide (leica)")
    with slides.opened(path) as slide:
        region = slides.read_region(slide, 0, (390, 290), (30, 30))
    assert (region[:10] == 255).all()
    assert (region[:, :10] == 255).all()
    difference = region[10:, 10:].astype(int) - RGB[:20, :20]
    assert np.abs(difference).mean() < 6  # JPEG


@pytest.mark.parametrize("compression", ["deflate", "jpeg"])
def test_missing_tiles_are_white(compression: str, reader: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_pyramid(path, compression)
    before = read_all(path)
    change_tag(path, "TileByteCounts", 6, 0)  # row 1, column 1 of 4 x 5
    change_tag(path, "TileOffsets", 6, 0)
    assert slides.describe(path).reader == reader
    before[64:128, 64:128] = 255
    np.testing.assert_array_equal(read_all(path), before)


@pytest.mark.parametrize(
    ("compression", "start", "filled"),
    [
        *(("deflate", 0, 0), ("lzw", 0, 0), ("jpeg", 0, 0)),
        *(("deflate", 0.5, 0), ("jpeg", 0.5, 255)),
    ],
)
def test_a_damaged_tile_spares_all_others(
    compression: str, start: float, filled: int, reader: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    write_pyramid(path, compression)
    whole = read_all(path)
    offset, count = tile_place(path, 6)
    skipped = int(count * start)
    overwrite(path, offset + skipped, bytes([filled]) * (count - skipped))
    bad = []
    with slides.opened(path) as slide:
        assert slide.reader.name == reader
        for top in range(0, H, TILE):
            for left in range(0, W, TILE):
                size = min(TILE, H - top), min(TILE, W - left)
                try:
                    found = slides.read_region(slide, 0, (top, left), size)
                except slides.BadRegion as error:
                    bad.append(str(error))
                    continue
                expected = whole[top : top + TILE, left : left + TILE]
                np.testing.assert_array_equal(found, expected)
        with pytest.raises(slides.BadRegion):
            slides.read_region(slide, 0, (120, 120), (60, 60))
        found = slides.read_region(slide, 1, (0, 0), (5, 5))
    (told,) = bad
    assert f"{path}: level 0 at y 64, x 64 cannot be read" in told
    assert found.shape == (5, 5, 3)


def test_a_lost_file_is_no_damage(
    reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    write_pyramid(path)
    with slides.opened(path) as slide:
        assert slide.reader.name == reader

        def fail(*_: object) -> None:
            raise OSError(5, "Input/output error")

        if reader == "tifffile":
            monkeypatch.setattr(slide_tiles.TiledPages, "_bytes", fail)
        else:  # of which OpenSlide tells in words of its own
            overwrite(path, tile_place(path, 0)[0], bytes(20))
            monkeypatch.setattr(type(path), "stat", fail)
        with pytest.raises(OSError, match="Input/output"):
            slides.read_region(slide, 0, (0, 0), (9, 9))


def _rgba(extra: str) -> np.ndarray:
    alpha = np.broadcast_to((X % 256)[..., None], (H, W, 1)).astype(np.uint8)
    share = alpha / 255 if extra == "assocalpha" else 1
    return np.concatenate([(RGB * share).astype(np.uint8), alpha], -1)


@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha"])
def test_transparency_is_on_white(extra: str, reader: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_one(path, _rgba(extra), extrasamples=[extra])
    share = (X % 256)[..., None] / 255
    expected = RGB * share + 255 * (1 - share)
    assert np.abs(read_all(path) - expected).max() < 2.5, reader


def test_clear_tiles_are_white_not_black(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = np.zeros((H, W, 4), np.uint8)
    pixels[100:, ..., 3] = 255
    write_one(path, pixels, extrasamples=["assocalpha"])
    found = read_all(path)
    assert (found[:100] == 255).all()
    assert (found[100:] == 0).all()


def test_where_pixels_differ_openslide_is_shown(tmp_path: Path) -> None:
    """Of a fourth channel without a name, which OpenSlide takes for transparency."""
    path = tmp_path / "a.tif"
    write_one(path, _rgba("assocalpha"), extrasamples=["unspecified"])
    found = slides.describe(path)
    assert found.reader == "openslide"
    assert found.levels[0].size_hw == (H, W)


def test_aperio_levels_with_missing_tiles_are_openslides(tmp_path: Path) -> None:
    """It makes them of the finer level."""
    path = tmp_path / "a.svs"
    options = {"tile": (TILE, TILE), "photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as file:
        file.write(RGB, description="Aperio Image|MPP = 0.5", **options)
        file.write(RGB[::4, ::4].copy(), **options | {"tile": None})  # thumbnail
        file.write(RGB[::2, ::2].copy(), **options)
    found = slides.describe(path)
    assert found.reader == "tifffile"
    assert len(found.levels) == 2
    change_tag(path, "TileByteCounts", 0, 0, page=2)
    assert slides.describe(path).reader == "openslide"
    with slides.opened(path) as slide:
        assert (slides.read_region(slide, 1, (0, 0), (20, 20)) < 255).any()


def test_a_turned_pyramid_is_shown_as_stored(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_pyramid(path, extratags=[(274, 3, 1, 6, True)])
    (note,) = slides.describe(path).notes
    assert "orientation" in note
    np.testing.assert_array_equal(read_all(path), RGB)


def test_threads_share_a_slide(reader: str, pyramid: Path) -> None:
    places = [(top, left) for top in range(0, 180, 30) for left in range(0, 270, 30)]
    with slides.opened(pyramid) as slide, futures.ThreadPoolExecutor(4) as pool:
        assert slide.reader.name == reader
        found = list(
            pool.map(lambda yx: slides.read_region(slide, 0, yx, (45, 45)), places)
        )
    for (top, left), pixels in zip(places, found, strict=True):
        expected = _expected(RGB, (top, left), (45, 45))
        np.testing.assert_array_equal(pixels, expected)


def test_an_open_slide_does_not_keep_its_file(reader: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_pyramid(path)
    held = Path("/proc/self/fd")
    if not held.exists():
        pytest.skip("no list of open files")
    with slides.opened(path) as slide, futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda y: slides.read_region(slide, 0, (y, 0), (9, 9)), range(9)))
    slides.describe(path)
    names = {link.resolve() for link in held.iterdir()}
    assert path.resolve() not in names, reader


def test_real_slides(real_data: Path) -> None:
    folder = real_data / "W_slides"
    found = {
        name: slides.describe(folder / name)
        for name in (
            "CMU-1-Small-Region.svs",
            "small.svs",
            "test3-DAPI-2-(387).ndpi",
            "OS-2-ndpi.ome.tif",
            "boxes.tiff",
            "yb10kx5k.zstd.tiff",
            "tcga-cr-7395-01a-01-ts1.svs",
        )
    }
    assert [(round(d.mpp, 3), d.mpp_source, d.reader) for d in found.values()] == [
        (0.499, "OpenSlide (aperio)", "tifffile"),
        (0.499, "OpenSlide (aperio)", "tifffile"),
        (0.228, "OpenSlide (hamamatsu)", "openslide"),
        (0.227, "OME-XML", "tifffile"),
        (0, "", "tifffile"),
        (0, "", "tifffile"),
        (0, "", "tifffile"),
    ]
    assert "352.8" in found["boxes.tiff"].notes[0]
    assert "352.9" in found["yb10kx5k.zstd.tiff"].notes[0]
    given = slides.describe(folder / "tcga-cr-7395-01a-01-ts1.svs", 0.25)
    assert (given.mpp, given.mpp_source, len(given.levels)) == (0.25, "--mpp", 2)
    with pytest.raises(DataError, match=r"broken\.svs"):
        slides.describe(folder / "broken.svs")
