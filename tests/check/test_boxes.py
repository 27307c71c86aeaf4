import numpy as np
import pytest

from cellrec_jax.check import boxes
from tests.check import fakes

NAMES = ("big", "small")


def test_overlap_by_hand():
    found = boxes.overlaps(
        np.array([0.0, 0.0, 10.0, 10.0]),
        np.array([[0.0, 5.0, 10.0, 15.0], [0.0, 0.0, 10.0, 10.0], [20, 20, 30, 30.0]]),
    )
    assert found == pytest.approx([50 / 150, 1, 0])


def test_boxes_that_overlap_nearly_whole():
    record = fakes.of_boxes(
        [(10, 10, 30, 30), (11, 10, 31, 30), (10, 20, 30, 40), (60, 60, 80, 80)],
        [0, 1, 0, 0],
    )
    (one,) = boxes.twice(fakes.facts(record), NAMES)
    assert one.box_yxyx == (11, 10, 31, 30)
    assert "0.90" in one.text
    assert "small and big" in one.text
    assert not list(boxes.twice(fakes.facts(fakes.record([(1, 2), (1, 2)])), NAMES))


def _sized(rng, odd, label=0):
    """40 boxes of class 0 about 20 px and 40 of class 1 about 6, and an odd one."""
    sides = np.concatenate([rng.uniform(18, 22, 40), rng.uniform(5, 7, 40), [odd[0]]])
    places = np.tile(rng.uniform(30, 60, (81, 1)), 2)
    places[-1] = odd[1]
    corners = np.concatenate([places, places + sides[:, None]], axis=1)
    labels = [0] * 40 + [1] * 40 + [label]
    return [fakes.facts(fakes.of_boxes(corners, labels))]


@pytest.mark.parametrize(
    ("side", "label", "word"), [(60, 0, "large"), (5, 0, "small"), (20, 1, "large")]
)
def test_sizes_far_from_those_of_the_class(rng, side, label, word):
    (one,) = boxes.sizes(_sized(rng, (side, 30), label), NAMES)
    assert word in one.text
    assert one.y == 30 + side / 2


@pytest.mark.parametrize(("side", "place"), [(36, 30), (9, 30), (5, 0)])
def test_sizes_that_may_be(rng, side, place):
    """Less than 2.5 times another, or cut by the edge."""
    assert not list(boxes.sizes(_sized(rng, (side, place)), NAMES))


def test_a_class_of_few_has_no_size():
    few = fakes.facts(fakes.of_boxes([(30, 30, 31, 31), (30, 30, 90, 90)] * 5))
    assert not list(boxes.sizes([few], NAMES))
    assert not list(boxes.sizes([fakes.facts(fakes.record([(3, 4)]))], NAMES))


def test_masks_have_sizes_too():
    masks = np.zeros((fakes.H, fakes.W), np.int32)
    points = []
    for number in range(24):
        y, x = 16 * (number // 6) + 20, 16 * (number % 6) + 20
        masks[y : y + 8, x : x + 8] = number + 1
        points.append((y + 4, x + 4))
    masks[20:28, 20:28] = 0
    masks[24, 24] = 1
    record = fakes.record(points, masks=masks)
    (one,) = boxes.sizes([fakes.facts(record)], NAMES)
    assert (one.y, one.x, one.box_yxyx) == (24, 24, None)
