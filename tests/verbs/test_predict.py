"""`cellrec predict`: what is refused before anything, and slides among images."""

from types import SimpleNamespace

import numpy as np
from PIL import Image
import pytest
import tifffile

from cellrec_jax import errors, flags, main
from cellrec_jax.predict import files, predictor
from cellrec_jax.predict.slide import many
from cellrec_jax.predict.slide.options import SlideOptions
from cellrec_jax.verbs import kinds, predict, slide_flags


@pytest.mark.parametrize(
    "given",
    [
        *(["--split", "1"], ["--split", "0"], ["--overlay-px", "0"]),
        *(["--min-distance-um", "x"], ["--min-distance-um", "-1"], ["--split", "-1"]),
        *(
            ["--min-distance-um", "nan"],
            ["--density-max", "0"],
            ["--shard", "5/3"],
            ["--mpp", "30"],
        ),
        *(["--overlay-px", "7"], ["--density-um", "-3"], ["--circle-um", "0"]),
        ["--circle-um", "5"],
    ],
)
def test_values_that_cannot_be_name_the_flag(given):
    with pytest.raises(errors.ConfigError) as told:
        slide_flags.options(flags.parse(["predict", "a.svs", *given])[0])
    assert str(told.value).startswith(given[0])
    assert "--config" not in str(told.value)


def test_boxes_are_of_methods_that_predict_them():
    traits = SimpleNamespace(has_boxes=False)
    SlideOptions(geometry="circle").check_method(traits)
    with pytest.raises(errors.ConfigError, match="--geometry box"):
        SlideOptions(geometry="box").check_method(traits)


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """Kind, names and output of each call; of images one fails."""
    found = []

    def predict_slides(_, paths, output, *rest):
        found.append(("slides", [path.name for path in paths], output.name))
        assert rest[1].geometry == "box"
        return files.Outcome()

    def predict_files(_, paths, output, *rest):
        found.append(("images", [path.name for path in paths], output.name))
        assert rest[1].geometry == "box"
        return files.Outcome(("b.png: damaged",))

    model = SimpleNamespace(threshold_lines=list, meta={})
    lines = SimpleNamespace(model=model, view_lines=list)
    monkeypatch.setattr(predictor, "load", lambda *_, **__: lines)
    monkeypatch.setattr(many, "predict_slides", predict_slides)
    monkeypatch.setattr(files, "predict_files", predict_files)
    monkeypatch.setattr(
        "cellrec_jax.config_files.stored",
        lambda *_: SimpleNamespace(
            predict=SimpleNamespace(batch=0), eval=SimpleNamespace(has_views=False)
        ),
    )
    monkeypatch.setattr(predict, "console", lambda _: SimpleNamespace(line=len))
    for name in ("b.png", "c.png"):
        Image.fromarray(np.zeros((5, 7), np.uint8)).save(tmp_path / name)
    (tmp_path / "a.svs").touch()
    return found


def test_slides_and_images_go_to_folders_of_their_own(calls, tmp_path):
    words = ["predict", str(tmp_path), "--workdir", "w", "--output", "out"]
    assert main.run([*words, "--geometry", "box"]) == errors.RunError.exit_code
    assert calls == [
        ("slides", ["a.svs"], "slides"),
        ("images", ["b.png", "c.png"], "images"),
    ]


@pytest.mark.parametrize(("exit_code", "kinds"), [(1, 2), (130, 1)])
def test_damaged_slides_stop_no_images(
    calls, tmp_path, monkeypatch, capsys, exit_code, kinds
):
    outcome = files.Outcome(("a.svs: damaged",), exit_code)

    def predict_slides(*_):
        calls.append("slides")
        return outcome

    monkeypatch.setattr(many, "predict_slides", predict_slides)
    words = ["predict", str(tmp_path), "--workdir", "w", "--output", "out"]
    assert main.run([*words, "--geometry", "box"]) == exit_code
    assert len(calls) == kinds
    assert ("a.svs: damaged" in capsys.readouterr().err) is (kinds == 2)


def test_damage_is_told_in_a_line(calls, tmp_path, monkeypatch, capsys):
    damaged = tuple(f"{name}.svs: 3 tiles" for name in "abcd")
    outcome = files.Outcome((), 1, damaged)
    monkeypatch.setattr(many, "predict_slides", lambda *_: outcome)
    words = ["predict", str(tmp_path / "a.svs"), "--workdir", "w", "--output", "out"]
    assert main.run(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "out/summary.csv" in line
    assert line.endswith("a.svs: 3 tiles; b.svs: 3 tiles; c.svs: 3 tiles; and 1 more")
    assert calls == []


@pytest.mark.parametrize(("has_views", "told"), [(False, True), (True, False)])
def test_quick_on_a_model_of_one_view_is_told(
    calls, tmp_path, monkeypatch, capsys, has_views, told
):
    settings = SimpleNamespace(
        predict=SimpleNamespace(batch=0), eval=SimpleNamespace(has_views=has_views)
    )
    monkeypatch.setattr("cellrec_jax.config_files.stored", lambda *_: settings)
    words = ["predict", str(tmp_path), "--workdir", "w", "--output", "out"]
    main.run([*words, "--geometry", "box", "--quick"])
    assert len(calls) == 2
    lines = capsys.readouterr().err.splitlines()
    assert ["--quick" in line for line in lines].count(True) == told


def test_one_pixel_size_is_given(calls, tmp_path):
    words = ["predict", str(tmp_path), "--workdir", "w", "--mpp", "0.5"]
    assert main.run([*words, "--mpp-all", "0.5"]) == errors.ConfigError.exit_code
    assert calls == []


def test_what_one_kind_reads_is_given_for_both(calls, tmp_path):
    words = ["predict", str(tmp_path), "--workdir", "w", "--output", "out", "--gz"]
    main.run([*words, "--margin", "9", "--geometry", "box"])
    assert len(calls) == 2
    alone = ["predict", str(tmp_path / "a.svs"), "--workdir", "w", "--margin", "9"]
    assert main.run(alone) == errors.ConfigError.exit_code
    alone = ["predict", str(tmp_path / "b.png"), "--workdir", "w", "--gz"]
    assert main.run(alone) == errors.ConfigError.exit_code
    alone = ["predict", str(tmp_path / "b.png"), "--workdir", "w"]
    assert main.run([*alone, "--min-distance-um", "0"]) == errors.ConfigError.exit_code
    assert len(calls) == 2


def test_every_tiff_is_a_slide_where_that_is_asked(tmp_path):
    flat = tmp_path / "b.tif"
    tifffile.imwrite(flat, np.zeros((32, 32, 3), np.uint8), tile=(16, 16))
    parts, lines = kinds.split([tmp_path / "a.png", flat], every_tiff=False)
    assert parts["images"] == [tmp_path / "a.png", flat]
    assert len(lines) == 1
    assert "b.tif" in lines[0]
    assert "--slides all" in lines[0]
    parts, lines = kinds.split([tmp_path / "a.png", flat], every_tiff=True)
    assert parts == {"slides": [flat], "images": [tmp_path / "a.png"]}
    assert lines == []


def test_what_one_kind_does_not_read_is_told():
    words = ["predict", "a.svs", "b.png", "--gz", "--margin", "9", "--roi", "."]
    found = slide_flags.unread(flags.parse(words)[0], 1, 2)
    assert [line.partition(":")[0] for line in found] == ["--roi, --gz", "--margin"]
