"""Batches are taken before they are asked for, and errors come where they belong."""

import itertools

import pytest

from cellrec_jax import errors
from cellrec_jax.train import calls


def test_gives_the_same_items_in_order():
    assert list(calls.ahead(range(5), 2)) == [0, 1, 2, 3, 4]
    assert list(calls.ahead([], 2)) == []


@pytest.mark.parametrize("number", [0, 1, 2])
def test_takes_so_many_more_and_no_others(number):
    taken = []
    items = calls.ahead(map(taken.append, itertools.count()), number)
    assert taken == []
    for asked in (1, 2, 3):
        next(items)
        assert len(taken) == asked + number


def test_an_error_comes_where_its_item_would_have():
    def broken():
        yield from range(3)
        raise errors.DataError("image 3 is damaged")

    items = calls.ahead(broken(), 2)
    assert list(itertools.islice(items, 3)) == [0, 1, 2]
    with pytest.raises(errors.DataError, match="image 3"):
        next(items)
