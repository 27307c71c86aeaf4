"""Pictures become tiles at the scale of training images."""

from pathlib import Path

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.adapt import tiles
from cellrec_jax.predict.frame import Frame

FRAME = Frame((40, 60), 0.5, (20, 30), "squeeze", 8.0, 16, "auto")


def _picture(path: Path, size_hw: tuple[int, int]) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.mark.parametrize(
    ("length", "side", "found"),
    [(30, 40, [0]), (40, 40, [0]), (41, 40, [0, 1]), (100, 40, [0, 30, 60])],
)
def test_tiles_cover_a_length(length, side, found):
    assert tiles.starts(length, side) == found


def test_tiles_are_the_picture_and_what_is_missing_is_mirrored(tmp_path):
    pixels = _picture(tmp_path / "a.png", (50, 45))
    mpps = {tmp_path / "a.png": 0.0}  # unknown: as it is
    there = tiles.places(mpps, FRAME)
    assert [one[1:] for one in there] == [(0, 0), (10, 0)]
    tiles.write(there, mpps, tmp_path / "out", FRAME)
    first, second = (
        np.asarray(Image.open(file)) for file in sorted((tmp_path / "out").iterdir())
    )
    assert first.shape == (40, 60, 3)
    np.testing.assert_array_equal(first[:, :45], pixels[:40])
    np.testing.assert_array_equal(first[:, 45:], pixels[:40, :29:-1])
    np.testing.assert_array_equal(second[:, :45], pixels[10:])


def test_pictures_are_brought_to_the_pixel_size_of_the_training(tmp_path):
    path = tmp_path / "a.png"
    _picture(path, (80, 120))
    # At 0.25 um per px it has half as many px of 0.5 um: one tile, at 0.5 four.
    assert len(tiles.places({path: 0.25}, FRAME)) == 1
    assert len(tiles.places({path: 0.5}, FRAME)) == 4


def test_drawn_tiles_are_some_of_them_in_order():
    there = [tiles.Place(Path("a"), top, 0) for top in range(50)]
    some = tiles.draw(there, 5, seed=1)
    assert len(set(some)) == 5
    assert some == sorted(some)
    assert tiles.draw(there, 50, seed=1) == there
