"""`cellrec corrections`: from what was predicted and exported to a set."""

import gzip
import json
from pathlib import Path
import shutil

import numpy as np
from PIL import Image
import pytest

from cellrec_jax import main
from cellrec_jax.convert import fitting, folder
from cellrec_jax.data.annotations import qupath
from cellrec_jax.data.builders import features
from cellrec_jax.data.pixels import slides
from cellrec_jax.data.readers import open_source
from cellrec_jax.errors import DataError
from cellrec_jax.io import geojson
from cellrec_jax.predict import journal, provenance
from tests.data.readers.slide_files import write_slide

NAMES = ("Tumor: Negative", "Tumor: Positive")
COLORS = ((90, 90, 180), (200, 50, 50))


@pytest.fixture
def found(tmp_path: Path) -> Path:
    """Two images, three cells each, as `predict` leaves them."""
    images, output = tmp_path / "images", tmp_path / "found"
    images.mkdir()
    output.mkdir()
    (output / journal.TABLE).write_text("image,x,y,score,class\n")
    for number, name in enumerate(("a.png", "b.png")):
        Image.new("RGB", (60, 40), (number, 9, 9)).save(images / name)
        points_yx = np.array([[10, 10], [20, 30], [30, 50]], np.float32) + number
        geojson.write_geojson(
            output / f"{name}.geojson",
            points_yx,
            np.array([0.9, 0.6, 0.7], np.float32),
            np.array([0, 1, 1]),
            NAMES,
            COLORS,
        )
        Image.new("RGB", (2, 2)).save(output / f"{name}{journal.OVERLAY_ENDING}")
        done = journal.stamped(name, images / name, (40, 60), 0.0)
        journal.append(output, done._replace(counts=(1, 2)))
        with (output / journal.TABLE).open("a") as table:
            table.write(f"{name},1,1,0.5,x\n" * 3)
    return output


def _corrected(found: Path, name: str, to: Path) -> Path:
    """The first is deleted, the second relabelled, one is drawn, as by QuPath."""
    content = json.loads((found / f"{name}.geojson").read_text())
    _, second, third = content["features"]
    second["properties"]["classification"]["name"] = NAMES[0]
    drawn = {
        "type": "Feature",
        "id": "0b9e6c1e-2f1c-4a57-9d0c-5f6f7c1c2a11",
        "geometry": {"type": "MultiPoint", "coordinates": [[5.25, 35.5]]},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": NAMES[1], "color": COLORS[1]},
        },
    }
    to.parent.mkdir(exist_ok=True)
    to.write_text(json.dumps([second, third, drawn]))
    return to


def _run(*words: object) -> int:
    return main.run(["corrections", *map(str, words)])


def test_a_folder_of_corrections_is_a_set(found, tmp_path, capsys):
    """Of the image that was corrected; what it is read as is what was done."""
    corrected = _corrected(found, "a.png", tmp_path / "corrected" / "a.geojson")
    output = tmp_path / "turn1"
    assert _run(found, corrected.parent, "--output", output, "--trust", "0.25") == 0
    said = capsys.readouterr().out
    counts = "1 added, 1 deleted, 1 relabelled or moved, 1 untouched"
    assert f"a.png: {counts}" in said
    assert f"{output}: 1 images, {counts}; given: {NAMES[0]} 1, {NAMES[1]} 1" in said
    source = open_source(output)
    assert source.class_names == NAMES
    assert source.image_ids == ("a",)
    record = source.load("a")
    assert record.image[0, 0].tolist() == [0, 9, 9]
    rows = zip(*record.points_yx.T, record.labels, record.trust, strict=True)
    assert sorted(tuple(map(float, row)) for row in rows) == [
        (10, 10, 0, -1),
        (20, 30, 0, 1),
        (30, 50, 1, 0.25),
        (35.5, 5.25, 1, 1),
    ]


def test_classes_keep_the_order_of_the_model(found, tmp_path):
    """So that training on keeps its weights of each; one it lacks comes last."""
    about = {"model": {"classes": [NAMES[1], "none here"]}}
    (found / provenance.FILE).write_text(json.dumps(about))
    mine = _corrected(found, "a.png", tmp_path / "corrected" / "a.geojson")
    assert _run(found, mine, "--output", tmp_path / "turn1") == 0
    source = open_source(tmp_path / "turn1")
    assert source.class_names == (NAMES[1], "none here", NAMES[0])
    assert sorted(source.load("a").labels.tolist()) == [0, 0, 2, 2]


def test_a_second_turn_keeps_the_first(found, tmp_path, capsys):
    """Of two images; in b nothing was corrected, its predictions have their score."""
    first, second = tmp_path / "one", tmp_path / "two"
    mine = _corrected(found, "a.png", tmp_path / "corrected" / "a.png.geojson")
    assert _run(found, mine, "--output", first, "--images", "copy") == 0
    assert _run(found, found, "--output", second, "--keep", first) == 0
    source = open_source(second)
    trust = {name: sorted(source.load(name).trust.tolist()) for name in "ab"}
    assert trust == {"a": [-1, 0.5, 1, 1], "b": [0.5] * 3}
    assert "not read" not in capsys.readouterr().out
    assert _run(found, mine, "--output", tmp_path / "a", "--keep", second) == 0
    assert "not read: 1 images of --keep" in capsys.readouterr().out
    third = tmp_path / "three"
    assert _run(found, found, "--output", third, "--trust", "score") == 0
    trust = open_source(third).load("b").trust
    np.testing.assert_allclose(sorted(trust), [0.6, 0.7, 0.9], atol=1e-6)


def test_other_formats_get_no_background_and_prepared_sets_are_refused(found, tmp_path):
    mine = _corrected(found, "a.png", tmp_path / "corrected" / "a.geojson")
    _run(found, mine, "--output", tmp_path / "set")
    source = open_source(tmp_path / "set")
    outcome = folder.write(source, "csv", tmp_path / "csv")
    assert outcome.num_cells.total() == 3
    assert outcome.lost[fitting.PREDICTED] == outcome.lost[fitting.BACKGROUND] == 1
    with pytest.raises(DataError, match="predictions are among its cells"):
        features.encode(source.load("a"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("FOUND",), "needs FOUND"),
        (("FOUND", "FOUND"), "needs --output"),
        (("FOUND", "FOUND", "--output", "FOUND"), "there is something"),
        (("FOUND", "FOUND", "--output", "OUT", "--trust", "1"), "--trust 1: give 0"),
        (("FOUND", "FOUND", "--output", "OUT", "--trust", "x"), "--trust x: give 0"),
        (("FOUND", "FOUND", "--output", "OUT", "--match-px", "0"), "--match-px 0"),
        (("IMAGES", "FOUND", "--output", "OUT"), "no predictions of images"),
        (("FOUND", "IMAGES", "--output", "OUT"), "no corrected file"),
        (("FOUND", "FOUND/predict.jsonl", "--output", "OUT"), "which of 2 predicted"),
        (("FOUND", "FOUND", "--output", "OUT", "--images-from", "OUT"), "not there"),
    ],
)
def test_refused(words, message, found, tmp_path, capsys):
    places = {"FOUND": found, "IMAGES": tmp_path / "images", "OUT": tmp_path / "out"}
    for name, place in places.items():
        words = [word.replace(name, str(place)) for word in words]
    assert _run(*words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert not (tmp_path / "out").exists()


def test_slides_are_found_beside_their_predictions(found, tmp_path):
    """Without the list that `predict` keeps of images."""
    (found / journal.FILE).unlink()
    images = ("--images-from", tmp_path / "images")
    assert _run(found, found, "--output", tmp_path / "set", *images) == 0
    assert open_source(tmp_path / "set").image_ids == ("a", "b")


def test_names_of_qupath_are_the_models(found, tmp_path, capsys):
    """Predicted as negative and positive, exported as Negative and Positive."""
    own = {"Negative": "negative", "Positive": "positive"}
    about = {"model": {"classes": list(own.values())}}
    (found / provenance.FILE).write_text(json.dumps(about))
    mine = _corrected(found, "a.png", tmp_path / "corrected" / "a.geojson")
    mine.write_text(mine.read_text().replace("Tumor: ", ""))
    path = found / "a.png.geojson"
    content = json.loads(path.read_text().replace("Tumor: ", ""))
    path.write_text(json.dumps(content | {"metadata": {"class_names": own}}))
    assert _run(found, mine, "--output", tmp_path / "turn1") == 0
    said = capsys.readouterr().out
    assert "1 added, 1 deleted, 1 relabelled or moved, 1 untouched" in said
    assert "given: negative 1, positive 1" in said
    source = open_source(tmp_path / "turn1")
    assert source.class_names == ("negative", "positive")
    record = source.load("a")
    rows = zip(*record.points_yx.T, record.labels, record.trust, strict=True)
    assert sorted(tuple(map(float, row)) for row in rows) == [
        (10, 10, 0, -1),
        (20, 30, 0, 1),
        (30, 50, 1, 0.5),
        (35.5, 5.25, 1, 1),
    ]


def test_predictions_that_were_exported_over_are_refused(found, tmp_path, capsys):
    """Else each of their cells, which have QuPath's names, would be corrected."""
    about = {"model": {"classes": ["negative", "positive"]}}
    (found / provenance.FILE).write_text(json.dumps(about))
    path = found / "a.png.geojson"
    path.write_text(path.read_text().replace("Tumor: ", ""))
    mine = shutil.copy(path, tmp_path / "a.geojson")
    assert _run(found, mine, "--output", tmp_path / "set") != 0
    assert f"{path}: is not as it was predicted" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_images_of_one_name_are_refused(found, tmp_path, capsys):
    """Else the cells of one would be those of the other."""
    (found / journal.FILE).unlink()
    shutil.copy(found / "a.png.geojson", found / "a.jpg.geojson")
    shutil.copy(tmp_path / "images" / "a.png", tmp_path / "images" / "a.jpg")
    images = ("--images-from", tmp_path / "images")
    assert _run(found, found, "--output", tmp_path / "set", *images) == 2
    assert "rename one" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def _object(kind: str, place: list, name: str, **properties: object) -> dict:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": place},
        "properties": {"classification": {"name": name}, **properties},
    }


def _square(x: float, y: float, side: float) -> list:
    return [[[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]]


def test_an_area_drawn_beside_predictions_is_a_cell(found, tmp_path, capsys):
    """If it is of their classes; the set has points alone, as predictions have."""
    features = json.loads((found / "a.png.geojson").read_text())["features"]
    for name, x in ((NAMES[0], 4), ("Tissue", 40)):
        features.append(
            _object("Polygon", _square(x, 30, 6), name, objectType="annotation")
        )
    (tmp_path / "a.geojson").write_text(json.dumps(features))
    assert _run(found, tmp_path / "a.geojson", "--output", tmp_path / "set") == 0
    said = capsys.readouterr().out
    assert "a.png: 1 added, 0 deleted" in said
    assert "not read: 1 areas left out" in said
    record = open_source(tmp_path / "set").load("a")
    assert record.points_yx[record.trust == 1].tolist() == [[33, 7]]
    assert record.boxes_yxyx is None


def test_given_cells_outside_of_the_areas_are_told(found, tmp_path, capsys):
    """Two of one object are added, a prediction deleted; one of the first is inside."""
    drawn = _object("MultiPoint", [[22, 5], [50, 5]], NAMES[1])
    features = json.loads((found / "a.png.geojson").read_text())["features"][:2]
    features += [drawn, _object("Polygon", _square(0, 0, 25), "Region*")]
    (tmp_path / "a.geojson").write_text(json.dumps(features))
    words = (found, tmp_path / "a.geojson", "--output", tmp_path / "set")
    assert _run(*words) == 0
    said = capsys.readouterr().out
    assert "a.png: 2 added, 1 deleted, 0 relabelled or moved, 2 untouched" in said
    assert "not read: 2 given cells, and known background, outside" in said


def test_a_second_turn_on_slides_keeps_the_first(tmp_path, monkeypatch):
    """Tiles of other px and from another corner than QuPath's, where all is written."""
    describe = slides.describe
    monkeypatch.setattr(
        slides,
        "describe",
        lambda p: describe(p)._replace(bounds_yxyx=(20, 30, 280, 400)),
    )
    keep, found = tmp_path / "keep", tmp_path / "found"
    found.mkdir()
    for name, mpp in (("a", 0.25), ("b", 0.5)):
        write_slide(keep / f"{name}.tif", mpp)
    region = _object("Polygon", _square(0, 0, 200), "Region*")
    before = [
        _object("Point", [60, 30], "A"),
        _object("Point", [40.5, 90.25], "B"),
        _object("Point", [100, 80], "A", measurements={"trust": -1}),
        region,
    ]
    for name in "ab":
        (keep / f"{name}.geojson").write_text(json.dumps(before))
    rows = (("p1", [62, 30], "A"), ("p2", [150, 100], "B"), ("p3", [100, 80], "A"))
    predicted = [
        {**_object("Point", place, name, objectType="detection"), "id": key}
        for key, place, name in rows
    ]
    packed = gzip.compress(json.dumps(predicted).encode())
    (found / "a.tif.geojson.gz").write_bytes(packed)
    (found / "a.tif.hotspots.geojson").write_text("[]")
    (tmp_path / "a.geojson").write_text(json.dumps([*predicted, region]))
    words = [found, tmp_path / "a.geojson", "--output", tmp_path / "set"]
    assert _run(*words, "--keep", keep, "--images-from", keep) == 0
    read = qupath.parse(Path(tmp_path / "set/annotations/a.geojson"))
    cells = zip(*read.points_yx[:, ::-1].tolist(), strict=True)
    (x, y), names, trust = map(list, cells), read.names, read.trust.tolist()
    assert sorted(zip(np.round(x, 3), np.round(y, 3), names, trust, strict=True)) == [
        (40.5, 90.25, "B", 1),
        (60, 30, "A", 1),
        (100, 80, "A", -1),
        (150, 100, "B", 0.5),
    ]
    assert len(read.annotated) == 1
    source = open_source(tmp_path / "set", mpp=0.5)
    assert source.format == "slides"
    trust = [source.annotations(one).trust for one in source.image_ids]
    assert sorted(np.concatenate(trust).tolist()) == [-1, 0.5, 1, 1]
