import dataclasses

import numpy as np
import pytest

from cellrec_jax import errors, geometry
from cellrec_jax.config.domain import KNOBS
from cellrec_jax.data.synthetic import domain, source
from cellrec_jax.data.synthetic import layout as layout_lib

SIZE_HW = (160, 200)
LOOKS = ("stains", "scanner", "focus", "lookalikes")
"""Knobs that may not move a cell."""


def make(knobs, index=0, seed=3, size_hw=SIZE_HW):
    return domain.make_image(seed, index, size_hw=size_hw, knobs=knobs)


def assert_equal(one, other):
    for field in dataclasses.fields(one):
        left, right = getattr(one, field.name), getattr(other, field.name)
        np.testing.assert_array_equal(left, right)


def test_without_knobs_it_is_the_usual_generator():
    assert_equal(make(()), source.make_image(3, 0, size_hw=SIZE_HW))


def test_an_image_depends_on_seed_index_and_knobs_alone():
    first = make(KNOBS)
    domain.make_image(9, 1, size_hw=(40, 50))
    assert_equal(first, make(KNOBS[::-1]))  # their order does not matter
    others = [make(KNOBS, index=1), make(KNOBS, seed=4), make(KNOBS[1:])]
    assert len({one.image.tobytes() for one in [first, *others]}) == 4


def test_fields_of_wide_images():
    for index in range(3):
        image = make(KNOBS, index)
        num_cells = len(image.points_yx)
        assert (image.image.dtype, image.image.shape) == (np.uint8, (*SIZE_HW, 3))
        assert (image.labels.dtype, image.labels.shape) == (np.int32, (num_cells,))
        assert set(image.labels) <= {0, 1}
        assert geometry.inside(image.points_yx, SIZE_HW).all()
        assert 0.2 <= image.mpp <= 0.8
        own = image.masks[tuple(geometry.point_to_pixel(image.points_yx).T)]
        np.testing.assert_array_equal(own, np.arange(1, num_cells + 1))
        if image.ignore is not None:
            assert (image.ignore.dtype, image.ignore.shape) == (np.bool_, SIZE_HW)
            assert 0 < image.ignore.mean() < 0.5


@pytest.mark.parametrize("knob", KNOBS)
def test_each_knob_alone_changes_pixels(knob):
    usual, image = make(()), make((knob,))
    share = np.mean(np.any(usual.image != image.image, axis=-1))
    assert share > 0.05
    if knob in LOOKS:
        np.testing.assert_array_equal(usual.points_yx, image.points_yx)
        np.testing.assert_array_equal(usual.labels, image.labels)
        assert usual.mpp == image.mpp


@pytest.mark.parametrize("knob", LOOKS)
def test_each_look_taken_away_leaves_the_cells(knob):
    rest = [name for name in KNOBS if name != knob]
    one, other = make(KNOBS), make(rest)
    np.testing.assert_array_equal(one.points_yx, other.points_yx)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.masks, other.masks)
    assert one.image.tobytes() != other.image.tobytes()


def test_stroma_only_adds_negative_cells():
    usual = [make((), index, size_hw=(260, 300)) for index in range(3)]
    images = [make(("stroma",), index, size_hw=(260, 300)) for index in range(3)]
    added = 0
    for one, other in zip(usual, images, strict=True):
        num_cells = len(one.points_yx)
        np.testing.assert_array_equal(one.points_yx, other.points_yx[:num_cells])
        np.testing.assert_array_equal(one.labels, other.labels[:num_cells])
        assert np.all(other.labels[num_cells:] == 1)
        added += len(other.labels) - num_cells
    assert added > 5


def test_lookalikes_are_neither_marked_nor_ignored():
    one, other = make(("shapes",)), make(("shapes", "lookalikes"))
    np.testing.assert_array_equal(one.masks, other.masks)
    assert other.ignore is None


def test_labels_sit_on_nuclei_that_can_be_told_from_their_surroundings():
    """Cells that count are darker than the median of what is no cell, but for a few."""
    darker = []
    for index in range(4):
        image = make(KNOBS, index)
        grey = image.image.astype(float).mean(-1)
        ignored = np.zeros(SIZE_HW, bool) if image.ignore is None else image.ignore
        ground = np.median(grey[(image.masks == 0) & ~ignored])
        pixels = tuple(geometry.point_to_pixel(image.points_yx).T)
        for own in np.flatnonzero(~ignored[pixels]) + 1:
            inside = image.masks == own
            darker.append(grey[inside].mean() < ground)
    assert len(darker) > 50
    assert np.mean(darker) > 0.85


def test_pixel_sizes():
    drawn = [domain.draw_mpp(domain.knob_rng(0, i, "scale")) for i in range(400)]
    assert min(drawn) == 0.2
    assert 0.5 < max(drawn) <= 0.8
    assert np.median(drawn) == pytest.approx(0.3, abs=0.03)


def test_knobs_draw_streams_of_their_own():
    draws = {knob: domain.knob_rng(1, 2, knob).uniform(size=3) for knob in KNOBS}
    draws["image"] = layout_lib.image_rng(1, 2).uniform(size=3)
    assert len({tuple(three) for three in draws.values()}) == len(KNOBS) + 1
    again = domain.knob_rng(1, 2, "focus").uniform(size=3)
    np.testing.assert_array_equal(again, draws["focus"])


def test_faint():
    cell = layout_lib.Nucleus((5, 5), (4, 4), 0, 0, 0.04, 0.0, 0, 0, 1)
    cells = [cell, cell._replace(dab=0.02), cell._replace(haematoxylin=0.02)]
    # 0.06, 0.07 and 0.03; then 0.032, 0.042 and 0.016: below 0.04 are faint.
    found = domain.faint(cells, np.array([1.5, 0.5]))
    np.testing.assert_array_equal(found, [False, False, True])
    found = domain.faint(cells, np.array([0.8, 0.5]))
    np.testing.assert_array_equal(found, [True, False, True])


def test_source():
    opened = source.open_source(2, (40, 64), seed=5, domain="all,-scale")
    image = domain.make_image(5, 1, size_hw=(40, 64), knobs=set(KNOBS) - {"scale"})
    assert_equal(opened.load("1"), image)
    with pytest.raises(errors.ConfigError, match="not hsc"):
        source.open_source(2, (40, 64), seed=5, kind="hsc", domain="all")


@pytest.mark.parametrize("index", range(4))
def test_smallest_size(index):
    image = make(KNOBS, index, size_hw=(32, 33))
    assert len(image.points_yx) >= 1
