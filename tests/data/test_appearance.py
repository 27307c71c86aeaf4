"""Density of tiles by hand; distances beside NumPy's own; pictures that are unlike."""

import numpy as np
import pytest

from cellrec_jax.data import appearance


def test_numbers_of_a_tile_by_hand():
    """Columns of light 1, 0.1: densities 0, 1, a change of 1 a px, none downwards."""
    image = np.ones((8, 8, 3), np.float32)
    image[:, ::2] = 0.1
    image[..., 2] = 1
    (found,) = appearance.features(image)
    levels = found[:9].reshape(3, 3)
    np.testing.assert_allclose(levels[0], 0, atol=1e-6)
    np.testing.assert_allclose(levels[1], [0.5, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(levels[2], [1, 1, 0], atol=1e-6)
    np.testing.assert_allclose(found[9], np.log(2 / 3 + 0.01), rtol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size_hw", [(1, 1), (1, 8)])
def test_tiles_of_one_px_have_no_change(size_hw):
    image = np.ones((*size_hw, 3), np.float32)
    image[:, ::2] = 0.1
    found = appearance.features(image)
    assert len(found) == size_hw[1]
    np.testing.assert_allclose(found[:, 9], np.log(0.01), rtol=1e-6)


def test_tiles_cover_an_image_and_are_16_at_most(monkeypatch):
    monkeypatch.setattr(appearance, "_TILE_PX", 2)
    rows = np.repeat(np.arange(0, 100, 10, dtype=np.uint8), 2)  # tile by tile
    image = np.broadcast_to(rows[:, None, None], (20, 5, 1))
    found = appearance.features(image)  # 10 rows of 2 tiles
    assert found.shape == (16, 10)
    assert len(np.unique(found[:, 0])) == 10
    assert appearance.features(image[:3, :3]).shape == (1, 10)


@pytest.fixture
def images(rng):
    """Twenty images of 30 tiles of correlated numbers."""
    mix = rng.normal(size=(10, 10))
    return [5 + rng.normal(size=(30, 10)) @ mix for _ in range(20)]


def test_distances_are_mahalanobis(images):
    known = appearance.appearance_of(images)
    tiles = np.concatenate(images)
    covariance = np.cov(tiles.T, bias=True) + 0.02**2 * np.eye(10)
    apart = tiles - tiles.mean(axis=0)
    expected = [one @ np.linalg.inv(covariance) @ one for one in apart]
    assert np.mean(expected < np.float64(known.limit)) == pytest.approx(0.99, abs=0.002)
    ratio = appearance.unlike(known, images[3])
    assert ratio == pytest.approx(np.median(expected[90:120]) / known.limit)
    density = -0.5 * np.median(expected[90:120])
    density -= 0.5 * np.log(np.linalg.det(covariance))
    assert appearance.log_likelihood(known, images[3]) == pytest.approx(density)


def test_pictures_that_are_unlike():
    """Of blue dots on white: green ones are, and white; others of theirs are not."""

    def dots(seed, color):
        rng = np.random.default_rng(seed)
        image = np.full((64, 64, 3), 240, np.uint8)
        image[rng.random((64, 64)) < rng.uniform(0.2, 0.4)] = color
        return image

    blue, green = (90, 90, 180), (90, 180, 90)
    known = appearance.appearance_of(
        [appearance.in_sizes(dots(seed, blue)) for seed in range(8)]
    )
    assert appearance.difference(known, appearance.features(dots(99, blue))) == ""
    said = appearance.difference(known, appearance.features(dots(99, green)))
    assert said.startswith("looks unlike what the model knows (")
    white = np.full((64, 64, 3), 240, np.uint8)
    assert "nearly empty" in appearance.difference(known, appearance.features(white))
    other = appearance.appearance_of(
        [appearance.in_sizes(dots(seed, green)) for seed in range(8)]
    )
    for color, better, worse in ((blue, known, other), (green, other, known)):
        tiles = appearance.features(dots(7, color))
        likely = [appearance.log_likelihood(one, tiles) for one in (better, worse)]
        assert likely[0] > likely[1]
