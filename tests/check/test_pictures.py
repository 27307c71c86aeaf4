import numpy as np

from cellrec_jax.check import pictures
from cellrec_jax.check.facts import small_of
from tests.check import fakes


def _found(record, size_px=8.0):
    small, square = small_of(record.image)
    return pictures.of_image(record, small, square, size_px)


def test_borders_are_what_has_one_colour():
    image = fakes.picture(0)
    assert pictures.content(image) == (0, 0, fakes.H, fakes.W)
    image[:10] = 255
    image[:, 120:] = 255
    assert pictures.content(image) == (10, 0, fakes.H, 120)
    image[90:] = (3, 4, 5)  # another colour
    image[92, 7] += 1  # as JPEG has it
    assert pictures.content(image) == (10, 0, 90, 120)


def test_a_blank_image_is_told_alone():
    image = np.full((fakes.H, fakes.W, 3), 200, np.uint8)
    (one,) = _found(fakes.record([(5, 6)], image=image))
    assert one.rule == "blank"


def test_cells_in_padding():
    image = fakes.picture(0)
    image[:16] = 0
    image[:, :2] = 0  # too narrow to be told
    record = fakes.record([(15.5, 50), (16.5, 50), (40, 1)], image=image)
    (one,) = _found(record)
    assert (one.rule, one.y, one.x) == ("padding", 15.5, 50)


def _discs(ground=240, shade=120):
    """Cells of 12 px on glass at two places."""
    image = np.full((fakes.H, fakes.W, 3), ground, np.float64)
    y, x = np.mgrid[: fakes.H, : fakes.W]
    for place in ((30, 40), (60, 90)):
        image[np.hypot(y - place[0], x - place[1]) < 6] = shade
    image += np.random.default_rng(0).normal(0, 2, image.shape)
    return image.clip(0, 255).astype(np.uint8)


def test_cells_on_glass_are_notes():
    record = fakes.record([(30, 40), (60, 90), (66, 90), (80, 20)], image=_discs())
    (one,) = _found(record, 12.0)
    assert (one.rule, one.y, one.x, one.weight) == ("off-tissue", 80, 20, "note")


def test_most_cells_on_glass_are_one_warning():
    """x and y swapped, say."""
    points = [(30, 40), (80, 20), (80, 60), (10, 100), (80, 110), (10, 10)]
    (one,) = _found(fakes.record(points, image=_discs()), 12.0)
    assert (one.rule, one.y, one.weight) == ("off-tissue", None, "warning")
    assert "5 of 6" in one.text


def test_fluorescence_has_a_dark_ground():
    record = fakes.record([(30, 40), (80, 20)], image=_discs(5, 90))
    (one,) = _found(record, 12.0)
    assert (one.rule, one.y) == ("off-tissue", 80)


def test_the_brighter_half_of_a_texture_is_no_ground():
    """As in phase contrast."""
    image = fakes.picture(4) // 4 + np.uint8(160)
    points = [(y, x) for x, y in fakes.grid_xy(40)]
    assert _found(fakes.record(points, image=image)) == []


def test_where_all_is_tissue_nothing_is_off_it():
    assert _found(fakes.record([(30, 40), (80, 20)])) == []


def test_cells_that_do_not_count():
    ignore = np.zeros((fakes.H, fakes.W), bool)
    ignore[:20] = True
    (one,) = _found(fakes.record([(10, 40), (30, 40)], ignore=ignore))
    assert one.rule == "not-counted"
    assert "1 of 2" in one.text
