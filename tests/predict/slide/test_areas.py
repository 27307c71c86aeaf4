"""Areas worked out by hand, and by counting samples."""

import numpy as np
import pytest

from cellrec_jax import polygons
from cellrec_jax.predict.slide import areas
from cellrec_jax.predict.slide.roi import Regions
from cellrec_jax.predict.slide.tissue import Mask

SIZE_HW = (100, 200)
WHOLE = Mask(np.ones((13, 25), bool), (8.0, 8.0))  # its last row is half outside


def _square(y0, x0, y1, x1, *holes):
    rings = [polygons.rectangle(*box)[0] for box in ((y0, x0, y1, x1), *holes)]
    return tuple(rings)


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ([_square(10, 10, 10.5, 10.25)], [], 0.125),  # far below a px of the mask
        ([_square(10, 10, 40, 50, (20, 20, 25, 30))], [], 30 * 40 - 50),  # a hole
        # Overlapping by 10 x 10, which counts once.
        ([_square(0, 0, 20, 20), _square(10, 10, 30, 30)], [], 700),
        # Over three corners of the slide: only what is on it.
        ([_square(-50, -50, 10, 10), _square(90, 190, 500, 500)], [], 200),
        ([_square(-9, 300, 50, 400)], [], 0),
        ([_square(200, 0, 300, 50)], [], 0),
        # A triangle of 30 x 40 / 2 less a square of 5 that lies in it.
        ([(np.array([(10, 10), (40, 10), (10, 50)]),)], [_square(12, 12, 17, 17)], 575),
        ([], [_square(0, 0, 10, 10), _square(5, 5, 15, 15)], 20000 - 175),
        ([], [], 20000),
    ],
)
def test_area_of_regions(include, exclude, expected):
    regions = Regions(tuple(include), tuple(exclude))
    every = areas.measure(WHOLE, regions, SIZE_HW)
    assert every == pytest.approx(expected, rel=1e-9)


def test_the_area_ends_where_the_slide_does():
    """Of 25 x 18 px in px of 10: whole ones, and the rest of the last ones."""
    inside = np.ones((3, 2), bool)
    inside[0, 0] = False
    every = areas.measure(Mask(inside, (10.0, 10.0)), Regions((), ()), (25, 18))
    assert every == pytest.approx(25 * 18 - 100)


def test_area_of_outlines_that_cross_is_near():
    """A bow tie: two triangles of 40 x 20 / 2, which no corner parts."""
    tie = (np.array([(10.0, 10), (50, 50), (10, 50), (50, 10)]),)
    every = areas.measure(WHOLE, Regions((tie,), ()), SIZE_HW)
    assert every == pytest.approx(800, rel=1e-3)


def test_tissue_counts_by_parts_of_its_px():
    inside = np.zeros((13, 25), bool)
    inside[1, 1:3] = True  # px 8 to 16 by 8 to 24
    regions = Regions((_square(4, 4, 10, 20),), ())
    every = areas.measure(Mask(inside, (8.0, 8.0)), regions, SIZE_HW)
    assert every == pytest.approx(2 * 12)


def test_any_regions_as_counted_by_samples():
    rng = np.random.default_rng(3)
    include, exclude = (
        [
            (np.column_stack([rng.uniform(-20, 120, 7), rng.uniform(-20, 220, 7)]),)
            for _ in range(number)
        ]
        for number in (4, 2)
    )
    mask = Mask(rng.random((13, 25)) < 0.7, (8.0, 8.0))
    samples = np.indices((400, 800)).reshape(2, -1).T / 4 + 1 / 8
    held = mask.holds(samples)
    held &= np.any([polygons.inside(one, samples) for one in include], axis=0)
    held &= ~np.any([polygons.inside(one, samples) for one in exclude], axis=0)
    regions = Regions(tuple(include), tuple(exclude))
    every = areas.measure(mask, regions, SIZE_HW)
    assert every == pytest.approx(held.sum() / 16, rel=2e-3)
