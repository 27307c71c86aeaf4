import numpy as np
import pytest

from cellrec_jax.predict.slide import grid as grids
from cellrec_jax.predict.slide import tissue
from tests.predict.slide import fakes


def _scene(ground, shade):
    """A disc of 100 px on a ground with noise, one speck of dust; 400 x 600 px."""
    rng = np.random.default_rng(0)
    image = np.full((400, 600, 3), ground, np.float64)
    y, x = np.mgrid[:400, :600]
    disc = np.hypot(y - 150, x - 250) < 100
    image[disc] = shade
    image[390, 590] = shade
    image += rng.normal(0, 2, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), disc


def _agrees(ground, shade):
    image, disc = _scene(ground, shade)
    small = tissue.thumbnail(fakes.slide(image), 200)
    assert small.image.shape == (134, 200, 3)
    assert small.native_px == (3.0, 3.0)
    mask = tissue.find(small)
    inside = mask.inside.repeat(3, 0)[:400].repeat(3, 1)
    assert inside[disc].all()
    assert not inside[390, 590]
    assert disc.sum() < inside.sum() < 1.4 * disc.sum()


def test_pale_coloured_and_fluorescent_tissue_is_found():
    _agrees((240, 240, 242), (215, 205, 215))  # pale stroma
    _agrees((240, 240, 242), (240, 236, 205))  # pale brown
    _agrees((8, 8, 8), (10, 12, 40))  # DAPI


def test_a_margin_of_0_grows_nothing():
    image, disc = _scene((240, 240, 242), (180, 120, 180))
    found = tissue.inside(image, 0)
    assert abs(found.sum() / disc.sum() - 1) < 0.05
    assert tissue.inside(image, 10).sum() > 1.15 * found.sum()


def test_glass_alone_has_no_tissue():
    image, _ = _scene((240, 240, 242), (240, 240, 242))
    assert not tissue.find(tissue.thumbnail(fakes.slide(image), 200)).inside.any()


def test_what_cannot_be_seen_counts_as_tissue():
    image, _ = _scene((240, 240, 242), (240, 240, 242))
    slide = fakes.slide(image, bad_yxyx=(0, 0, 1, 1))
    small = tissue.thumbnail(slide, 200)
    up, left = np.divide(16, small.native_px)  # a tile of the file
    hidden = np.zeros_like(small.seen)
    hidden[: int(np.ceil(up)), : int(np.ceil(left))] = True
    np.testing.assert_array_equal(~small.seen, hidden)
    np.testing.assert_array_equal(tissue.find(small).inside, hidden)


def test_tiles_that_own_tissue_are_touched():
    mask = tissue.Mask(np.zeros((40, 60), bool), (10.0, 10.0))
    mask.inside[10, 25] = True  # y 100 to 110, x 250 to 260
    slide = fakes.slide(np.zeros((400, 600, 3), np.uint8))
    grid = grids.plan(slide.levels, (1.0, 1.0), 50, 0)
    touched = tissue.touched(mask, grid)
    assert np.argwhere(touched).tolist() == [[2, 5]]
    grid = grids.plan(slide.levels, (1.0, 1.0), 64, 0)
    touched = tissue.touched(mask, grid)
    # Tiles at y 64 to 128; x 192 to 256 and 256 to 320.
    assert np.argwhere(touched).tolist() == [[1, 3], [1, 4]]
    assert tissue.touched(mask._replace(inside=~mask.inside | mask.inside), grid).all()


@pytest.mark.parametrize("strip_px", [2**24, 900])
def test_a_drawn_slide_has_the_size_that_is_asked(monkeypatch, strip_px):
    """Each px is the mean of what it covers, whatever is read at a time."""
    monkeypatch.setattr(tissue, "_BLOCK_PX", strip_px)
    image = np.random.default_rng(3).integers(0, 255, (90, 120, 3)).astype(np.uint8)
    small = tissue.drawn(fakes.slide(image), 40)
    assert small.image.shape == (30, 40, 3)
    assert small.native_px == (3.0, 3.0)
    means = image.reshape(30, 3, 40, 3, 3).mean((1, 3))
    assert np.abs(small.image - means).max() <= 1
    uneven = tissue.drawn(fakes.slide(image), 80)
    assert uneven.image.shape == (60, 80, 3)
    assert np.abs(uneven.image.mean() - image.mean()) < 0.5
    assert tissue.drawn(fakes.slide(image), 500).image.shape == (90, 120, 3)


def test_what_cannot_be_read_is_left_white_in_a_drawn_slide(monkeypatch):
    monkeypatch.setattr(tissue, "_BLOCK_PX", 1200)
    image = np.full((90, 120, 3), 7, np.uint8)
    small = tissue.drawn(fakes.slide(image, bad_yxyx=(0, 0, 16, 16)), 60)
    hidden = np.zeros((45, 60), bool)
    hidden[:8, :8] = True  # the file's tile of 16 px
    np.testing.assert_array_equal(small.seen, ~hidden)
    assert np.all(small.image[hidden] == 255)
    assert np.all(small.image[~hidden] == 7)


def test_single_nuclei_on_dark_ground_are_looked_at():
    """In one stain of three, each smaller than a px of the thumbnail, 8 px."""
    image = np.full((1600, 2400, 3), 2, np.uint8)
    y, x = np.mgrid[:1600, :2400]
    places = [(400, 500), (900, 1501), (1203, 404)]
    for at_y, at_x in places:
        image[np.hypot(y - at_y, x - at_x) < 14] = (2, 2, 120)
    mask = tissue.find(tissue.thumbnail(fakes.slide(image), 300))
    assert mask.holds(np.array(places)).all()
    assert mask.inside.mean() < 0.01
