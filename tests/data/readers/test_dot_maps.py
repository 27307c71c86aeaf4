from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.readers import dot_maps
from cellrec_jax.errors import DataError

H, W = 20, 30


def _write(root: Path, folder: str, name: str, pixels: np.ndarray) -> None:
    path = root / folder / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _dots(*pixels_yx: tuple[int, int]) -> np.ndarray:
    dots = np.zeros((H, W), np.uint8)
    dots[tuple(np.transpose(pixels_yx).reshape(2, -1).astype(int))] = 255
    return dots


@pytest.mark.parametrize("images", ["source", "images"])
@pytest.mark.parametrize("maps", ["annotations", "dots"])
def test_dots_are_half_pixel_yx(images: str, maps: str, tmp_path: Path) -> None:
    for name in ("10", "2"):
        _write(tmp_path, images, name, np.zeros((H, W, 3), np.uint8))
        _write(tmp_path, maps, name, _dots((0, 29), (7, 3), (19, 0)))
    assert dot_maps.matches(tmp_path)
    source = dot_maps.open_source(tmp_path)
    assert source.class_names == ("cell",)
    assert source.image_ids == ("2", "10")
    record = source.load("10")
    assert record.points_yx.tolist() == [[0.5, 29.5], [7.5, 3.5], [19.5, 0.5]]
    assert record.labels.tolist() == [0, 0, 0]
    assert not source.repairs


def test_connected_pixels_are_one_dot(tmp_path: Path) -> None:
    _write(tmp_path, "images", "a", np.zeros((H, W, 3), np.uint8))
    # A diagonal pair, a 2 x 2 block, and a pair with a gap
    dots = _dots((2, 5), (3, 6), (9, 1), (9, 2), (10, 1), (10, 2), (15, 3), (15, 5))
    _write(tmp_path, "dots", "a", dots)
    source = dot_maps.open_source(tmp_path)
    record = source.load("a")
    points_yx = record.points_yx.tolist()
    assert points_yx == [[3.0, 6.0], [10.0, 2.0], [15.5, 3.5], [15.5, 5.5]]
    places = record.repaired[dot_maps.MERGED_DOTS].tolist()
    assert places == [[3.0, 6.0, 3.0, 6.0], [10.0, 2.0, 10.0, 2.0]]
    assert source.repairs == {dot_maps.MERGED_DOTS: 2}


def test_no_dots(tmp_path: Path) -> None:
    _write(tmp_path, "images", "a", np.zeros((H, W, 3), np.uint8))
    _write(tmp_path, "dots", "a", _dots())
    assert dot_maps.open_source(tmp_path).load("a").points_yx.shape == (0, 2)


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 14))))
def test_isolated_dots_are_all_found(cells_yx: set[tuple[int, int]]) -> None:
    pixels_yx = sorted((2 * y, 2 * x) for y, x in cells_yx)  # no two touch
    points_yx, merged = dot_maps.find_dots(_dots(*pixels_yx) > 0, Path("a"))
    assert sorted(points_yx.tolist()) == [[y + 0.5, x + 0.5] for y, x in pixels_yx]
    assert not merged.any()


def test_masks_are_refused(tmp_path: Path) -> None:
    _write(tmp_path, "images", "a", np.zeros((H, W, 3), np.uint8))
    _write(tmp_path, "dots", "a", np.full((H, W), 255, np.uint8))
    with pytest.raises(DataError, match=r"dot of 600 px.*label_images"):
        dot_maps.open_source(tmp_path).load("a")


def test_other_sizes_are_refused(tmp_path: Path) -> None:
    _write(tmp_path, "images", "a", np.zeros((H, W, 3), np.uint8))
    _write(tmp_path, "dots", "a", _dots((1, 2)).T)
    with pytest.raises(DataError, match=r"30 x 20 px but its image is 20 x 30"):
        dot_maps.open_source(tmp_path).load("a")


def test_missing_maps(tmp_path: Path) -> None:
    _write(tmp_path, "source", "a", np.zeros((H, W, 3), np.uint8))
    assert not dot_maps.matches(tmp_path)
    with pytest.raises(DataError, match="1 images but no annotations"):
        dot_maps.open_source(tmp_path)
