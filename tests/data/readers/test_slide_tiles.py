"""Which tiles a slide's annotations ask for, and what is known in each."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np

from cellrec_jax import geometry, polygons
from cellrec_jax.data.annotations.content import Annotations
from cellrec_jax.data.readers import clean, slide_tiles

SIZE = 150, 210
TILE = 32, 32  # as many samples: no part of an area is overlooked


def _annotations(
    points_yx: list[tuple[float, float]],
    annotated: tuple[polygons.Polygon, ...] = (),
    ignore: tuple[polygons.Polygon, ...] = (),
) -> Annotations:
    number = len(points_yx)
    return Annotations(
        np.array(points_yx, np.float64).reshape(-1, 2),
        tuple(f"{i}" for i in range(number)),
        np.full((number, 4), np.nan),
        np.full(number, np.nan),
        ignore,
        annotated,
    )


def _cut(
    found: Annotations, near_px: float = 5.0, tile_hw: tuple[int, int] = TILE
) -> tuple[dict[str, slide_tiles.Tile], Counter[str]]:
    repairs = Counter[str]()
    tiles = dict(slide_tiles.cut(found, SIZE, tile_hw, near_px, repairs))
    return tiles, +repairs


def test_trust_goes_with_its_cell() -> None:
    found = _annotations([(5, 5), (5, 50), (6, 6)])
    tiles, _ = _cut(found._replace(trust=np.array([1.0, 0.5, -1.0])))
    trust = {name: tile.own().trust for name, tile in tiles.items()}
    assert sorted(map(str, trust.values())) == ["[ 1. -1.]", "[0.5]"]
    assert all(tile.own().trust is None for tile in _cut(found)[0].values())


def test_an_area_by_hand() -> None:
    # 40 rows need two tiles of 32, whose middle is the area's; 30 columns need one.
    area = polygons.rectangle(60, 100, 100, 130)
    cells = [(61, 101), (79.5, 129), (99, 120), (30, 110), (99, 131), (np.nan, 1)]
    tiles, repairs = _cut(_annotations([*cells, (150, 3)], (area,)))
    assert {name: tile.origin_yx for name, tile in tiles.items()} == {
        "1/0-0": (48, 99),
        "1/1-0": (80, 99),
    }
    upper, lower = (tile.own() for tile in tiles.values())
    np.testing.assert_allclose(upper.points_yx, [(13, 2), (31.5, 30)])
    np.testing.assert_allclose(lower.points_yx, [(19, 21)])
    assert (upper.names, lower.names) == (("0", "1"), ("2",))
    known = polygons.fill(upper.annotated, TILE)
    expected = np.zeros(TILE, bool)
    expected[12:, 1:31] = True
    np.testing.assert_array_equal(known, expected)
    assert repairs == {
        slide_tiles.BEYOND: 2,
        clean.POINTS_NAN: 1,
        clean.POINTS_OUTSIDE: 1,
    }


def test_cells_without_areas_by_hand() -> None:
    cells = [(70.5, 60.5), (80.5, 62.5), (70.5, 190.25)]
    tiles, repairs = _cut(_annotations(cells))
    # Rows 70 to 81 are in the middle of 32; columns 60 to 191 in that of 160.
    assert {name: tile.origin_yx for name, tile in tiles.items()} == {
        "0/0-0": (60, 46),
        "0/0-4": (60, 174),
    }
    first = tiles["0/0-0"].own()
    np.testing.assert_allclose(first.points_yx, [(10.5, 14.5), (20.5, 16.5)])
    y, x = np.mgrid[:32, :32] + 0.5
    away = [np.hypot(y - one[0], x - one[1]) for one in first.points_yx]
    known = polygons.fill(first.annotated, TILE)
    assert known[np.min(away, axis=0) < 4.8].all()
    assert not known[np.min(away, axis=0) > 5].any()
    assert not repairs


def test_tiles_lie_on_the_slide_where_they_can() -> None:
    corner = polygons.rectangle(140, 205, 300, 400)
    tiles, repairs = _cut(_annotations([(149, 209)], (corner,)))
    assert [tile.origin_yx for tile in tiles.values()] == [(118, 178)]
    large, _ = _cut(_annotations([(149, 209)], (corner,)), tile_hw=(200, 200))
    assert [tile.origin_yx for tile in large.values()] == [(0, 10)]
    assert not repairs
    beside = polygons.rectangle(160, 0, 170, 20)
    tiles, repairs = _cut(_annotations([], (beside,)))
    assert (tiles, repairs) == ({}, {slide_tiles.NO_AREA: 1})


_PLACES = st.tuples(st.integers(-20, 160), st.integers(-20, 220))
_RINGS = st.lists(_PLACES, min_size=3, max_size=5, unique=True)


@given(
    areas=st.lists(_RINGS, min_size=1, max_size=3),
    left_out=st.lists(_RINGS, max_size=1),
    cells=st.lists(st.tuples(st.integers(0, 149), st.integers(0, 209)), unique=True),
)
@settings(max_examples=10)
def test_all_px_and_cells_of_areas_are_in_one_tile(
    areas: list, left_out: list, cells: list
) -> None:
    annotated = tuple((np.array(ring, float) + 0.25,) for ring in areas)
    ignore = tuple((np.array(ring, float) + 0.25,) for ring in left_out)
    points_yx = [(y + 0.5, x + 0.5) for y, x in cells]
    tiles, repairs = _cut(_annotations(points_yx, annotated, ignore))
    times, names = np.zeros(SIZE, int), Counter[str]()
    for tile in tiles.values():
        own = tile.own()
        known = polygons.fill(own.annotated, TILE) & ~polygons.fill(own.ignore, TILE)
        (top, left), (height, width) = tile.origin_yx, SIZE
        assert min(tile.origin_yx) >= 0
        part = known[: max(height - top, 0), : max(width - left, 0)]
        times[top : top + 32, left : left + 32] += part
        names.update(own.names)
        assert geometry.inside(own.points_yx, TILE).all()
        for name, place in zip(own.names, own.points_yx, strict=True):
            assert tuple(place + tile.origin_yx) == points_yx[int(name)]
    wanted = polygons.fill(annotated, SIZE) & ~polygons.fill(ignore, SIZE)
    np.testing.assert_array_equal(times, wanted)
    held = np.zeros(len(cells), bool)
    for area in annotated:
        held |= polygons.inside(area, np.array(points_yx).reshape(-1, 2))
    assert names == Counter(str(i) for i in np.flatnonzero(held))
    assert repairs[slide_tiles.BEYOND] == (~held).sum()
