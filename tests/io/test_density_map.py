import json

import matplotlib as mpl
import numpy as np
import pytest
import tifffile

from cellrec_jax import errors
from cellrec_jax.io import density_map

WHITE = [255, 255, 255]


def test_bins_cover_the_image_and_count_every_cell():
    counts = density_map.new_counts((100, 65), 32.0)
    assert counts.shape == (4, 3)
    points_yx = np.array(
        # The last two are outside, as where a box reaches over the border.
        [[0.0, 0.0], [31.9, 32.0], [32.0, 31.9], [99.0, 64.5], [-2.0, 40], [500, 500]]
    )
    density_map.add_counts(counts, points_yx[:3], 32.0)
    density_map.add_counts(counts, points_yx[3:], 32.0)
    density_map.add_counts(counts, points_yx[:0], 32.0)
    assert counts.tolist() == [[1, 2, 0], [1, 0, 0], [0, 0, 0], [0, 0, 2]]


def test_counts_of_many_are_those_of_a_histogram():
    points_yx = np.random.default_rng(0).uniform((0, 0), (90, 160), (5000, 2))
    counts = density_map.new_counts((90, 160), 12.5)
    density_map.add_counts(counts, points_yx.astype(np.float32), 12.5)
    edges = [12.5 * np.arange(size + 1) for size in counts.shape]
    expected, *_ = np.histogram2d(*points_yx.T, bins=edges)
    np.testing.assert_array_equal(counts, expected)


def test_points_that_are_nowhere_are_refused():
    counts = density_map.new_counts((10, 20), 5)
    with pytest.raises(errors.DataError):
        density_map.add_counts(counts, np.array([[1.0, np.nan]]), 5)
    assert not counts.any()


@pytest.fixture
def counts():
    """1100 x 1302 bins, empty but for some; two levels follow."""
    counts = np.zeros((1100, 1302), np.uint32)
    counts[300, 700] = 51
    counts[301, 700] = 1
    counts[1096:, 1300:] = 40
    return counts


def colors():
    return mpl.colormaps["magma_r"](np.linspace(0, 1, 255), bytes=True)[:, :3].tolist()


def test_openslide_opens_it(tmp_path, counts):
    openslide = pytest.importorskip("openslide", reason="OpenSlide is not installed")
    density_map.write_density_map(
        tmp_path / "d.tif", counts, 8.0, metadata={"model": "a\u00e9"}
    )
    with openslide.OpenSlide(tmp_path / "d.tif") as slide:
        assert slide.properties["openslide.vendor"] == "generic-tiff"
        assert slide.level_dimensions == ((1302, 1100), (651, 550), (326, 275))
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(8.0)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(8.0)
        scale = json.loads(slide.properties["openslide.comment"])
        found = (scale["maximum"], scale["bin_um"], scale["model"])
        assert found == (51, 8.0, "a\u00e9")

        def pixel(x, y, level=0):
            return list(slide.read_region((x, y), level, (1, 1)).getpixel((0, 0)))[:3]

        assert pixel(0, 0) == pixel(700, 302) == WHITE
        assert pixel(700, 300) == colors()[254]
        assert pixel(700, 301) == colors()[4]  # 255 / 51 is the fifth shade
        assert pixel(1301, 1099) == colors()[199]
        assert pixel(700, 300, level=1) == colors()[64]  # a mean of 13, 65 shades
        assert pixel(702, 300, level=1) == WHITE


def test_the_border_of_odd_levels_is_as_dense_as_it_was(tmp_path, counts):
    density_map.write_density_map(tmp_path / "d.tif", counts, 8.0)
    with tifffile.TiffFile(tmp_path / "d.tif") as file:
        sizes = [page.shape[:2] for page in file.pages]
        per_cm = [page.tags["XResolution"].value for page in file.pages]
        smallest = file.pages[2].asarray()
    assert sizes == [(1100, 1302), (550, 651), (275, 326)]
    assert [pixels / length for pixels, length in per_cm] == [1250, 625, 312.5]
    assert smallest[274, 325].tolist() == colors()[199]
    assert smallest[273, 325].tolist() == smallest[274, 324].tolist() == WHITE


def test_shades_go_from_light_to_dark(tmp_path):
    ramp = np.arange(64, dtype=np.uint32)[None].repeat(3, 0)
    density_map.write_density_map(tmp_path / "d.tif", ramp)
    lightness = tifffile.imread(tmp_path / "d.tif")[0].astype(float) @ (0.3, 0.6, 0.1)
    assert np.all(np.diff(lightness) < 0)


def test_a_given_maximum_is_the_scale_of_several_slides(tmp_path):
    few, many = np.array([[0, 5]]), np.array([[5, 80]])
    for name, counts in (("few", few), ("many", many)):
        density_map.write_density_map(tmp_path / f"{name}.tif", counts, maximum=20)
    few, many = (tifffile.imread(tmp_path / f"{name}.tif") for name in ("few", "many"))
    assert few[0, 1].tolist() == many[0, 0].tolist()
    darkest = mpl.colormaps["magma_r"](1.0, bytes=True)[:3]
    assert tuple(many[0, 1]) == tuple(darkest)


def test_no_cells_are_white_and_an_unknown_size_is_not_told(tmp_path):
    density_map.write_density_map(tmp_path / "d.tif", np.zeros((5, 7), np.uint32))
    with tifffile.TiffFile(tmp_path / "d.tif") as file:
        (page,) = file.pages
        assert page.is_tiled
        assert page.tags["ResolutionUnit"].value == 1  # none
        assert (page.asarray() == 255).all()
        assert json.loads(page.description)["bin_um"] is None


@pytest.mark.parametrize(("largest", "kind"), [(65_535, "u2"), (65_536, "u4")])
def test_counts_are_read_back(tmp_path, counts, largest, kind):
    counts[5, 6] = largest
    density_map.write_counts(tmp_path / "c.tif", counts, 8.0)
    with tifffile.TiffFile(tmp_path / "c.tif") as file:
        (page,) = file.pages
        read = page.asarray()
        pixels, length = page.tags["XResolution"].value
    assert read.dtype == kind
    np.testing.assert_array_equal(read, counts)
    assert pixels / length == 1250  # px a cm


def test_equal_counts_give_equal_bytes(tmp_path, counts):
    for name in ("a.tif", "b.tif"):
        density_map.write_density_map(tmp_path / name, counts, 8.0)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_a_folder_in_the_way_is_told(tmp_path, counts):
    (tmp_path / "d.tif").mkdir()
    for write in (density_map.write_density_map, density_map.write_counts):
        with pytest.raises(errors.RunError, match=r"d\.tif: .*folder"):
            write(tmp_path / "d.tif", counts, 8.0)
