import numpy as np

from cellrec_jax.check import counts
from tests.check import fakes


def _images(*of_a: int):
    """Images of so many cells of class 0, and one of class 1 each."""
    return [
        one._replace(labels=np.append(one.labels, 1).astype(np.int32))
        for one in fakes.counted(*of_a)
    ]


def test_images_without_any_cell():
    found = counts.missing(fakes.counted(*[12] * 19, 0), ("a",))
    assert [(one.rule, one.image) for one in found] == [("image-empty", "19")]
    assert "of 12 in" in found[0].text


def test_images_without_a_class():
    found = counts.missing(_images(*[12] * 19, 0), ("a", "b"))
    assert [(one.rule, one.image) for one in found] == [("class-missing", "19")]


def test_a_class_of_few_cells_may_be_missing():
    assert not counts.missing(_images(*[3] * 19, 0), ("a", "b"))
    assert not counts.missing(_images(*[12] * 15, *[0] * 5), ("a", "b"))  # not usual


def test_a_tail_that_reaches_0_is_no_fault():
    """As many images have a few as have none."""
    assert not counts.missing(fakes.counted(*[12] * 30, 1, 2, 0), ("a",))


def test_a_small_image_may_have_none():
    images = fakes.counted(*[12] * 19, 0)
    images[-1] = images[-1]._replace(counted_px=fakes.H * fakes.W // 10)
    assert not counts.missing(images, ("a",))


def test_few_images_tell_nothing():
    assert not counts.missing(fakes.counted(12, 12, 12, 0), ("a",))


def test_counts_far_from_the_others():
    usual = [20, 25, 18, 22, 30, 21, 19, 26, 24]
    assert not list(counts.odd(fakes.counted(*usual)))
    (one,) = counts.odd(fakes.counted(*usual, 200))
    assert one.image == "9"
    assert one.text == "200 cells, where 23 are usual"  # between 22 and 24
    assert not list(counts.odd(fakes.counted(*usual, 0)))  # has a rule of its own


def test_counts_are_of_an_area():
    usual = [20, 25, 18, 22, 30, 21, 19, 26, 24]
    images = fakes.counted(*usual, 200)
    images[-1] = images[-1]._replace(counted_px=9 * fakes.H * fakes.W)
    assert not list(counts.odd(images))


def test_few_cells_where_many_are():
    (one,) = counts.odd(fakes.counted(*[100, 110, 90, 105, 95, 120, 98, 102, 99], 4))
    assert one.image == "9"
