"""`cellrec convert`: words, exit codes, and what is said of losses."""

from pathlib import Path

from PIL import Image
import pytest

from cellrec_jax import main
from cellrec_jax.convert.formats import FORMATS
from cellrec_jax.data.readers import open_source
from cellrec_jax.verbs.convert import VERB


@pytest.fixture
def points(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    for name in ("a", "b"):
        Image.new("RGB", (40, 30)).save(root / f"images/{name}.png")
        (root / f"labels/{name}.csv").write_text("x,y,class\n7.5,3,T\n90,3,S\n")
    return root


def _run(*words: object) -> int:
    return main.run(["convert", *map(str, words)])


def test_a_folder_and_one_of_its_files(points, tmp_path, capsys):
    output = tmp_path / "out"
    options = ("--to", "yolo", "--box", "9", "--images", "link")
    assert _run(points, "--output", output, *options) == 0
    said = capsys.readouterr().out
    for line in (
        f"{points}: csv_points, 2 images",
        "repaired: 2 points outside the image dropped",
        "yolo: 2 boxes drawn around points, of the side that was asked for",
        f"{output}: yolo, 2 images, 2 cells: S 0, T 2",
    ):
        assert line in said
    assert open_source(output).load("a").boxes_yxyx.tolist() == [[0, 3, 6, 12]]
    file = points / "labels/b.csv"
    assert _run(file, "--to", "qupath", "--output", tmp_path / "one") == 0
    assert "belong into" in capsys.readouterr().out
    names = sorted(path.name for path in (tmp_path / "one").rglob("*.*"))
    assert names == ["b.geojson", "convert.json"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "needs one FOLDER or FILE, here are 0"),
        (("SET", "SET"), "here are 2"),
        (("SET",), "needs --to FORMAT"),
        (("SET", "--to", "coco"), "needs --output FOLDER"),
        (("SET", "--to", "voc", "--output", "OUT"), "give --box PX"),
        (("SET", "--to", "word", "--output", "OUT"), "choose one of qupath"),
        (("SET", "--to", "coco", "--output", "SET"), "there is something"),
        (("SET", "--to", "coco", "--output", "OUT", "--box", "0"), "--box 0: give px"),
        (("SET", "--to", "coco", "--output", "OUT", "--format", "x"), "unknown"),
        (("OUT", "--to", "coco", "--output", "OUT"), "does not exist"),
    ],
)
def test_wrong_usage_costs_2(words, message, points, tmp_path, capsys):
    places = {"SET": points, "OUT": tmp_path / "out"}
    assert _run(*(places.get(word, word) for word in words)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_images_that_cannot_be_read_cost_1_and_all_of_them_2(points, tmp_path, capsys):
    (points / "images/b.png").write_bytes(b"no image")
    assert _run(points, "--to", "csv", "--output", tmp_path / "out") == 1
    assert "1 of 2 images failed" in capsys.readouterr().err
    (points / "images/a.png").write_bytes(b"no image")
    assert _run(points, "--to", "csv", "--output", tmp_path / "two") == 2
    assert not (tmp_path / "two").exists()


def test_two_formats_that_fit_are_told_with_the_flag(points, tmp_path, capsys):
    (points / "cells.csv").write_text("image,x,y\na.png,7.5,3\n")
    options = ("--to", "coco", "--output", tmp_path / "out")
    assert _run(points, *options) == 2
    assert "with --format table" in capsys.readouterr().err
    assert _run(points, *options, "--format", "table") == 0


def test_help_names_every_format():
    told = next(flag.help for flag in VERB.flags if flag.name == "--to")
    assert all(name in told for name in FORMATS)
