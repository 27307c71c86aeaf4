"""Files to files; the cells themselves are tested in test_predictor."""

from collections import Counter
import contextlib
import csv
import dataclasses
import json
import os
import shutil
import signal
import types

from etils import epath
import jax
import numpy as np
from PIL import Image
import pytest
import tifffile

from cellrec_jax import errors, hosts
from cellrec_jax.config import DataConfig, EvalConfig, Experiment
from cellrec_jax.data.annotations import qupath
from cellrec_jax.io import table
from cellrec_jax.io.console import Console
from cellrec_jax.methods import heatmap_pu
from cellrec_jax.predict import blank, files, find_inputs, journal, work
from cellrec_jax.predict.options import ImageOptions
from cellrec_jax.predict.predictor import Predictor
from cellrec_jax.types import Detections, Method
from cellrec_jax.workdir import lock
from cellrec_jax.workdir.model import Model

RED, BLUE = (225, 30, 40), (0, 90, 220)


def _one_cell(params, model_state, windows):
    """Detects a negative cell at (12, 52), with the image's brightness as its score."""
    del params, model_state
    score = np.asarray(windows.image, np.float32).mean().reshape(1, 1) / 255
    points_yx = np.array([[[12, 52]]], np.float32)
    kept = score >= 0
    label = np.zeros((1, 1), np.int32)
    boxes_yxyx = np.array([[[10, 48, 14, 56]]], np.float32)
    probs = np.array([[[0.6, 0.3, 0.1]]], np.float32)
    return Detections(points_yx, score, label, probs, kept, boxes_yxyx)


@pytest.fixture
def predictor():
    meta = {
        "class_names": ["negative", "positive", "other"],
        "native_hw": [64, 96],
        "mpp": 0.0,
        "decode": {
            "thresholds": [0.5, 0.25, 0.5],
            "min_distance": 0.0,
            "num_labels": [7, 7, 0],
        },
        "look": {"mean_rgb": [200, 180, 190], "spread_rgb": [5, 5, 5]},
    }
    data = DataConfig(size_hw=(64, 96), max_cells=1)
    experiment = Experiment("heatmap_pu", heatmap_pu.Options(), data=data)
    model = Model(experiment, Method(None, None, None), {}, {}, meta, 1)
    return Predictor(model, _one_cell)


class _Said(Console):
    """Keeps its lines."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def line(self, text):
        self.lines.append(text)


@pytest.fixture
def console():
    return _Said()


def save(path, level=255, size_hw=(64, 96)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size_hw, 3), level, np.uint8)).save(path)
    return path


def read(path):
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def count(predictor):
    """The predictor, and a list that grows by each prediction."""
    seen = []

    def spy(*args):
        seen.append(1)
        return _one_cell(*args)

    return dataclasses.replace(predictor, compiled=spy), seen


def test_every_output_says_how_cells_were_cut(predictor, tmp_path, console):
    path, out = save(tmp_path / "a.png"), tmp_path / "out"
    outcome = files.predict_files(
        predictor, [path], out, console, ImageOptions(mpp=0.25)
    )
    assert outcome == files.Outcome()
    assert (out / "detections.csv").read_text().splitlines() == [
        "image,x,y,score,class",
        "a.png,52.0,12.0,1.0,negative",
    ]
    (row,) = read(out / "summary.csv")
    assert row["num_predicted"] == row["num_predicted/negative"] == "1"
    assert (row["height"], row["width"], row["mpp"]) == ("64", "96", "0.25")
    assert float(row["positive_index"]) == 0
    # Wilson of 0 of 1: z^2 / (1 + z^2) with z = 1.96.
    assert float(row["positive_index_high"]) == pytest.approx(0.793, abs=1e-3)
    assert row["threshold/positive"] == "0.25"
    assert "7 validation labels" in row["thresholds_from"]
    stored = json.loads((out / "predict.json").read_text())
    assert stored["settings"]["thresholds"]["positive"] == 0.25
    assert stored["thresholds_from"]["other"].startswith("the default")
    assert stored["model"]["step"] == 1
    assert stored["finished"]
    collection = json.loads((out / "a.png.geojson").read_text())
    assert collection["metadata"]["thresholds"]["negative"] == 0.5
    feature = collection["features"][0]
    assert feature["geometry"] == {"type": "Point", "coordinates": [52, 12]}
    assert tuple(feature["properties"]["classification"]["color"]) == BLUE


def test_boxes_as_polygons(predictor, tmp_path, console):
    path = save(tmp_path / "a.png")
    files.predict_files(
        predictor, [path], tmp_path / "out", console, ImageOptions(geometry="box")
    )
    collection = json.loads((tmp_path / "out/a.png.geojson").read_text())
    ring_xy = collection["features"][0]["geometry"]["coordinates"][0]
    assert ring_xy == [[48, 10], [56, 10], [56, 14], [48, 14], [48, 10]]


def test_boxes_of_points_are_refused_and_nothing_is_begun(predictor, tmp_path, console):
    def no_boxes(*args):
        return _one_cell(*args)._replace(boxes_yxyx=None)

    pointed = dataclasses.replace(predictor, compiled=no_boxes)
    path, out = save(tmp_path / "a.png"), tmp_path / "out"
    with pytest.raises(errors.ConfigError, match="--geometry box"):
        files.predict_files(pointed, [path], out, console, ImageOptions(geometry="box"))
    assert files.predict_files(pointed, [path], out, console) == files.Outcome()


def test_two_calls_at_once_are_refused(predictor, tmp_path, console):
    path, output = save(tmp_path / "a.png"), epath.Path(tmp_path / "out")
    with lock.hold(output), pytest.raises(errors.RunError, match="another --output"):
        files.predict_files(predictor, [path], output, console)
    assert not list(output.iterdir())


def test_one_bad_file_costs_only_itself(predictor, tmp_path, console, monkeypatch):
    """Damaged, of another kind, too large for memory, with a name too long."""
    good = [save(tmp_path / "in" / name) for name in ("a.png", "z.png")]
    damaged, slide = tmp_path / "in/b.png", tmp_path / "in/c.svs"
    for path in (damaged, slide):
        path.write_bytes(b"no image")
    huge, long = (
        save(tmp_path / "in/d.png"),
        save(tmp_path / "in" / ("e" * 245 + ".png")),
    )
    load = work.images.load

    def load_or_not(path):
        if path == huge:
            raise MemoryError
        return load(path)

    monkeypatch.setattr(work.images, "load", load_or_not)
    out = tmp_path / "out"
    paths = [good[0], damaged, slide, huge, long, good[1]]
    outcome = files.predict_files(predictor, paths, out, console)
    assert [row["image"] for row in read(out / "detections.csv")] == ["a.png", "z.png"]
    for message, path in zip(outcome.failed, (damaged, slide, huge, long), strict=True):
        assert path.name in message
    assert "damaged" in outcome.failed[0]
    assert "damaged" not in outcome.failed[1]
    assert "whole slides" in outcome.failed[1]
    notes = {row["image"]: row["note"] for row in read(out / "summary.csv")}
    assert len(notes) == 6
    assert "memory" in notes["d.png"]
    assert not json.loads((out / "predict.json").read_text())["finished"]


def test_a_surprise_costs_only_its_file_unless_all_have_it(
    predictor, tmp_path, console
):
    def fails_on_dark(params, model_state, windows):
        if windows.image.mean() < 100:
            raise ZeroDivisionError("of the network\nand more")
        return _one_cell(params, model_state, windows)

    odd = dataclasses.replace(predictor, compiled=fails_on_dark)
    dark, out = save(tmp_path / "in/a.png", level=50), tmp_path / "out"
    with pytest.raises(ZeroDivisionError):
        files.predict_files(odd, [dark], out, console)
    bright = save(tmp_path / "in/b.png")
    outcome = files.predict_files(odd, [dark, bright], out, console)
    assert outcome.failed == (f"{dark}: ZeroDivisionError: of the network",)
    assert [row["image"] for row in read(out / "detections.csv")] == ["b.png"]


def test_a_full_disk_ends_the_call_and_keeps_the_rest(
    predictor, tmp_path, console, monkeypatch
):
    paths, out = [save(tmp_path / "in" / f"{n}.png") for n in "ab"], tmp_path / "out"
    write = work.outputs.write

    def full(places, *args):
        if places[0].name.startswith("b"):
            raise errors.RunError("cannot write: no space left")
        write(places, *args)

    monkeypatch.setattr(work.outputs, "write", full)
    with pytest.raises(errors.RunError):
        files.predict_files(predictor, paths, out, console)
    monkeypatch.undo()
    counted, seen = count(predictor)
    files.predict_files(counted, paths, out, console)
    assert len(seen) == 1
    assert [row["image"] for row in read(out / "detections.csv")] == ["a.png", "b.png"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_call_goes_on(predictor, tmp_path, console, number):
    paths = [save(tmp_path / "in" / f"{n}.png") for n in range(4)]
    out = tmp_path / "out"

    def stop(*args):
        if (out / "1.png.geojson").exists():
            os.kill(os.getpid(), number)
        return _one_cell(*args)

    stopped = dataclasses.replace(predictor, compiled=stop)
    outcome = files.predict_files(stopped, paths, out, console)
    assert outcome.exit_code == 128 + number
    assert "3 of 4" in console.lines[-1]
    assert len(read(out / "detections.csv")) == len(read(out / "summary.csv")) == 3
    counted, seen = count(predictor)
    assert files.predict_files(counted, paths, out, console) == files.Outcome()
    assert len(seen) == 1
    assert len(read(out / "detections.csv")) == len(read(out / "summary.csv")) == 4
    console.lines.clear()
    assert files.predict_files(counted, paths, out, console) == files.Outcome()
    assert len(seen) == 1
    assert "all images (4) are predicted already" in console.lines[0]


def test_progress_and_a_stop_by_tile(predictor, tmp_path, console):
    """Of an image of 8 x 8 tiles, at the third."""
    reached, shown = [], []

    def stop(*args):
        reached.append(1)
        if len(reached) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return _one_cell(*args)

    @contextlib.contextmanager
    def parts(total, what):
        del total, what
        yield lambda share, text: shown.append((share, text))

    console.parts = parts
    stopped = dataclasses.replace(predictor, compiled=stop)
    path, out = save(tmp_path / "a.png", size_hw=(400, 600)), tmp_path / "out"
    number = len(predictor.frame.place((400, 600)).tiles)
    outcome = files.predict_files(stopped, [path], out, console)
    assert outcome.exit_code == 130
    assert shown == [(n / number, f"a.png: tile {n}/{number}") for n in (1, 2)]
    assert len(reached) == 3
    assert read(out / "detections.csv") == []


def test_what_is_guessed_of_files_and_done_to_images_is_told(
    predictor, tmp_path, console
):
    """A turned picture, and one of another size with a pixel size of its own."""
    turned = Image.fromarray(np.full((96, 64, 3), 255, np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6  # a quarter turn
    turned.save(tmp_path / "a.png", exif=exif)
    pixels = np.full((30, 40, 3), 255, np.uint8)
    resolution = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "b.tif", pixels, photometric="rgb", **resolution)
    paths, out = [tmp_path / "a.png", tmp_path / "b.tif"], tmp_path / "out"
    assert files.predict_files(predictor, paths, out, console) == files.Outcome()
    rows = read(out / "summary.csv")
    assert [(row["height"], row["mpp"]) for row in rows] == [("64", ""), ("30", "0.5")]
    said = "\n".join(console.lines)
    assert "1 images turned as their orientation tag says" in said
    assert "1 of 2 images (such as 30 x 40 px)" in said
    assert "--mpp-trained" in said


def test_what_a_killed_call_left_is_replaced(predictor, tmp_path, console):
    """Rows without a line in the journal, and half lines of both."""
    paths = [save(tmp_path / "in" / f"{n}.png") for n in range(2)]
    out = tmp_path / "out"
    files.predict_files(predictor, paths[:1], out, console)
    with (out / "detections.csv").open("a") as file:
        file.write("1.png,3.0,4.0,0.9,positive\n1.png,3.0,4")
    with (out / "predict.jsonl").open("a") as file:
        file.write('{"image": "1.p')
    counted, seen = count(predictor)
    files.predict_files(counted, paths, out, console)
    assert len(seen) == 1
    rows = read(out / "detections.csv")
    assert [row["image"] for row in rows] == ["0.png", "1.png"]
    assert rows[1]["class"] == "negative"
    lines = (out / "predict.jsonl").read_text().splitlines()
    assert [json.loads(line)["image"] for line in lines] == ["0.png", "1.png"]


def test_what_another_process_finished_is_taken_over(
    predictor, tmp_path, console, monkeypatch
):
    """Killed before the first process could put their tables together."""
    paths = [save(tmp_path / "in" / f"{n}.png") for n in range(3)]
    out = tmp_path / "out"
    place = out / ".part-1"
    with monkeypatch.context() as second:
        second.setattr(journal, "own_tables", lambda _: place)
        files.predict_files(predictor, paths[:2], out, console)
    assert len(read(place / "detections.csv")) == 2
    assert not read(out / "detections.csv")
    with (place / "predict.jsonl").open("a") as file:
        file.write('{"image": "2.p')
    counted, seen = count(predictor)
    files.predict_files(counted, paths, out, console)
    assert len(seen) == 1
    rows = read(out / "detections.csv")
    assert [row["image"] for row in rows] == ["0.png", "1.png", "2.png"]
    assert not place.exists()


@pytest.mark.parametrize("lost", ["0.png.geojson", "0.png.overlay.png", "in/0.png"])
def test_a_changed_image_or_lost_output_is_made_again(
    predictor, tmp_path, console, lost
):
    paths = [save(tmp_path / "in" / f"{n}.png") for n in range(2)]
    out = tmp_path / "out"
    files.predict_files(predictor, paths, out, console)
    if lost.startswith("in"):
        save(paths[0], level=200)
    else:
        (out / lost).unlink()
    counted, seen = count(predictor)
    files.predict_files(counted, paths, out, console)
    assert len(seen) == 1
    assert sorted(row["image"] for row in read(out / "detections.csv")) == [
        "0.png",
        "1.png",
    ]
    assert (out / "0.png.geojson").exists()


def test_a_lost_table_is_made_again(predictor, tmp_path, console):
    paths = [save(tmp_path / "in" / f"{n}.png") for n in range(2)]
    out = tmp_path / "out"
    files.predict_files(predictor, paths, out, console)
    before = (out / "detections.csv").read_bytes()
    (out / "detections.csv").unlink()
    files.predict_files(predictor, paths, out, console)
    assert (out / "detections.csv").read_bytes() == before


def test_a_folder_that_grows_keeps_its_names(predictor, tmp_path, console):
    """At first all images are in one sub-folder, and named from there."""
    first, out = save(tmp_path / "in/day1/a.png"), tmp_path / "out"
    files.predict_files(predictor, [first], out, console)
    second = save(tmp_path / "in/day2/b.png")
    counted, seen = count(predictor)
    files.predict_files(counted, [first, second], out, console)
    assert len(seen) == 1
    found = [row["image"] for row in read(out / "summary.csv")]
    assert found == ["a.png", "day2/b.png"]


def test_other_images_of_a_folder_stay_and_are_told(predictor, tmp_path, console):
    first, second = (save(tmp_path / "in" / f"{n}.png") for n in "ab")
    out = tmp_path / "out"
    files.predict_files(predictor, [first], out, console)
    files.predict_files(predictor, [second], out, console)
    assert any("a.png" in line and "stay" in line for line in console.lines)
    assert len(read(out / "detections.csv")) == 2


def test_corrections_in_place_stay(predictor, tmp_path, console):
    path, out = save(tmp_path / "a.png"), tmp_path / "out"
    files.predict_files(predictor, [path], out, console)
    written = (out / "a.png.geojson").read_bytes()
    (out / "a.png.geojson").write_text("{}")
    (out / "a.png.overlay.png").unlink()  # so that it is predicted again
    with pytest.raises(errors.DataError, match=r"a\.png\.geojson was changed"):
        files.predict_files(predictor, [path], out, console)
    assert (out / "a.png.geojson").read_text() == "{}"
    files.predict_files(predictor, [path], out, console, ImageOptions(overwrite=True))
    assert (out / "a.png.geojson").read_bytes() == written
    (out / "a.png.geojson").write_text("[]")  # and nothing else asks for it
    files.predict_files(predictor, [path], out, console, ImageOptions(overwrite=True))
    assert (out / "a.png.geojson").read_bytes() == written
    (out / "a.png.overlay.png").unlink()
    files.predict_files(predictor, [path], out, console)


def test_a_pixel_size_is_of_files_that_do_not_say_it_or_of_all(
    predictor, tmp_path, console
):
    tifffile = pytest.importorskip("tifffile")
    told = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
    pixels = np.zeros((64, 96, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", **told)
    paths = [tmp_path / "a.tif", save(tmp_path / "b.png")]
    for for_all, expected in ((False, ["0.5", "0.25"]), (True, ["0.25", "0.25"])):
        out = tmp_path / str(for_all)
        given = {"mpp": 0.25, "mpp_for_all": for_all}
        files.predict_files(predictor, paths, out, console, ImageOptions(**given))
        assert [row["mpp"] for row in read(out / "summary.csv")] == expected
        assert any("--mpp-all" in line for line in console.lines)
        console.lines.clear()


def test_a_pixel_size_may_follow_where_the_files_that_are_done_say_theirs(
    predictor, tmp_path, console
):
    tifffile = pytest.importorskip("tifffile")
    told = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
    pixels = np.zeros((64, 96, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", **told)
    paths, out = [tmp_path / "a.tif", save(tmp_path / "b.png")], tmp_path / "out"
    files.predict_files(predictor, paths[:1], out, console)
    files.predict_files(predictor, paths, out, console, ImageOptions(mpp=0.25))
    assert [row["mpp"] for row in read(out / "summary.csv")] == ["0.5", "0.25"]
    assert any("1 of 2 images were predicted before" in one for one in console.lines)
    with pytest.raises(errors.ConfigError, match=r"mpp \(0\.25 there, 1\.0 now"):
        files.predict_files(predictor, paths, out, console, ImageOptions(mpp=1.0))
    with pytest.raises(errors.ConfigError, match="mpp_all"):
        files.predict_files(predictor, paths, out, console, ImageOptions(0.25, True))


@pytest.mark.parametrize(
    ("arguments", "cuts", "named"),
    [
        ({"mpp_for_all": True}, 0.5, "mpp_all"),
        ({"mpp": 0.5}, 0.5, "mpp"),
        ({"margin_px": 9}, 0.5, "margin_px"),
        ({"geometry": "box"}, 0.5, "geometry"),
        ({}, 0.75, "thresholds"),
    ],
)
def test_other_settings_in_one_folder_are_refused(
    predictor, tmp_path, console, arguments, cuts, named
):
    path, out = save(tmp_path / "a.png"), tmp_path / "out"
    files.predict_files(predictor, [path], out, console)
    before = (out / "detections.csv").read_bytes()
    model = predictor.model
    decode = {**model.meta["decode"], "thresholds": [cuts, 0.25, 0.5]}
    model = dataclasses.replace(model, meta={**model.meta, "decode": decode})
    other = dataclasses.replace(predictor, model=model)
    with pytest.raises(errors.ConfigError, match=rf"{named} .*--output"):
        files.predict_files(other, [path], out, console, ImageOptions(**arguments))
    assert (out / "detections.csv").read_bytes() == before


def test_all_scores_have_a_column_of_what_is_kept(predictor, tmp_path, console):
    """A cell of score 1, and one of 0.2, below its threshold of 0.5; then a third."""
    levels = {"a.png": 255, "b.png": 51, "c.png": 102}
    paths = [save(tmp_path / "in" / name, level) for name, level in levels.items()]
    out = tmp_path / "out"
    for given in (paths[:2], paths):
        files.predict_files(
            predictor, given, out, console, ImageOptions(all_scores=True)
        )
    counted, seen = count(predictor)
    files.predict_files(counted, paths, out, console, ImageOptions(all_scores=True))
    assert not seen  # an image without cells is done, too
    rows = read(out / "detections.csv")
    found = [(row["image"], float(row["score"]), row["kept"]) for row in rows]
    assert found == [("a.png", 1.0, "1"), ("b.png", 0.2, "0"), ("c.png", 0.4, "0")]
    summary = read(out / "summary.csv")
    assert [row["num_predicted"] for row in summary] == ["1", "0", "0"]
    assert len(qupath.parse(out / "b.png.geojson").scores) == 0
    with pytest.raises(errors.ConfigError, match=r"all_scores .*--output"):
        files.predict_files(predictor, paths, out, console)


def test_a_table_that_was_only_begun_gets_other_columns(predictor, tmp_path, console):
    path, out = save(tmp_path / "a.png"), tmp_path / "out"
    out.mkdir()
    (out / "detections.csv").write_text("image,x,y,score,class,kept\n")
    files.predict_files(predictor, [path], out, console)
    assert list(read(out / "detections.csv")[0]) == list(table.DETECTION_COLUMNS)


def test_other_weights_are_other_settings(predictor, tmp_path, console):
    path, out = save(tmp_path / "a.png"), tmp_path / "out"
    for value in (1.0, 1.0):
        model = dataclasses.replace(predictor.model, params={"w": np.array([value])})
        same = dataclasses.replace(predictor, model=model)
        files.predict_files(same, [path], out, console)
    model = dataclasses.replace(predictor.model, params={"w": np.array([2.0])})
    other = dataclasses.replace(predictor, model=model)
    with pytest.raises(errors.ConfigError, match=r"weights .*--output"):
        files.predict_files(other, [path], out, console)


def test_another_image_of_one_name_is_refused(predictor, tmp_path, console):
    first, second = (save(tmp_path / n / "a.png", level=v) for n, v in ("b9", "c8"))
    out = tmp_path / "out"
    files.predict_files(predictor, [first], out, console)
    with pytest.raises(errors.ConfigError, match="--output"):
        files.predict_files(predictor, [second], out, console)
    moved = shutil.move(first, tmp_path / "a.png")
    counted, seen = count(predictor)
    files.predict_files(counted, [moved], out, console)
    assert not seen


@pytest.mark.parametrize("name", ["detections.csv", "predict.json"])
def test_files_of_others_are_not_touched(predictor, tmp_path, console, name):
    path, out = save(tmp_path / "a.png"), tmp_path / "out"
    out.mkdir()
    (out / name).write_text("[1]\n")
    with pytest.raises(
        errors.ConfigError, match="another program: choose another --ou"
    ):
        files.predict_files(predictor, [path], out, console)
    assert (out / name).read_text() == "[1]\n"


def test_results_of_an_earlier_version_are_replaced(predictor, tmp_path, console):
    path, out = save(tmp_path / "a.png"), tmp_path / "out"
    out.mkdir()
    (out / "detections.csv").write_text("image,x,y,score,class\nb.png,1,2,1,negative\n")
    files.predict_files(predictor, [path], out, console)
    assert [row["image"] for row in read(out / "detections.csv")] == ["a.png"]
    assert "replaced" in console.lines[0]


def test_names_that_are_not_utf8_survive(predictor, tmp_path, console):
    name = os.fsdecode(b"a\xe9,\n.png")
    path, out = save(tmp_path / "in" / name), tmp_path / "out"
    for _ in range(2):
        files.predict_files(predictor, [path], out, console)
    assert [row["image"] for row in read(out / "detections.csv")] == [name]
    assert [row["image"] for row in read(out / "summary.csv")] == [name]
    assert b"a\xe9" in (out / "detections.csv").read_bytes()
    line = json.loads((out / "predict.jsonl").read_text())
    assert line["image"] == name
    assert os.fsencode(f"{name}.geojson") in os.listdir(os.fsencode(out))


def test_names_that_differ_by_a_slash_are_two_files(predictor, tmp_path, console):
    for name in ("in/a/b.png", "in/a_b.png"):
        save(tmp_path / name)
    paths = find_inputs(str(tmp_path / "in"))
    out = tmp_path / "out"
    files.predict_files(predictor, paths, out, console)
    assert len(list(out.rglob("*.geojson"))) == len(list(out.rglob("*.png"))) == 2
    assert len(qupath.parse(out / "a/b.png.geojson").scores) == 1


def test_a_blank_result_is_explained(predictor, tmp_path, console):
    """A score of 51 / 255 = 0.2; ten times the size; darker than in training."""
    path, out = save(tmp_path / "a.png", level=51, size_hw=(60, 90)), tmp_path / "out"
    files.predict_files(predictor, [path], out, console)
    (row,) = read(out / "summary.csv")
    assert (row["num_predicted"], row["positive_index"]) == ("0", "")
    for text in ("score of negative is 0.2", "threshold 0.5", "7 validation labels"):
        assert text in row["note"]
    for text in ("60 x 90 px (training: 64 x 96)", "51 51 51 (training: 200 180 190)"):
        assert text in row["note"]
    assert "unlike" in row["note"]
    assert any(row["note"] in line for line in console.lines)


def _in_views(predictor, number):
    experiment = predictor.model.experiment
    experiment = dataclasses.replace(experiment, eval=EvalConfig(views=number))
    model = dataclasses.replace(predictor.model, experiment=experiment)
    return dataclasses.replace(predictor, model=model)


@pytest.mark.parametrize("all_scores", [False, True])
def test_a_blank_result_of_views_is_predicted_once(
    predictor, tmp_path, console, all_scores
):
    """Each of two views has a cell of 0.2 at another place: 0.1 is agreed on."""
    calls = []

    def counted(*args):
        calls.append(1)
        return _one_cell(*args)

    seen = dataclasses.replace(_in_views(predictor, 2), compiled=counted)
    path, out = save(tmp_path / "a.png", level=51), tmp_path / "out"
    options = ImageOptions(all_scores=all_scores)
    files.predict_files(seen, [path], out, console, options)
    (row,) = read(out / "summary.csv")
    assert row["num_predicted"] == "0"
    assert "score of negative is 0.100, the threshold 0.5" in row["note"]
    assert len(calls) == 2
    rows = read(out / "detections.csv")
    assert [row["kept"] for row in rows] == ["0", "0"] * all_scores


def test_cells_of_views_are_above_the_threshold_alone(predictor, tmp_path, console):
    """Both views have a cell of 1.0 at another place: 0.5 is agreed on, as asked."""
    path, out = save(tmp_path / "a.png"), tmp_path / "out"
    files.predict_files(_in_views(predictor, 2), [path], out, console)
    rows = read(out / "detections.csv")
    assert [(float(row["y"]), float(row["x"])) for row in rows] == [(12, 52), (52, 44)]


def test_progress_names_view_and_tile():
    """Of views of one tile, and of 1, 3 and 1; of one view its tiles as ever."""
    assert work._place("a", [1], 1) == "a"
    assert work._place("a", [4], 3) == "a: tile 3/4"
    assert [work._place("a", [1, 1], n) for n in (0, 1, 2)] == [
        *("a: view 1/2", "a: view 1/2", "a: view 2/2"),
    ]
    assert [work._place("a", [1, 3, 1], n) for n in (1, 2, 4, 5)] == [
        *("a: view 1/3", "a: view 2/3, tile 1/3", "a: view 2/3, tile 3/3"),
        "a: view 3/3",
    ]


def test_only_what_is_known_of_old_work_directories_is_said(predictor):
    meta = {**predictor.model.meta, "look": None}
    old = dataclasses.replace(
        predictor, model=dataclasses.replace(predictor.model, meta=meta)
    )
    image = np.zeros((640, 960, 3), np.uint8)
    text = blank.unlike(old, image)
    assert "640 x 960 px (training: 64 x 96)" in text
    assert "--mpp" in text
    assert "not recorded" in text
    assert "--mpp" not in blank.unlike(old, image[:64, :96])


def test_all_processes_have_the_first_ones_plan(tmp_path, monkeypatch):
    """Names that are not UTF-8, too."""
    done = journal.Done("b\udc80", "/b\udc80", 3, 5, 8, 9, 0.25, [1, 0], "blank", 4)
    paths = (tmp_path / "a.png", tmp_path / "b\udc80.png")
    names = {paths[0]: "a", paths[1]: "b\udc80"}
    first = journal.Plan(names, paths[:1], {done.image: done})
    sent = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(
        hosts, "first_json", lambda row: sent.append(json.dumps(row)) or row
    )
    journal.of_first(first)
    monkeypatch.setattr(hosts, "first_json", lambda _: json.loads(sent[0]))
    assert journal.of_first(journal.Plan({}, (), {})) == first


@pytest.mark.parametrize(
    ("code", "lost"), [(0, ["nobodys"]), (signal.SIGTERM + 128, [])]
)
def test_what_no_process_predicted_has_failed(tmp_path, monkeypatch, code, lost):
    """But after a signal, when it is what remains."""
    paths = {tmp_path / name: name for name in ("done", "nobodys", "theirs")}
    done = journal.Done("done", "/done", 3, 5, 8, 9, 0.25, [1])
    plan = journal.Plan(paths, (), {"done": done})
    seen = (Counter({"a note": 1}), [], 1)
    theirs = ({"theirs": "no image"}, code, *seen)
    monkeypatch.setattr(hosts, "gather_json", lambda own: [own, theirs])
    monkeypatch.setattr(hosts, "first_json", lambda content: content)
    held = types.SimpleNamespace(
        output=epath.Path(tmp_path), notes=seen[0], seen=[], num_blank=1
    )
    failed, exit_code = files._of_all(held, plan, {}, 0)
    assert list(failed) == ["theirs", *lost]
    assert exit_code == code
    assert held.notes == {"a note": 2}
    assert held.num_blank == 2
