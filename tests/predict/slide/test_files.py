"""Slides to files of cells: the same, however they were cut, shared or stopped."""

import dataclasses
import json
from pathlib import Path
import shutil
from types import SimpleNamespace

import numpy as np
from PIL import Image
import pytest
from scipy import spatial

from cellrec_jax import errors, methods
from cellrec_jax.data.pixels import slide_tiff
from cellrec_jax.io import table
from cellrec_jax.io.console import Console
from cellrec_jax.predict import predictor as predict_one
from cellrec_jax.predict.slide import files, grid, many, roi, rows, windows
from cellrec_jax.predict.slide.options import SlideOptions
from cellrec_jax.workdir import interrupt, lock
from tests.predict.slide import fakes

tifffile = pytest.importorskip("tifffile")

QUIET = Console(quiet=True)
OUT = ("csv", "geojson", "overlay.png", "density.tif")


@pytest.fixture(scope="module")
def predictor():
    return fakes.predictor()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("slides")
    fakes.write_slides(place)
    return place


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
    monkeypatch.setattr(grid, "TILE_PX", 384)


def _predict(predictor, folder, output, names=("a.tif", "b.tif"), **options):
    paths = [folder / name for name in names]
    return many.predict_slides(predictor, paths, output, QUIET, SlideOptions(**options))


def _contents(output: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in sorted(output.iterdir())
        if path.is_file() and path.name != "predict.json"
    }


@pytest.fixture(scope="module")
def straight(predictor, folder, tmp_path_factory):
    """What an undisturbed call writes; tests must not write there."""
    output = tmp_path_factory.mktemp("straight")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "TILE_PX", 384)
        assert _predict(predictor, folder, output).failed == ()
    return output


def _points(output: Path, name: str) -> np.ndarray:
    parsed = json.loads((output / f"{name}.geojson").read_bytes())
    found = [one["geometry"]["coordinates"] for one in parsed["features"]]
    return np.array(found).reshape(-1, 2)


def _region(path: Path, low_xy, high_xy) -> Path:
    (x0, y0), (x1, y1) = low_xy, high_xy
    ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {}, "geometry": geometry}
    path.write_text(json.dumps(feature))
    return path


def _assert_same(points, expected) -> None:
    assert len(points) == len(expected)
    away, _ = spatial.cKDTree(expected).query(points)
    assert away.max() < 0.02  # of two decimals


def test_each_slide_has_its_files_and_a_line(straight):
    expected = {f"{name}.{ending}" for name in ("a.tif", "b.tif") for ending in OUT}
    assert set(_contents(straight)) == {*expected, "summary.csv"}
    points_xy = _points(straight, "a.tif")
    assert len(points_xy) > 200
    assert points_xy[:, 0].max() < 560  # glass is not looked at
    lines = (straight / "summary.csv").read_text().splitlines()
    assert lines[1].startswith("a.tif,700,900,0.5,OpenSlide (generic-tiff),tifffile,")
    area = float(lines[1].split(",")[6])
    assert area == pytest.approx(0.0875, rel=0.03)  # 700 x 500 px, no margin
    assert int(lines[1].split(",")[9]) == len(points_xy)


def _found_in(predictor, wide):
    """Points [M, 2] (x, y) as the path of images finds them in one window."""
    frame = {"size_hw": wide.shape[:2], "crop_hw": (0, 0)}
    data = dataclasses.replace(predictor.model.experiment.data, **frame)
    experiment = dataclasses.replace(predictor.model.experiment, data=data)
    experiment = methods.changed(experiment, {"model.max_detections": 5000})
    meta = {**predictor.model.meta, "native_hw": list(wide.shape[:2])}
    whole = dataclasses.replace(
        predictor.model,
        experiment=experiment,
        method=methods.build(experiment, 2),
        meta=meta,
    )
    return predict_one.of(whole).predict(wide, 0.5).points_yx[:, ::-1]


def test_cells_are_those_of_the_whole_image(straight, predictor, folder):
    """But for what lies near its edges."""
    image = tifffile.imread(folder / "a.tif")
    wide = np.pad(image, ((160, 164), (160, 156), (0, 0)), constant_values=255)
    found = _found_in(predictor, wide) - 160
    ours = _points(straight, "a.tif")
    inside = np.all((found >= 0) & (found < [480, 700]), axis=1)  # all of it tissue
    _assert_same(ours[ours[:, 0] < 480], found[inside])


def test_cells_of_another_pixel_size_are_those_of_the_image_resized(
    predictor, tmp_path
):
    """In px of the slide: 0.4 um, of which the network sees 4 for 5."""
    rng = np.random.default_rng(2)
    coarse = rng.integers(0, 200, (300, 200, 3)).astype(np.uint8)
    image = np.full((600, 800, 3), 245, np.uint8)
    image[:, :400] = coarse.repeat(2, axis=0).repeat(2, axis=1)
    fakes.write_slide(tmp_path / "a.tif", image, 0.4)
    _predict(predictor, tmp_path, tmp_path / "out", names=["a.tif"])
    ours = _points(tmp_path / "out", "a.tif")
    # White, which a multiple of both px is, lies around.
    wide = np.pad(image, ((200, 480), (200, 520), (0, 0)), constant_values=255)
    small = wide
    for size in ((1216, wide.shape[0]), (1216, 1024)):  # each axis by itself
        small = np.asarray(
            Image.fromarray(small).resize(size, Image.Resampling.BILINEAR)
        )
    found = (_found_in(predictor, small) - 160) * 1.25
    inside = np.all((found >= 0) & (found < [380, 600]), axis=1)
    assert inside.sum() > 50
    _assert_same(ours[ours[:, 0] < 380], found[inside])


@pytest.mark.parametrize("tile_px", [320, 640])
def test_tiles_change_nothing(
    straight, predictor, folder, tmp_path, monkeypatch, tile_px
):
    monkeypatch.setattr(grid, "TILE_PX", tile_px)
    _predict(predictor, folder, tmp_path, names=["a.tif"])
    _assert_same(_points(tmp_path, "a.tif"), _points(straight, "a.tif"))


def test_the_order_of_slides_changes_no_byte(straight, predictor, folder, tmp_path):
    _predict(predictor, folder, tmp_path, names=["b.tif", "a.tif"])
    assert _contents(tmp_path) == _contents(straight)


def test_batches_change_nothing(straight, predictor, folder, tmp_path):
    batched = dataclasses.replace(predictor, batch=3)
    _predict(batched, folder, tmp_path, names=["a.tif"])
    _assert_same(_points(tmp_path, "a.tif"), _points(straight, "a.tif"))


def test_a_stopped_call_ends_with_the_same_bytes(
    straight, predictor, folder, tmp_path, monkeypatch
):
    real, seen = rows.find, []

    def stopping(*args):
        for ended, fresh in real(*args):
            yield ended, fresh
            seen.extend(ended)
            if ended:
                raise interrupt.Interrupted(143)

    monkeypatch.setattr(files.rows, "find", stopping)
    for _ in range(2):  # each adds a row
        assert _predict(predictor, folder, tmp_path).exit_code == 143
        assert not (tmp_path / "a.tif.csv").exists()
    monkeypatch.setattr(files.rows, "find", real)
    assert seen == [0, 1]
    assert _predict(predictor, folder, tmp_path).exit_code == 0
    assert _contents(tmp_path) == _contents(straight)


def test_what_was_found_before_a_call_was_killed_is_of_its_settings(
    predictor, folder, tmp_path, monkeypatch
):
    """Between summary.csv and predict.json, say: another model cannot add to it."""

    def killed(*_):
        (tmp_path / ".slides" / "a.tif").mkdir(parents=True)
        (tmp_path / ".slides" / "a.tif" / "plan.json").touch()
        (tmp_path / "summary.csv").touch()
        raise KeyboardInterrupt

    def is_finished():
        return json.loads((tmp_path / "predict.json").read_text())["finished"]

    monkeypatch.setattr(files, "predict_slide", killed)
    with pytest.raises(KeyboardInterrupt):
        _predict(predictor, folder, tmp_path)
    assert not is_finished()
    other = dataclasses.replace(predictor, model=predictor.model.at_threshold(0.6))
    with pytest.raises(errors.ConfigError, match="results of other settings"):
        _predict(other, folder, tmp_path)
    monkeypatch.setattr(files, "predict_slide", lambda *_: True)
    assert _predict(predictor, folder, tmp_path)[:2] == ((), 0)
    assert is_finished()


def test_parts_end_with_the_same_bytes(
    straight, predictor, folder, tmp_path, monkeypatch
):
    """Whichever part ends last writes a slide out, or finds it written by another."""
    for index in (2, 0):
        _predict(predictor, folder, tmp_path, shard=(index, 3))
    assert not list(tmp_path.glob("*.csv.gz"))
    assert not json.loads((tmp_path / "predict.json").read_text())["finished"]
    real = many._predict
    monkeypatch.setattr(
        many, "_predict", lambda work, tasks: (tasks, *real(work, tasks)[1:])
    )
    _predict(predictor, folder, tmp_path, shard=(1, 3))
    assert json.loads((tmp_path / "predict.json").read_text())["finished"]
    assert _contents(tmp_path) == _contents(straight)


def test_another_form_is_written_without_looking_again(
    predictor, folder, tmp_path, monkeypatch
):
    _predict(predictor, folder, tmp_path, names=["a.tif"])
    monkeypatch.setattr(files, "_find", None)
    _predict(
        predictor, folder, tmp_path, names=["a.tif"], geometry="circle", zipped=True
    )
    assert (tmp_path / "a.tif.geojson.gz").exists()
    with pytest.raises(errors.ConfigError, match=r"tissue \(on there, off now\)"):
        _predict(predictor, folder, tmp_path, names=["a.tif"], tissue=False)


def test_a_folder_of_images_or_of_another_model_is_refused(predictor, folder, tmp_path):
    _predict(predictor, folder, tmp_path, names=["a.tif"])
    other = dataclasses.replace(predictor, model=predictor.model.at_threshold(0.6))
    with pytest.raises(errors.ConfigError, match="results of other settings"):
        _predict(other, folder, tmp_path, names=["b.tif"])
    (tmp_path / "of_images").mkdir()
    (tmp_path / "of_images" / "predict.jsonl").touch()
    with pytest.raises(errors.ConfigError, match="results of images"):
        _predict(predictor, folder, tmp_path / "of_images", names=["a.tif"])


def test_each_class_has_its_threshold(straight, predictor, folder, tmp_path):
    """Cells below theirs are found, and count for nothing but what they drop."""
    decode = {**predictor.model.meta["decode"], "thresholds": [0.7, 0.4]}
    meta = {**predictor.model.meta, "decode": decode}
    strict = dataclasses.replace(
        predictor, model=dataclasses.replace(predictor.model, meta=meta)
    )
    _predict(strict, folder, tmp_path, names=["a.tif"])

    def rows_of(output):
        lines = (output / "a.tif.csv").read_text().splitlines()
        return [line.split(",") for line in lines[1:]]

    rows = rows_of(straight)
    expected = [row for row in rows if row[5] == "1" or float(row[3]) >= 0.7]
    found = rows_of(tmp_path)
    assert found == expected
    assert 0 < len(found) < len(rows)


def test_another_slide_of_a_name_is_refused(predictor, folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.tif").write_bytes((folder / "b.tif").read_bytes())
    _predict(predictor, folder, tmp_path / "out", names=["a.tif"])
    with pytest.raises(errors.ConfigError, match=r"two slides of the name a\.tif"):
        _predict(predictor, other, tmp_path / "out", names=["a.tif"])


def test_files_that_were_deleted_are_written_again(predictor, folder, tmp_path):
    _predict(predictor, folder, tmp_path, names=["a.tif"])
    before = _contents(tmp_path)
    (tmp_path / "a.tif.geojson").unlink()
    _predict(predictor, folder, tmp_path, names=["a.tif"])
    assert _contents(tmp_path) == before


def test_regions_are_looked_at_alone(predictor, folder, tmp_path):
    region = _region(tmp_path / "roi.geojson", [100, 100], [300, 250])
    out, regions = tmp_path / "out", roi.read(region)
    _predict(predictor, folder, out, names=["a.tif"], roi=regions)
    points_xy = _points(tmp_path / "out", "a.tif")
    assert len(points_xy) > 20
    assert np.all((points_xy >= [100, 100]) & (points_xy <= [300, 250]))
    line = (tmp_path / "out" / "summary.csv").read_text().splitlines()[1].split(",")
    assert float(line[6]) == pytest.approx(200 * 150 * 0.25 / 1e6, rel=0.02)


def test_slides_of_a_call_have_regions_of_their_own(predictor, folder, tmp_path):
    regions = roi.read(_region(tmp_path / "a.geojson", [100, 100], [300, 250]))
    with pytest.raises(errors.ConfigError, match=r"--roi .*is of one slide.* 2"):
        _predict(predictor, folder, tmp_path / "out", roi=regions)
    _region(tmp_path / "b.tif.geojson", [50, 300], [200, 500])
    _predict(predictor, folder, tmp_path / "out", roi_folder=tmp_path)
    for name, low, high in (
        ("a.tif", [100, 100], [300, 250]),
        ("b.tif", [50, 300], [200, 500]),
    ):
        points_xy = _points(tmp_path / "out", name)
        assert len(points_xy) > 20
        assert np.all((points_xy >= low) & (points_xy <= high))


def test_points_are_counted_from_the_corner_of_what_was_scanned(
    straight, predictor, folder, tmp_path, monkeypatch
):
    """As QuPath shows such slides; regions too, as it exports them."""
    describe = files.slides.describe
    bounds = (100, 50, 700, 900)
    monkeypatch.setattr(
        files.slides,
        "describe",
        lambda *given, **how: describe(*given, **how)._replace(bounds_yxyx=bounds),
    )
    expected = _points(straight, "a.tif")
    _predict(predictor, folder, tmp_path / "q", names=["a.tif"])
    _assert_same(np.array([50, 100]) + _points(tmp_path / "q", "a.tif"), expected)
    row = (tmp_path / "q" / "a.tif.csv").read_text().splitlines()[1].split(",")
    x, y = float(row[1]), float(row[2])
    assert np.abs(_points(tmp_path / "q", "a.tif") - [x, y]).max(1).min() < 0.006
    _predict(predictor, folder, tmp_path / "o", names=["a.tif"], origin="openslide")
    _assert_same(_points(tmp_path / "o", "a.tif"), expected)
    region = _region(tmp_path / "roi.geojson", [0, 0], [200, 150])
    out, regions = tmp_path / "r", roi.read(region)
    _predict(predictor, folder, out, names=["a.tif"], roi=regions)
    (row,) = table.read_rows(out / "summary.csv")
    assert (row["origin_x"], row["origin_y"]) == ("50", "100")
    inside = np.all((expected >= [50, 100]) & (expected < [250, 250]), axis=1)
    found = np.array([50, 100]) + _points(tmp_path / "r", "a.tif")
    assert len(found) > 20
    near, _ = spatial.cKDTree(expected[inside]).query(found)
    assert np.median(near) < 0.01  # but for cells beside those that lie outside


def test_a_slide_that_cannot_be_read_costs_only_itself(predictor, folder, tmp_path):
    bad = tmp_path / "bad.svs"
    bad.write_bytes(b"II*\0 and no more")
    paths = [bad, folder / "a.tif"]
    found = many.predict_slides(
        predictor, paths, tmp_path / "out", QUIET, SlideOptions()
    )
    assert len(found.failed) == 1
    assert "bad.svs" in found.failed[0]
    names = [path.name for path in (tmp_path / "out").rglob("*.csv")]
    assert sorted(names) == ["a.tif.csv", "summary.csv"]


@pytest.mark.parametrize("reader", ["tifffile", "openslide"])
def test_only_cells_at_damage_are_lost(
    straight, predictor, folder, tmp_path, monkeypatch, reader
):
    """A tile of 128 px of the file; told by every call, also where nothing is left."""
    if reader == "openslide":
        pytest.importorskip("openslide")
        monkeypatch.setattr(slide_tiff, "instead_of", lambda slide, _: slide)
    bad = tmp_path / "a.tif"
    bad.write_bytes((folder / "a.tif").read_bytes())
    with tifffile.TiffFile(bad) as tiff:
        place = tiff.pages[0].dataoffsets[17]  # px 256 to 384 of y, 128 to 256 of x
    with bad.open("r+b") as file:
        file.seek(place)
        file.write(bytes(20))
    out = tmp_path / "out"
    for _ in range(2):
        outcome = _predict(predictor, tmp_path, out, names=["a.tif"])
        assert outcome[:2] == ((), 1)
        (told,) = outcome.damaged
        assert told.startswith("a.tif: 1 tile (0.00")
    first, whole = (table.read_rows(o / "summary.csv")[0] for o in (out, straight))
    assert (first["reader"], first["bad_tiles"]) == (reader, "1")
    # 128 px, and half a cell's box at each side, of 0.5 um; in px of 8 um.
    side_mm = (128 + predictor.frame.box_size) * 0.5e-3
    lost = float(first["damaged_mm2"])
    assert lost == pytest.approx(side_mm**2, rel=0.2)
    assert f"({lost:.3g} of" in first["note"]
    every = lost + float(first["analysed_mm2"])
    assert every == pytest.approx(float(whole["analysed_mm2"]), abs=1e-3)
    expected, found = _points(straight, "a.tif"), _points(out, "a.tif")
    assert _beside(found).min() >= predictor.frame.box_size / 2 - 0.01
    far = predictor.model.method.traits.receptive_px
    kept = found[_beside(found) > far]
    assert len(kept) > 50
    _assert_same(kept, expected[_beside(expected) > far])


def _beside(points_xy: np.ndarray) -> np.ndarray:
    """How far points [M, 2] lie from the damaged tile, along the farther axis, px."""
    away = np.maximum([128, 256] - points_xy, points_xy - [256, 384])
    return np.maximum(away, 0).max(axis=1)


def test_corrections_in_place_stay(predictor, folder, tmp_path):
    """Another form, other settings, and a slide that has changed would replace them."""
    slide = tmp_path / "in" / "a.tif"
    slide.parent.mkdir()
    slide.write_bytes((folder / "a.tif").read_bytes())
    out, names = tmp_path / "out", ["a.tif"]
    _predict(predictor, slide.parent, out, names=names)
    mine = out / "a.tif.geojson"
    written = mine.read_bytes()
    mine.write_bytes(written)  # later, and the same
    _predict(predictor, slide.parent, out, names=names, split=100)
    assert not mine.exists()
    mine.write_text("{}")  # as QuPath exports it
    slide.write_bytes(slide.read_bytes() + b" ")
    for options in ({}, {"split": 50}, {"zipped": True}, {"split": 100}):
        outcome = _predict(predictor, slide.parent, out, names=names, **options)
        assert "a.tif.geojson was changed" in outcome.failed[0]  # of this slide alone
    assert mine.read_text() == "{}"
    _predict(predictor, slide.parent, out, names=names, overwrite=True)
    assert mine.read_bytes() == written
    mine.write_text("[]")  # and nothing else asks for it
    _predict(predictor, slide.parent, out, names=names)
    assert mine.read_text() == "[]"
    _predict(predictor, slide.parent, out, names=names, overwrite=True)
    assert mine.read_bytes() == written


def test_what_errors_advise_leads_out(predictor, folder, tmp_path):
    out, names = tmp_path / "out", ["a.tif"]
    _predict(predictor, folder, out, names=names)
    with pytest.raises(errors.ConfigError, match=r"--tissue.* give --overwrite"):
        _predict(predictor, folder, out, names=names, tissue=False)
    again = {"names": names, "tissue": False, "overwrite": True}
    assert _predict(predictor, folder, out, **again)[:2] == ((), 0)
    (out / ".slides/a.tif/plan.json").write_text("{")
    with pytest.raises(errors.ConfigError, match="delete that folder"):
        _predict(predictor, folder, out, **again)
    shutil.rmtree(out / ".slides/a.tif")
    assert _predict(predictor, folder, out, **again)[:2] == ((), 0)


def test_what_is_no_damage_ends_a_slide_and_the_next_call_goes_on(
    straight, predictor, folder, tmp_path, monkeypatch
):
    real = windows.pixels

    def failing(slide, grid, row, column, bad):
        if slide.path.name == "a.tif" and row == 1:
            raise MemoryError
        return real(slide, grid, row, column, bad)

    monkeypatch.setattr(windows, "pixels", failing)
    (failed,) = _predict(predictor, folder, tmp_path).failed
    assert "a.tif: there is not enough memory" in failed
    assert (tmp_path / "b.tif.csv").exists()
    assert not (tmp_path / "a.tif.csv").exists()
    monkeypatch.setattr(windows, "pixels", real)
    assert _predict(predictor, folder, tmp_path)[:2] == ((), 0)
    assert _contents(tmp_path) == _contents(straight)


def test_sizes_that_are_not_known_are_asked_for(predictor, folder, tmp_path):
    meta = {**predictor.model.meta, "mpp": 0.0}
    unknown = dataclasses.replace(
        predictor, model=dataclasses.replace(predictor.model, meta=meta)
    )
    with pytest.raises(errors.ConfigError, match="--mpp-trained"):
        _predict(unknown, folder, tmp_path)


def test_density_maps_have_a_largest_size(predictor, folder, tmp_path, monkeypatch):
    """350 x 450 um in bins of 10."""
    monkeypatch.setattr(files, "_find", None)
    monkeypatch.setattr(files, "_MOST_BINS", 35 * 45 - 1)
    given = {"names": ["a.tif"], "density_um": 10.0}
    (failed,) = _predict(predictor, folder, tmp_path, **given).failed
    assert "--density-um 10 gives" in failed
    assert "give 11 um or more" in failed
    monkeypatch.setattr(files, "_MOST_BINS", 35 * 45)
    with pytest.raises(TypeError):  # looked at
        _predict(predictor, folder, tmp_path, **given)


def test_boxes_of_points_are_refused_and_nothing_is_lost(predictor, folder, tmp_path):
    _predict(predictor, folder, tmp_path, names=["a.tif"])
    before = _contents(tmp_path)
    with pytest.raises(errors.ConfigError, match="--geometry box"):
        _predict(predictor, folder, tmp_path, names=["a.tif"], geometry="box")
    assert _contents(tmp_path) == before


def test_other_forms_go_when_the_new_ones_are_there(
    predictor, folder, tmp_path, monkeypatch
):
    _predict(predictor, folder, tmp_path, names=["a.tif"], split=100)
    parts = sorted(one.name for one in tmp_path.glob("*.geojson"))
    number = len(_rows(tmp_path))
    assert parts == sorted(f"a.tif-{n + 1}.geojson" for n in range(-(-number // 100)))
    (tmp_path / parts[-1]).unlink()
    _predict(predictor, folder, tmp_path, names=["a.tif"], split=100)
    assert (tmp_path / parts[-1]).exists()
    (tmp_path / ".slides/a.tif/files.json").unlink()  # as by a call that was killed
    (tmp_path / "a.tif-99.geojson").touch()

    def failing(*_):
        raise errors.RunError("a full disk")

    with monkeypatch.context() as patch:
        patch.setattr(files.outputs.overlay, "write_png", failing)
        with pytest.raises(errors.RunError, match="a full disk"):
            _predict(predictor, folder, tmp_path, names=["a.tif"], zipped=True)
    assert (tmp_path / parts[-1]).exists()
    _predict(predictor, folder, tmp_path, names=["a.tif"], zipped=True)
    found = {one.name for one in tmp_path.iterdir() if "geojson" in one.name}
    assert found == {"a.tif.geojson.gz"}


def _rows(output: Path, name: str = "a.tif") -> list[str]:
    return (output / f"{name}.csv").read_text().splitlines()[1:]


def test_a_slide_that_fails_after_it_was_done_has_one_row(predictor, folder, tmp_path):
    slide = tmp_path / "in" / "a.tif"
    slide.parent.mkdir()
    slide.write_bytes((folder / "a.tif").read_bytes())
    out = tmp_path / "out"
    _predict(predictor, slide.parent, out, names=["a.tif"])
    slide.write_bytes(slide.read_bytes()[:100])
    assert len(_predict(predictor, slide.parent, out, names=["a.tif"]).failed) == 1
    (row,) = table.read_rows(out / "summary.csv")
    assert "cannot read" in row["note"]
    assert "num_predicted" not in row


def test_files_that_are_not_ours_stay(predictor, folder, tmp_path):
    (tmp_path / "a.tif.geojson").write_text("{}")
    with pytest.raises(errors.ConfigError, match=r"a\.tif\.geojson is there"):
        _predict(predictor, folder, tmp_path, names=["a.tif"])
    assert (tmp_path / "a.tif.geojson").read_text() == "{}"
    assert not list(tmp_path.glob("*.csv"))


@pytest.mark.parametrize(
    ("corner_xy", "text"), [([600, 100], "--roi"), ([5000, 5000], "--roi")]
)
def test_where_nothing_is_looked_at_there_is_a_note(
    predictor, folder, tmp_path, corner_xy, text
):
    """On glass, and beside the slide."""
    far_xy = [value + 200 for value in corner_xy]
    regions = roi.read(_region(tmp_path / "roi.geojson", corner_xy, far_xy))
    _predict(predictor, folder, tmp_path / "out", names=["a.tif"], roi=regions)
    assert _rows(tmp_path / "out") == []
    (row,) = table.read_rows(tmp_path / "out" / "summary.csv")
    assert text in row["note"]
    assert float(row["analysed_mm2"]) == 0


def test_two_calls_do_nothing_twice(predictor, folder, tmp_path, monkeypatch):
    """Neither at once, nor one after the other, which does not look at the slide."""
    with lock.try_hold(tmp_path / ".slides/a.tif/part-0-of-1") as is_ours:
        assert is_ours
        with pytest.raises(errors.RunError, match="another call is at work on it"):
            _predict(predictor, folder, tmp_path, names=["a.tif"])
    assert _predict(predictor, folder, tmp_path, names=["a.tif"]).failed == ()
    monkeypatch.setattr(files.slides, "opened", None)
    assert _predict(predictor, folder, tmp_path, names=["a.tif"])[:2] == ((), 0)


def test_what_will_be_done_is_said_before(tmp_path):
    """Of a slide of 1 um a px, twice as coarse as the training."""
    path = tmp_path / "a.tif"
    fakes.write_slide(path, np.zeros((600, 900, 3), np.uint8), 1.0)
    described = files.slides.describe(path)
    place = SimpleNamespace(
        description=described,
        grid=grid.plan(described.levels, (2.0, 2.0), 320, 32),
        tiles={0: [0, 1], 3: [2]},
    )
    work = SimpleNamespace(
        predictor=SimpleNamespace(frame=SimpleNamespace(mpp=0.5)),
        looker=SimpleNamespace(is_exact=True),
    )
    first, second = files._lines(work, place, {3: [2]})
    size = f"{path.stat().st_size / 2**20:.4g} MiB"
    assert first.startswith(f"600 x 900 px of 1 um (OpenSlide (generic-tiff)), {size}")
    assert "level 0, resampled by 2 to 0.5 um of the training" in first
    assert first.endswith("3 of 24 tiles of 384 px to look at, 1 to go")
    assert second.startswith("warning: the slide is 2 times coarser")
