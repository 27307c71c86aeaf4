from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellrec_jax.data.pixels.tiff import check_one_plane, check_size, read_first_page
from cellrec_jax.errors import DataError


def test_volume_gives_its_first_plane(tmp_path: Path) -> None:
    volume = np.arange(16 * 32 * 48, dtype=np.uint16).reshape(16, 32, 48)
    tifffile.imwrite(
        tmp_path / "a.tif", volume, volumetric=True, tile=(16, 16, 16), compression=8
    )
    pixels = read_first_page(tmp_path / "a.tif", 10**6)
    np.testing.assert_array_equal(pixels[..., 0], volume[0])


def test_volumes_and_films_are_not_one_plane(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for pixels, options in (
        (np.zeros((5, 7), np.uint16), {}),
        (np.zeros((5, 7, 3), np.uint8), {"photometric": "rgb"}),
    ):
        tifffile.imwrite(path, pixels, **options)
        check_one_plane(path)
    volume = np.zeros((16, 32, 48), np.uint16)
    for options in ({}, {"volumetric": True, "tile": (16, 16, 16)}, {"imagej": True}):
        tifffile.imwrite(path, volume, **options)
        with pytest.raises(DataError, match=r"a\.tif is a stack of 16 planes"):
            check_one_plane(path)


def test_premultiplied_alpha_is_composited(tmp_path: Path) -> None:
    pixels = np.full((5, 7, 4), [20, 40, 51, 51], np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["assocalpha"]
    )
    # 255 - 51 = 204 of white shines through
    found = read_first_page(tmp_path / "a.tif", 35)
    np.testing.assert_array_equal(found, np.full((5, 7, 3), [224, 244, 255]))


def test_size_limit_is_inclusive() -> None:
    check_size(Path("a.png"), 5, 7, 35)
    with pytest.raises(DataError, match=r"a\.png is 5 x 7 px, more than 34"):
        check_size(Path("a.png"), 5, 7, 34)
