"""The page: what it says, what it never holds, and what it does without a file."""

import base64
import hashlib
import io
import json
import re

from PIL import Image, PngImagePlugin
import pytest

from cellrec_jax import errors
from cellrec_jax.report import page
from tests.report import made
from tests.report.reading import Page

quick = pytest.mark.usefixtures("undrawn")
F1 = ("F1 within 12 px", "0.612 | 0.511 to 0.716")
HEADS = ["key", "this run", "default"]


@quick
def test_values_are_those_of_the_files(workdir):
    found = Page(page.render(workdir))
    assert found.title == "point_matching: A & B, neg<b>"
    assert found.tiles[F1[0]] == ["0.612", "95 %: 0.511 to 0.716"]
    assert found.tiles["count error an image"] == ["2.2", "95 %: 1.0 to 3.1"]
    assert found.tiles["images"][0] == "2 / 1 / 3"
    assert found.tiles["training labels"] == ["12", "of 20 annotated"]
    summary, metrics = found.row("F1 within 12 px")[0], found.row("A & B | fitted")
    assert summary[1:] == [F1[1], "0.700", "0.500"]
    assert metrics == [
        ["A & B | fitted on 9 validation labels", "0.375", "0.700", "0.750", "0.550"]
    ]
    assert ["neg<b>", "fitted on 9 validation labels", "0.438"] in found.row("neg<b>")
    assert ["neg<b>", "1", "7", "4"] in found.row("neg<b>")
    assert "Of 30 annotated cells 9 were missed and 3 found as another" in found.text
    assert found.row("training") == [["training", "2", "12 | of 20", "8", "4"]]
    assert found.row("test") == [["test", "3", "30", "18", "12"]]
    assert found.row("parameters") == [["parameters", "4,321"]]
    assert found.row("time") == [["time", "1 min 15 s"]]
    assert ["jax", "0.1"] in found.row("jax")
    assert found.row("seen.png") == [["seen.png", "64", "80", "5"]]
    assert "undefined here: AP" in found.text
    assert "odd files (/scans/ward7/tile_a1)" in found.text
    assert "17 cells of other classes" in found.text


@quick
def test_the_worst_image_comes_first(workdir):
    found = Page(page.render(workdir))
    titles = [one.split(" F1 ")[0] for one in found.captions if " F1 " in one]
    assert titles == [made.ODD, "slide77"]
    table = next(one for one in found.tables if one[0][0] == "image")
    assert [row[0] for row in table[1:]] == [made.ODD, "slide77", "group/deep"]
    assert table[1][2:6] == ["0.250", "10", "6", "2"]
    assert "1 of 3 images have no picture, such as group/deep (1.000)" in found.text


@quick
def test_estimates_of_labels_that_are_a_part(workdir):
    path = workdir / "results.json"
    results = json.loads(path.read_text())
    entry = {"value": 0.625, "low": 0.5, "high": 0.75, "num_images": 3}
    metrics = {"recall_estimated@12px": {**entry, "num_labels": 8}}
    path.write_text(json.dumps({**results, "metrics": metrics, "tables": {}}))
    table = workdir / "predictions" / "per_image.csv"
    table.write_text("image,num_labels,recall_estimated\na,4,0.75\nb,4,\nc,4,0.5\n")
    found = Page(page.render(workdir))
    name = "recall estimated within 12 px"
    assert found.tiles[name] == ["0.625", "95 %: 0.500 to 0.750"]
    assert "annotations are a part of the cells: scores are estimates" in found.text
    table = next(one for one in found.tables if one[0][0] == "image")
    assert table == [
        ["image", "recall", "labels"],
        ["c", "0.500", "4"],
        ["a", "0.750", "4"],
        ["b", "", "4"],
    ]


@quick
def test_the_share_that_classes_stand_for(workdir):
    path = workdir / "results.json"
    results = json.loads(path.read_text())
    results["tables"]["score"] = {"name": "TPS"}
    for side, value in (("predicted", 0.25), ("annotated", 0.5)):
        entry = {"value": value, "low": None, "high": None, **made.ENTRY}
        results["metrics"][f"TPS_{side}"] = entry
    path.write_text(json.dumps(results))
    found = Page(page.render(workdir))
    assert found.tiles["TPS"] == ["0.250", "annotated 0.500"]


@quick
def test_scores_of_what_was_predicted(workdir):
    assert "cellrec score WORKDIR/predict makes them" in page.render(workdir)
    made.add_scores(workdir)
    found = Page(page.render(workdir))
    whole, spot = (one for one in found.tables if one[0][-1] == "counted")
    values = ["0.250 | 0.125 to 0.500", "0.500 | 0.250 to 0.750", "3 / 12 cells"]
    assert whole[1:] == [
        ["positive index | a / (a + b)", *values],
        ["per mm², neg<b>", "2,346", "undefined", "3 / 1.5 mm²"],
    ]
    assert spot[1:] == [
        ["seen.png", "positive index | hot spot, 0.25 mm²", *values],
    ]
    assert "1.5 mm² was looked at, 0.25 µm per px (TIFF tags); 2 tiles" in found.text
    assert "in 2 annotated fields of /scans/ward7" in found.text
    assert "3 cells, fewer" in found.text
    assert "1 images are below the usual least numbers by themselves" in found.text
    assert "the prediction has changed since" in found.text
    hidden = page.render(workdir, anonymize=True)
    assert "seen.png" not in hidden
    assert "ward7" not in hidden


@quick
def test_only_what_differs_from_the_defaults(workdir):
    found = Page(page.render(workdir))
    changed = next(one for one in found.tables if one[0][:3] == HEADS)
    assert [row[:3] for row in changed[1:]] == [
        ["total_steps", "40", "10000"],
        ["model.encoder", "small", "resnet50"],
        ["data.root", "/scans/ward7", "synthetic"],
        ["data.test_ids", "slide77, group/deep", ""],
    ]


def test_markup_in_names_is_text(workdir):
    text = page.render(workdir)
    found = Page(text)
    assert "script" not in found.tags
    assert made.ODD in found.text
    assert text.count("A &amp; B</text>") == 1  # of the chart, in which text is text
    assert "neg&lt;b&gt;</text>" in text


def test_nothing_comes_from_elsewhere(workdir):
    made.add_rounds(workdir)
    text = page.render(workdir)
    found = Page(text)
    loads = [
        value
        for tag, name, value in found.attributes
        if name in ("src", "href", "srcset", "poster", "data", "action", "xlink:href")
    ]
    assert any(one.startswith("data:image/png;base64,") for one in loads)
    assert all(one.startswith(("data:image/", "#")) for one in loads)
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(found.tags)
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert "http:" not in text
    assert "https:" not in text
    assert found.policy.split("; ")[:2] == ["default-src 'none'", "img-src data:"]
    assert not re.findall(r"url\((?!#)|@import", text)
    anchors = {value for _, name, value in found.attributes if name == "id"}
    assert {one[1:] for one in loads if one.startswith("#")} <= anchors


@quick
def test_hidden_names_are_nowhere(workdir):
    made.add_rounds(workdir)
    (workdir / "evaluate-ward8").mkdir()
    results = (workdir / "results.json").read_text()
    (workdir / "evaluate-ward8" / "results.json").write_text(results)
    open_page, text = (page.render(workdir, anonymize=hide) for hide in (False, True))
    names = [
        "slide77",
        "deep",
        "alert",
        "ward7",
        "ward8",
        "scans",
        "smith",
        "patient9",
        "seen.png",
    ]
    names += ["bad.png", "tile_a1", "tile_v", "odd files", workdir.parent.name]
    embedded = r"data:image/[^\"]*"
    for name in names:
        assert name in open_page
        assert name not in re.sub(embedded, "", text), name
    there = Page(open_page).row("evaluate-ward8")
    assert there == [["evaluate-ward8", *F1, "3"]]
    hashed = hashlib.blake2b(b"slide77", digest_size=5).hexdigest()
    assert f"image-{hashed}" in text
    assert (open_page.count("data:image"), text.count("data:image")) == (5, 4)
    assert "pictures with names in them are left out: 1" in text
    assert Page(text).tiles["F1 within 12 px"][0] == "0.612"


def test_the_same_files_give_the_same_bytes(workdir, tmp_path):
    made.add_rounds(workdir)
    places = [tmp_path / name for name in ("a.html", "b.html")]
    for place in places:
        assert page.write(workdir, place) == place
    assert places[0].read_bytes() == places[1].read_bytes()


@quick
def test_rounds_and_what_they_chose(workdir):
    assert "Rounds of pseudo labels" not in page.render(workdir)
    made.add_rounds(workdir)
    found = Page(page.render(workdir))
    table = next(one for one in found.tables if one[0][0] == "round")
    assert table[1:] == [
        ["0", "12", "0", "0", "1,234 | 62% right", "0", "", "0.500", "0.750"],
        ["1", "12", "1,234", "0", "", "", "", "0.625", "0.750"],
    ]


@quick
def test_a_picture_outside_of_its_folder_is_not_embedded(workdir):
    outside = workdir.parent / "x.overlay.png"
    outside.write_bytes((workdir / "figures" / "reliability.png").read_bytes())
    assert page.render(workdir).count("data:image") == 4


WHERE = {
    "results.json": "not evaluated yet",
    "splits.json": "splits.json is missing",
    "survey.json": "From /scans/ward7",
    "metrics.jsonl": "metrics.jsonl is missing",
    "log.txt": "",
    "predictions/per_image.csv": "per_image.csv is missing",
    "predict/summary.csv": "0 cells in 0 images",
    "predict/predict.json": "predict.json is missing",
    "predict/scores.json": "cellrec score WORKDIR/predict makes them",
    "checkpoints/40/meta/metadata": "no checkpoint can be read",
    "rounds/0/summary.json": "",
    "figures/overlay_slide77.png": "2 of 3 images have no picture",
}


@quick
@pytest.mark.parametrize("name", WHERE)
def test_what_is_missing_or_damaged_is_told(name, workdir):
    """Whatever a file holds the page is made; what others say stays."""
    made.add_rounds(workdir)
    made.add_scores(workdir)
    path = workdir / name
    whole = path.read_bytes()
    path.unlink()
    assert WHERE[name] in Page(page.render(workdir)).text
    odd = [b"", whole[: len(whole) // 2], b"[]", b"a,b\n1,2\n", b"\xff\xfe\x00"]
    for content in [*odd, b'{"run": 3, "metrics": [1]}']:
        path.write_bytes(content)
        assert "For research use only" in Page(page.render(workdir)).text


@quick
@pytest.mark.parametrize("wrong", ["metrics", "tables", "run", "dropped"])
def test_results_of_another_form_cost_their_section_alone(wrong, workdir):
    results = json.loads((workdir / "results.json").read_text())
    for content in ({"x": {"y": []}}, {"x": 3}, [1], "text"):
        changed = json.dumps({**results, wrong: content})
        (workdir / "results.json").write_text(changed)
        found = Page(page.render(workdir))
        assert found.row("data.root") or "cannot be shown" in found.text
        assert found.row("training")


def test_a_configuration_alone_is_enough(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"method": "of later", "total_steps": 7}')
    found = Page(page.render(tmp_path))
    assert "no checkpoint is whole: there is no model yet" in found.text
    assert ["total_steps", "7"] in found.row("total_steps")
    path.unlink()
    with pytest.raises(errors.CheckpointError, match="holds no config"):
        page.render(tmp_path)


@quick
def test_thresholds_of_a_run_without_results(workdir):
    """As of an export, or before evaluation: the checkpoint says them."""
    (workdir / "results.json").unlink()
    found = Page(page.render(workdir))
    source = "fitted on 4 validation labels"
    assert found.row("neg<b>")[0] == [f"neg<b> | {source}", "0.438"]
    assert "in the same order" not in found.text
    path = workdir / "checkpoints" / "40" / "meta" / "metadata"
    meta = json.loads(path.read_text())
    meta["decode"] |= {"num_labels": [0, 0], "once": {"thresholds": [0.125, 0.25]}}
    path.write_text(json.dumps({**meta, "fit_pending": True}))
    text = Page(page.render(workdir)).text
    assert "the threshold of A & B is the default: not fitted yet" in text
    assert "by --quick, in the same order: 0.125, 0.250." in text


@quick
def test_pictures_are_small_and_without_metadata(workdir):
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", "of smith")
    path = workdir / "figures" / "overlay_slide77.png"
    Image.effect_noise((1600, 1200), 90).save(path, pnginfo=told)
    sources = re.findall(r'"data:image/jpeg;base64,([^"]*)"', page.render(workdir))
    (encoded,) = map(base64.b64decode, sources)
    assert b"smith" not in encoded
    with Image.open(io.BytesIO(encoded)) as image:
        assert image.size == (1000, 750)


@quick
def test_names_that_are_not_utf8_are_escaped(workdir):
    path = workdir / "predict" / "summary.csv"
    path.write_bytes(path.read_bytes().replace(b"seen.png", b"\xff.png"))
    page.write(workdir)
    text = (workdir / page.FILE).read_text(encoding="utf-8")
    assert "\\udcff.png" in text
