"""Slides with annotations beside them, read as tiles of one pixel size."""

from collections.abc import Callable
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cellrec_jax import cells
from cellrec_jax.config import DataConfig
from cellrec_jax.data import readers, sets
from cellrec_jax.data.pixels import slides
from cellrec_jax.data.readers import slide_tiles
from cellrec_jax.data.readers import slides as reader
from cellrec_jax.data.transforms import resize_image
from cellrec_jax.errors import DataError
from cellrec_jax.predict.slide import outputs, tissue
from cellrec_jax.predict.slide.options import SlideOptions
from tests.data.readers.slide_files import RGB, H, W, write_geojson, write_slide

TILE = 64, 96
REGION = ("Region*", 100, 40, 50)


def _described(monkeypatch: pytest.MonkeyPatch, **fields: object) -> None:
    """Slides that say more of themselves than a TIFF can."""
    describe: Callable[..., slides.Description] = slides.describe
    monkeypatch.setattr(
        reader.slides, "describe", lambda path: describe(path)._replace(**fields)
    )


def test_a_region_as_a_tile(tmp_path: Path) -> None:
    write_slide(tmp_path / "a.tif")
    points_xy = [(101, 41), (120.25, 60.5), (10, 10)]
    write_geojson(tmp_path / "a.geojson", points_xy, REGION, ("Ignore*", 140, 80, 9))
    source = readers.open_source(tmp_path, tile_hw=TILE)
    assert (source.format, source.image_ids) == ("slides", ("a/1/0-0",))
    assert source.groups == {"a/1/0-0": "a"}
    assert source.class_names == ("A", "B")
    record = source.load("a/1/0-0")
    top, left = 33, 77  # what 64 x 96 px have beside 50 x 50, halved
    np.testing.assert_array_equal(record.image, RGB[top : top + 64, left : left + 96])
    np.testing.assert_allclose(record.points_yx, [(8, 24), (27.5, 43.25)])
    assert (record.group, record.mpp) == ("a", 0.5)
    assert record.labels.tolist() == [0, 1]
    known = np.zeros(TILE, bool)
    known[40 - top : 90 - top, 100 - left : 150 - left] = True
    np.testing.assert_array_equal(record.annotated, known)
    assert record.ignore[80 - top : 89 - top, 140 - left : 149 - left].all()
    assert record.ignore.sum() == 81
    assert source.repairs == {
        slide_tiles.BEYOND: 1,
        "slides of 0.5 um per px (OpenSlide (generic-tiff)) read at 0.5": 1,
    }
    files = tmp_path / "a.tif", tmp_path / "a.geojson"
    assert [str(file) for file in source.files("a/1/0-0")] == [*map(str, files)]


@pytest.mark.parametrize("mpp", [1.0, 1.5])
def test_tiles_are_of_the_pixel_size_that_is_asked_for(
    mpp: float, tmp_path: Path
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (H, W, 3)).astype(np.uint8)
    write_slide(tmp_path / "a.tif", pixels=image)
    write_geojson(tmp_path / "a.geojson", [(120.25, 60.5)], ("Region*", 0, 0, 300))
    by = round(mpp / 0.5)
    size_hw = H // by, W // by
    source = readers.open_source(tmp_path, mpp=mpp, tile_hw=size_hw)
    record = source.load(source.image_ids[0])
    np.testing.assert_allclose(record.points_yx, [(60.5 / by, 120.25 / by)])
    assert record.mpp == mpp
    coarser = image[::2, ::2]  # the level that is read
    expected = coarser if by == 2 else resize_image(coarser, size_hw)
    np.testing.assert_array_equal(record.image[2:-2, 2:-2], expected[2:-2, 2:-2])


def test_slides_without_regions(tmp_path: Path) -> None:
    write_slide(tmp_path / "a.tif")
    write_geojson(tmp_path / "a.geojson", [(50, 60), (52, 61)])
    source = readers.open_source(tmp_path, mpp=1.0, tile_hw=TILE)
    record = source.load("a/0/0-0")
    np.testing.assert_allclose(np.diff(record.points_yx, axis=0), [(0.5, 1)])
    y, x = np.mgrid[: TILE[0], : TILE[1]] + 0.5
    away = [np.hypot(y - one[0], x - one[1]) for one in record.points_yx]
    near = np.min(away, axis=0)
    assert record.annotated[near < 7.9].all()  # 8 um of a px each
    assert not record.annotated[near > 8].any()
    told = reader.SPARSE.format("farther than 8 um")
    assert source.repairs[told] == 2


def test_pixel_sizes_of_several_slides(tmp_path: Path) -> None:
    for name, mpp in (("fine", 0.5), ("coarse", 0.8), ("silent", 0)):
        write_slide(tmp_path / f"{name}.tif", mpp)
        write_geojson(tmp_path / f"{name}.geojson", [(120, 60)], REGION)
    with pytest.raises(DataError, match=r"silent\.tif does not .* --config\.data\.mpp"):
        readers.open_source(tmp_path)
    given = readers.open_source(tmp_path, mpp=1.0, tile_hw=TILE)
    widths = {
        name: given.load(f"{name}/1/0-0").annotated.any(0).sum()
        for name in ("fine", "coarse", "silent")
    }
    assert widths == {"fine": 25, "coarse": 40, "silent": 50}
    (tmp_path / "silent.geojson").unlink()
    coarsest = readers.open_source(tmp_path, tile_hw=TILE)
    assert coarsest.load("fine/1/0-0").mpp == 0.8
    assert coarsest.repairs[reader.UNANNOTATED] == 1
    with pytest.raises(DataError, match=r"tif has 0\.[58] um per px"):
        readers.open_source(tmp_path, mpp=20.0)


def test_nanometres_from_the_middle_of_the_glass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_slide(tmp_path / "a.tif", 0.25)

    def place(x: float, y: float) -> str:
        """A place, px of level 0, in nm on the glass."""
        nm = (x - W / 2) * 250.5 + 5e6, (y - H / 2) * 249.5 - 3e6
        return f"<x>{nm[0]!r}</x><y>{nm[1]!r}</y>"

    corners = [(100, 40), (150, 40), (150, 90), (100, 90)]
    ring = "".join(f"<point>{place(*corner)}</point>" for corner in corners)
    views = (
        f'<title>T</title><annotation type="pin">{place(120.25, 60.5)}</annotation>',
        '<title>Region*</title><annotation type="freehand"><pointlist>'
        f"{ring}</pointlist></annotation>",
    )
    text = "".join(f"<ndpviewstate>{view}</ndpviewstate>" for view in views)
    (tmp_path / "a.tif.ndpa").write_text(f"<annotations>{text}</annotations>")
    assert reader.matches(reader.Path(tmp_path))
    with pytest.raises(DataError, match="middle of the glass"):
        readers.open_source(tmp_path)
    _described(monkeypatch, glass=slides.Glass((0.2495, 0.2505), (-3e6, 5e6)))
    source = readers.open_source(tmp_path, tile_hw=TILE)
    record = source.load("a/1/0-0")
    np.testing.assert_allclose(record.points_yx, [(27.5, 43.25)], atol=1e-4)
    assert record.annotated.sum() == 2500


@pytest.mark.parametrize("origin", ["qupath", "openslide"])
def test_predictions_are_read_back(
    origin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_slide(tmp_path / "a.tif", 0.5)
    _described(monkeypatch, bounds_yxyx=(20, 30, 280, 400))
    description = reader.slides.describe(tmp_path / "a.tif")
    rng = np.random.default_rng(0)
    points_yx = rng.uniform((20, 30), (280, 400), (300, 2)).astype(np.float32)
    labels = rng.integers(0, 2, 300).astype(np.int32)
    scores = rng.uniform(0, 1, 300).astype(np.float32)
    found = cells.Cells(points_yx, scores, labels, np.stack([scores, 1 - scores], 1))
    small = tissue.Thumbnail(RGB, np.ones((H, W), bool), (1.0, 1.0))
    outputs.write(
        reader.Path(tmp_path),
        outputs.Sheet(
            "a.tif",
            ("negative", "positive"),
            description,
            {"origin": origin},
            SlideOptions(origin=origin),
            has_boxes=False,
        ),
        small,
        tissue.everything(small),
        [found],
    )
    source = readers.open_source(tmp_path, "slides", tile_hw=(H, W))
    record = source.load("a/0/0-0")
    np.testing.assert_allclose(record.points_yx, points_yx, atol=0.01)
    np.testing.assert_allclose(record.scores, scores, atol=1e-6)
    assert record.labels.tolist() == labels.tolist()


def test_which_folders_are_of_slides(tmp_path: Path) -> None:
    write_slide(tmp_path / "slides/a.tif")
    write_slide(tmp_path / "slides/b.tif")
    write_geojson(tmp_path / "geojson/a.tif.geojson", [(120, 60)])
    assert readers.find_format(tmp_path) == "slides"
    write_geojson(tmp_path / "geojson/b.geojson", [(120, 60)])
    assert readers.open_source(tmp_path).image_ids == ("a/0/0-0", "b/0/0-0")
    (tmp_path / "slides").rename(tmp_path / "images")
    assert readers.find_format(tmp_path) == "slides"
    assert readers.open_source(tmp_path, "qupath").image_ids == ("a", "b")
    (tmp_path / "geojson/b.geojson").unlink()
    (tmp_path / "geojson/b.xml").write_text("<other/>")
    with pytest.raises(DataError, match=r"b\.xml: is of none of GeoJSON, ASAP"):
        readers.open_source(tmp_path)


def test_nothing_on_slides(tmp_path: Path) -> None:
    write_slide(tmp_path / "a.tif")
    write_geojson(tmp_path / "a.geojson", [], ("Ignore*", 100, 40, 50))
    with pytest.raises(DataError, match="no cells and no Region"):
        readers.open_source(tmp_path)
    write_geojson(tmp_path / "a.geojson", [], REGION)
    with pytest.raises(DataError, match=r"no cells in .*a\.geojson"):
        readers.open_source(tmp_path)


def test_splits_keep_slides_together(tmp_path: Path) -> None:
    for name in "abc":
        write_slide(tmp_path / f"{name}.tif")
        write_geojson(tmp_path / f"{name}.geojson", [(9, 9)], ("Region*", 0, 0, 150))
    config = DataConfig(root=str(tmp_path), size_hw=(128, 128), mpp=0.5)
    folds = DataConfig(root=str(tmp_path), size_hw=(128, 128), mpp=0.5, num_folds=2)
    for one in (config, folds, dataclasses.replace(folds, fold_by="image")):
        found = sets.open_sets(one, 0)
        of_slides = [
            {name[0] for name in split.image_ids}
            for split in (found.train, found.val, found.test)
        ]
        assert sum(map(len, of_slides)) == 3
        assert set.union(*of_slides) == set("abc")
        assert len(found.train.image_ids) == 4 * len(of_slides[0])
    stacked = sets.load_train(sets.open_sets(folds, 0).train).images
    assert stacked.image.shape[1:] == (128, 128, 3)


def test_splits_that_share_a_slide_are_told(tmp_path: Path) -> None:
    for name in "ab":
        write_slide(tmp_path / f"{name}.tif")
        write_geojson(tmp_path / f"{name}.geojson", [(9, 9)], ("Region*", 0, 0, 150))
    config = DataConfig(root=str(tmp_path), size_hw=(128, 128), train_ids="a/1/0-*")
    apart = dataclasses.replace(config, test_ids="b/*")
    assert not any("several splits" in one for one in sets.open_sets(apart, 0).notes)
    shared = dataclasses.replace(config, val_ids="b/*", test_ids="a/1/1-0")
    (told,) = [one for one in sets.open_sets(shared, 0).notes if "splits" in one]
    assert told.startswith("warning: several splits have tiles of a: ")


def test_where_tiles_lie_on_their_slide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Px of level 0 from where QuPath crops: what its GeoJSON says."""
    write_slide(tmp_path / "a.tif")
    places_xy = [(101, 41), (120.25, 60.5), (241, 190)]
    write_geojson(tmp_path / "a.geojson", places_xy, ("Region*", 90, 30, 170))
    _described(monkeypatch, bounds_yxyx=(20, 30, 280, 400))
    source = readers.open_source(tmp_path, mpp=1.0, tile_hw=TILE)
    assert len(source.parts) == 2  # 85 px of 64 x 96
    found = [
        part.on_slide(source.annotations(name).points_yx)
        for name, part in source.parts.items()
    ]
    np.testing.assert_allclose(np.concatenate(found)[:, ::-1], places_xy, atol=1e-4)
    # From y (50 + 50 + 170) / 2 = 135 - 64, x (120 + 290) / 2 / 2 - 48 on, px of 1 um.
    part = source.parts["a/1/0-0"]
    assert (part.slide, part.scale_yx) == ("a", (2, 2))
    box = part.on_slide(np.array([0, 0, 10, 20]))
    np.testing.assert_allclose(box - np.tile(part.origin_yx, 2), [0, 0, 20, 40])


def test_what_is_told_of_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_slide(tmp_path / "a.tif")
    write_geojson(tmp_path / "a.geojson", [(120, 60)], REGION)
    source = readers.open_source(tmp_path, tile_hw=TILE)

    def refuse(*_: object) -> None:
        raise slides.BadRegion("a.tif: damaged")

    monkeypatch.setattr(slides, "read_region", refuse)
    with pytest.raises(DataError, match="damaged"):
        source.load("a/1/0-0")
    assert len(source.annotations("a/1/0-0").labels) == 1
