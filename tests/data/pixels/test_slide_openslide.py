from collections.abc import Iterator
import contextlib
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from cellrec_jax.data.pixels import slide_openslide
from cellrec_jax.data.pixels.slide_reader import BadRegion, find_levels
from cellrec_jax.errors import DataError

RGB = np.random.default_rng(8).integers(0, 256, (128, 192, 3), np.uint8)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("10", "20", "30", "40"), (10, 20, 40, 60)),
        (("0", "0", "100", "200"), (0, 0, 100, 200)),
        (("90", "-5", "30", "40"), (90, 0, 100, 35)),  # inside of the slide
        (("100", "0", "5", "5"), None),
        (("0", "0", "0", "5"), None),
        (("a", "0", "5", "5"), None),
        (("inf", "0", "5", "5"), None),
        ((), None),
    ],
)
def test_bounds(given: tuple[str, ...], expected: tuple[int, ...] | None) -> None:
    names = [f"openslide.bounds-{name}" for name in ("y", "x", "height", "width")]
    properties = dict(zip(names, given, strict=False))
    assert slide_openslide._bounds(properties, (100, 200)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [(("-96063", "12538720"), (-96063, 12538720)), (("1", "nan"), None), ((), None)],
)
def test_middle_of_the_glass(given: tuple[str, ...], expected: object) -> None:
    names = [f"hamamatsu.{axis}OffsetFromSlideCentre" for axis in "YX"]
    properties = dict(zip(names, given, strict=False))
    assert slide_openslide._center(properties) == expected


@pytest.fixture
def handles(monkeypatch: pytest.MonkeyPatch) -> list[openslide.OpenSlide]:
    """All handles that are opened, in order."""
    made = []

    class Handle(openslide.OpenSlide):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            self.is_closed = False
            made.append(self)

        def close(self) -> None:
            super().close()
            self.is_closed = True

    monkeypatch.setattr(openslide, "OpenSlide", Handle)
    return made


def _damaged(path: Path) -> Path:
    """Six tiles of 64 x 64, of which the fifth has no JPEG in it."""
    options = {"tile": (64, 64), "photometric": "rgb", "compression": "jpeg"}
    tifffile.imwrite(path, RGB, metadata=None, **options)
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[4]
    content = bytearray(path.read_bytes())
    content[offset : offset + 20] = bytes(20)
    path.write_bytes(content)
    return path


def _places() -> Iterator[tuple[int, int]]:
    for top in (0, 64):
        for left in (0, 64, 128):
            yield top, left


def test_a_handle_that_met_a_bad_tile_is_replaced(
    tmp_path: Path, handles: list[openslide.OpenSlide]
) -> None:
    path = _damaged(tmp_path / "a.tif")
    with openslide.OpenSlide(path) as alone:  # what this is good for
        with pytest.raises(openslide.OpenSlideError):
            alone.read_region((64, 64), 0, (64, 64))
        with pytest.raises(openslide.OpenSlideError):
            alone.read_region((0, 0), 0, (64, 64))
    handles.clear()
    bad = []
    with contextlib.closing(slide_openslide.open_reader(path)) as reader:
        for place in [*_places(), *_places()]:
            try:
                reader.read(0, place, (64, 64))
            except BadRegion:
                bad.append(place)
        assert [handle.is_closed for handle in handles] == [True, True, False]
    assert bad == [(64, 64)] * 2
    assert all(handle.is_closed for handle in handles)


@pytest.mark.parametrize("where", ["opening", "reading"])
def test_too_many_open_files_are_no_damage(
    tmp_path: Path,
    handles: list[openslide.OpenSlide],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    def failing(*_: object) -> None:
        raise openslide.OpenSlideError("Couldn't open a.tif: Too many open files")

    path = _damaged(tmp_path / "a.tif")
    with contextlib.closing(slide_openslide.open_reader(path)) as reader:
        if where == "opening":
            with pytest.raises(BadRegion):  # which costs the handle
                reader.read(0, (64, 64), (64, 64))
            monkeypatch.setattr(openslide, "OpenSlide", failing)
        else:
            monkeypatch.setattr(handles[0], "read_region", failing)
        with pytest.raises(OSError, match="Too many open files"):
            reader.read(0, (0, 0), (64, 64))


def test_a_handle_that_is_lent_is_closed_when_it_comes_back(
    tmp_path: Path,
    handles: list[openslide.OpenSlide],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = slide_openslide.open_reader(_damaged(tmp_path / "a.tif"))
    read = handles[0].read_region

    def late(*arguments: object) -> object:
        reader.close()
        assert not handles[0].is_closed
        return read(*arguments)

    monkeypatch.setattr(handles[0], "read_region", late)
    assert reader.read(0, (0, 0), (8, 8)).shape == (8, 8, 3)
    assert handles[0].is_closed


def test_levels_are_what_is_alike_and_smaller() -> None:
    sizes = [(1001, 601), (500, 300), (500, 300), (125, 74), (300, 300), (7, 4)]
    levels = find_levels(Path("a"), sizes)
    assert list(levels) == [0, 1, 3, 5]
    assert levels[3] == ((125, 74), (1001 / 125, 601 / 74))


@pytest.mark.parametrize(
    ("whole", "part", "by"),
    [
        ((3567, 4443), (1783, 2221), (2, 2)),
        ((3567, 4443), (1784, 2222), (2, 2)),  # rounded up
        ((300, 250), (37, 31), (8, 8)),
        ((3567, 4443), (1189, 1481), (3, 3)),
        ((3567, 4443), (1782, 2221), (3567 / 1782, 4443 / 2221)),
        ((3000, 4000), (1200, 1600), (2.5, 2.5)),
    ],
)
def test_levels_are_made_by_whole_numbers_where_sizes_are_rounded(
    whole: tuple[int, int], part: tuple[int, int], by: tuple[float, float]
) -> None:
    assert find_levels(Path("a"), [whole, part])[1].downsample_yx == by


@pytest.mark.parametrize("sizes", [[], [(10, 0)], [(10, 10), (0, 5)], [(2**21, 2**20)]])
def test_sizes_that_no_slide_has(sizes: list[tuple[int, int]]) -> None:
    with pytest.raises(DataError, match="again"):
        find_levels(Path("a"), sizes)
