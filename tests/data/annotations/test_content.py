"""Areas that are cells, tissue or regions, by name and by what they hold."""

from collections import Counter

import numpy as np
import pytest

from cellrec_jax import polygons
from cellrec_jax.data.annotations.content import (
    AREAS,
    NO_POINTS,
    Shape,
    class_name,
    collect,
    is_ignored,
    is_region,
    point,
)
from cellrec_jax.errors import DataError


def _area(*box: float, name: str = "a", is_cell: bool = False) -> Shape:
    return Shape(name, NO_POINTS, (polygons.rectangle(*box),), is_cell=is_cell)


def test_areas_that_hold_three_cells_are_none() -> None:
    points = [Shape("b", point(y, y)) for y in (2.5, 4.5, 6.5)]
    tissue, cell = _area(0, 0, 10, 10), _area(4, 4, 5, 6)
    read = collect([tissue, *points[:2], cell])
    assert len(read.names) == 3
    assert read.notes == {AREAS: 1}
    read = collect([tissue, *points[:2]])
    assert len(read.names) == 3
    assert not read.notes
    known = tissue._replace(is_cell=True)
    assert len(collect([known, *points, cell]).names) == 5
    twice = [_area(0, 0, 9, 9)] * 9
    assert len(collect(twice).names) == 9
    # Not inside: the box of the triangle holds them, the triangle does not.
    triangle = (np.array([[0.0, 9.0], [9.0, 9.0], [9.0, 8.0]]),)
    assert len(collect([Shape("a", NO_POINTS, (triangle,)), *points]).names) == 4


def test_the_largest_part_of_an_area_has_its_point() -> None:
    parts = (polygons.rectangle(0, 0, 2, 2), polygons.rectangle(5, 5, 9, 8))
    read = collect([Shape("a", NO_POINTS, parts)])
    assert read.points_yx.tolist() == [[7, 6.5]]
    assert read.boxes_yxyx.tolist() == [[0, 0, 9, 8]]


def test_nothing_drawn() -> None:
    read = collect([], size_hw=(3, 4), notes=Counter(x=1))
    assert read.points_yx.shape == (0, 2)
    assert read.boxes_yxyx.shape == (0, 4)
    assert (read.names, read.size_hw, read.notes) == ((), (3, 4), {"x": 1})


@pytest.mark.parametrize("name", ["Ignore*", "ignore", "IGNORED", "Ignore: blur"])
def test_ignored_names(name: str) -> None:
    assert is_ignored(name)
    assert is_region(name)


@pytest.mark.parametrize("name", ["ignorant", "Regional node", "Roid", "my region"])
def test_names_of_cells(name: str) -> None:
    assert not is_region(name)


def test_class_names_are_one_line() -> None:
    assert class_name(" T\n cell\u0065\u0301 ", "x") == "T cell\u00e9"
    assert class_name(3, "x") == "3"
    for bad in (True, 2.5, None, "x" * 129, "a\0b"):
        with pytest.raises(DataError, match="here"):
            class_name(bad, "here")
