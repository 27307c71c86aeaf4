"""The command line, in process: modes, exit codes, one-line errors."""

import json
from pathlib import Path
import re
import shutil
import signal
import subprocess
import sys
import time

from etils import epath
import jax
import numpy as np
from PIL import Image
import pytest

import cellrec_jax
from cellrec_jax import config_files, errors, main, startup
from cellrec_jax.data.annotations import qupath
from cellrec_jax.data.synthetic import source as synthetic
from cellrec_jax.workdir import lock


def test_train_writes_results(trained):
    stored = json.loads((trained / "config.json").read_text())
    assert stored["data"]["test_ids"] == "5"
    results = json.loads((trained / "results.json").read_text())
    kept, total = results["run"]["cells_kept"], results["run"]["cells_total"]
    assert 0 < kept < total


def test_evaluate_any_folder(trained, bcdata_folder, tmp_path, capsys):
    """Its results have a folder of their own: the run's are left as they are."""
    workdir = shutil.copytree(trained, tmp_path / "copy")
    before = (workdir / "results.json").read_bytes()
    arguments = ["--mode", "evaluate", "--workdir", str(workdir)]
    assert main.run([*arguments, f"--config.data.root={bcdata_folder}"]) == 0
    assert "F1@12px" in capsys.readouterr().out
    output = workdir / f"evaluate-{bcdata_folder.name}"
    rows = (output / "predictions" / "per_image.csv").read_text().splitlines()
    assert len(rows) == 1 + 6
    assert (workdir / "results.json").read_bytes() == before


def test_results_of_a_run_at_work_are_its_own(trained, tmp_path, capsys):
    """Those that go elsewhere are measured meanwhile."""
    workdir = shutil.copytree(trained, tmp_path / "copy")
    before = (workdir / "results.json").read_bytes()
    arguments = ["--mode", "evaluate", "--workdir", str(workdir)]
    with lock.hold(epath.Path(workdir)):
        assert main.run(arguments) == 1
        assert "or give another --output" in capsys.readouterr().err
        assert (workdir / "results.json").read_bytes() == before
        assert main.run([*arguments, "--output", str(tmp_path / "out")]) == 0
    assert main.run(arguments) == 0
    assert not (workdir / lock.FILE).exists()


def test_a_threshold_of_the_command_line_is_that_of_all_classes(trained, tmp_path):
    """For this evaluation alone: the work directory keeps its own."""
    fitted = cellrec_jax.load(trained).model.meta["decode"]["thresholds"]
    output = tmp_path / "out"
    arguments = ["--mode", "evaluate", "--workdir", str(trained)]
    arguments += ["--output", str(output), "--threshold", "0.125"]
    assert main.run(arguments) == 0
    results = json.loads((output / "results.json").read_text())
    assert results["metrics"]["F1@12px"]["thresholds"] == {"tumour": 0.125}
    assert results["run"]["thresholds_from"] == {"tumour": "fixed by --threshold"}
    assert cellrec_jax.load(trained).model.meta["decode"]["thresholds"] == fitted
    loaded = cellrec_jax.load(trained, threshold=0.125)
    assert loaded.model.meta["decode"]["thresholds"] == [0.125]


def test_results_of_another_threshold_leave_the_runs_own(
    trained, bcdata_folder, tmp_path, capsys
):
    workdir = shutil.copytree(trained, tmp_path / "copy")
    before = (workdir / "results.json").read_bytes()
    arguments = ["--mode", "evaluate", "--workdir", str(workdir), "--threshold", "0.25"]
    root = f"--config.data.root={bcdata_folder}"
    for more, name in (
        ([], "evaluate-at-0.25"),
        ([root], f"evaluate-{bcdata_folder.name}-at-0.25"),
    ):
        assert main.run([*arguments, *more]) == 0
        assert str(workdir / name) in capsys.readouterr().out
        found = json.loads((workdir / name / "results.json").read_text())
        assert found["metrics"]["F1@12px"]["thresholds"] == {"tumour": 0.25}
    assert main.run([*arguments, "--output", str(workdir)]) == 2
    assert "--output" in capsys.readouterr().err
    assert (workdir / "results.json").read_bytes() == before


def test_images_that_are_annotated_in_part_have_estimates_alone(
    trained, bcdata_folder, tmp_path, capsys
):
    """Nothing that takes what has no label to be wrong: no number, table or figure."""
    arguments = ["--mode", "evaluate", "--workdir", str(trained)]
    arguments += ["--output", str(tmp_path), "--config.data.marked_share=0.5"]
    assert main.run([*arguments, f"--config.data.root={bcdata_folder}"]) == 0
    said = capsys.readouterr().out
    assert "annotations mark 50.0% of the cells" in said
    assert "F1_estimated@12px" in said
    results = json.loads((tmp_path / "results.json").read_text())
    assert all("_estimated" in name for name in results["metrics"])
    assert results["tables"] == {}
    table = (tmp_path / "predictions" / "per_image.csv").read_text()
    columns = set(table.splitlines()[0].split(","))
    assert {"num_matched", "num_labels", "recall_estimated"} < columns
    assert not columns & {"num_truth", "recall", "precision", "F1", "count_error"}
    figures = {path.name for path in (tmp_path / "figures").glob("[!o]*")}
    assert figures == {"loss.png"}


def test_evaluation_refuses_the_runs_training_images(trained, capsys):
    """As a folder whose random split has changed would report on them."""
    arguments = ["--mode", "evaluate", "--workdir", str(trained)]
    ids = {"train": "0-2", "test": "3"}
    arguments += [f"--config.data.{name}_ids={text}" for name, text in ids.items()]
    assert main.run(arguments) == 2
    assert "1 of these images trained this run (3)" in capsys.readouterr().err


def test_predict_writes_csv_geojson_and_overlay(trained, tmp_path, capsys):
    images = tmp_path / "in" / "sub"
    images.mkdir(parents=True)
    made = synthetic.make_image(1, 3, size_hw=(96, 128)).image
    Image.fromarray(made).save(images / "a.png")
    Image.fromarray(made[:, ::-1]).save(tmp_path / "in" / "b.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG no")
    out = tmp_path / "out"
    words = [str(tmp_path / "in" / name) for name in ("sub", "b.png", "broken.png")]
    command = ["predict", *words, "--workdir", str(trained), "--output", str(out)]
    assert main.run(command) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: 1 of 3 images failed")
    assert "broken.png" in second
    assert main.run(["predict", words[-1], *command[4:-1], str(tmp_path / "no")]) == 2
    assert "error: 1 of 1 images failed" in capsys.readouterr().err
    lines = (out / "detections.csv").read_text().splitlines()
    assert lines[0] == "image,x,y,score,class"
    found = qupath.parse(out / "sub" / "a.png.geojson")
    rows = [line.split(",") for line in lines if line.startswith("sub/a.png")]
    np.testing.assert_allclose(
        found.points_yx, [[float(y), float(x)] for _, x, y, *_ in rows], atol=0.006
    )
    with Image.open(out / "sub" / "a.png.overlay.png") as drawn:
        assert drawn.size == (128, 96)
    cells = cellrec_jax.load(trained).predict(made)
    assert len(cells.scores) == len(rows)
    assert (out / "summary.csv").read_text().count("\n") == 1 + 3


def test_the_command_line_imports_no_jax():
    """Which reads its environment when it is imported, and takes a second."""
    code = "import cellrec_jax.main, sys; print('jax' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert ran.stdout.strip() == b"False"


def test_predict_goes_on_in_its_input_folder_and_tells_what_it_leaves(
    trained, tmp_path, capsys
):
    """Results beside the images: overlays are no images, whatever the pattern."""
    made = synthetic.make_image(1, 3, size_hw=(96, 128)).image
    Image.fromarray(made).save(tmp_path / "a.png")
    (tmp_path / "scan.qpdata").write_bytes(b"II*")
    command = ["--mode", "predict", "--workdir", str(trained), "--geometry", "box"]
    command += ["--output", str(tmp_path), "--input"]
    assert main.run([*command, str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "scan.qpdata" in said
    assert "score threshold of" in said
    before = (tmp_path / "detections.csv").read_bytes()
    polygons = qupath.parse(tmp_path / "a.png.geojson")
    assert len(polygons.scores) == before.count(b"\n") - 1
    assert main.run([*command, str(tmp_path / "*.png")]) == 0
    assert "predicted already" in capsys.readouterr().out
    assert (tmp_path / "detections.csv").read_bytes() == before


def test_training_keeps_the_colour_of_its_images(trained, bcdata_folder):
    images = [bcdata_folder / "images" / f"{index}.png" for index in range(4)]
    means = [np.asarray(Image.open(path)).mean(axis=(0, 1)) for path in images]
    look = cellrec_jax.load(trained).model.meta["look"]
    np.testing.assert_allclose(look["mean_rgb"], np.mean(means, axis=0), atol=0.01)
    np.testing.assert_allclose(look["spread_rgb"], np.std(means, axis=0), atol=0.01)


def test_list_has_a_line_for_each_preset(capsys):
    assert main.run(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(config_files.shipped())


BAD = [
    (["--config", "nothing"], "ki67_bde, mitos_bde"),
    (["--config", "ki67_bde:tiny"], "no preset :tiny"),
    ([], "--mode train needs --config FILE"),
    (["--mode", "predict", "--workdir", "x"], "--mode predict needs --input"),
    (["predict", "--workdir", "x"], "error: predict needs --input"),
    (["evaluate", "--workdir", "/none/x"], "train there first"),
    (["--mode", "evaluate", "--workdir", "/none/x"], "train there first"),
    (["--config", "ki67_bde", "--config.total_steps=many"], "a whole number"),
    (["--config", "ki67_bde", "--config.data.keep_rate=0"], "data.keep_one=true"),
    (["--config", "ki67_bde", "--config.model.backbone=vgg"], "resnet50"),
    (["--config", "ki67_bde", "--config.batch_size"], "needs a value"),
    (["--config", "ki67_bde", "--multihost", "here"], "HOST:PORT,COUNT,ID"),
    (["--mode", "export", "--workdir", "w", "--multihost"], "one process does it"),
    (["doctor", "--multihost"], "doctor: one process does it"),
    (["report"], "report needs one WORKDIR"),
    (["report", "/none/x"], "holds no config.json"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_usage_is_one_line_and_exit_2(arguments, message, capsys, tmp_path):
    if "--workdir" not in arguments and arguments[:1] not in (["doctor"], ["report"]):
        arguments = [*arguments, "--workdir", str(tmp_path / "run")]
        if "needs --workdir" in message:
            arguments = arguments[:-2]
    assert main.run(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--config.data.root=/none"], "/none"),
        (["--config.batch_size=6"], "--config.batch_size=8"),
        (["--init-from", "none"], "has no checkpoint"),
        (["--config.data.train_ids=99"], "99"),
    ],
)
def test_a_refused_start_leaves_nothing(
    tiny_overrides, bcdata_folder, tmp_path, capsys, flags, message
):
    """Neither a folder nor, in one that was there, a file; what was there stays."""
    arguments = ["--config", "ki67_bde:demo_paper", *tiny_overrides]
    arguments += [f"--config.data.root={bcdata_folder}", *flags]
    assert main.run([*arguments, "--workdir", str(tmp_path / "a" / "b")]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    (tmp_path / "notes.txt").write_text("mine")
    assert main.run([*arguments, "--workdir", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_platform_without_devices_names_the_variable(monkeypatch, capsys):
    """As JAX_PLATFORMS=cuda left in the shell, where JAX has an empty assertion."""

    def devices():
        raise AssertionError

    monkeypatch.setattr(jax, "devices", devices)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    arguments = ["--mode", "predict", "--workdir", "x", "--input", "y"]
    assert main.run(arguments) == 2
    assert capsys.readouterr().err.startswith("error: JAX_PLATFORMS=cuda: ")
    monkeypatch.delenv("JAX_PLATFORMS")
    assert main.run(arguments) == 1


def test_a_failed_start_does_not_spoil_the_directory(tiny_overrides, tmp_path, capsys):
    """The mended command goes on to the next mistake instead of being refused."""
    arguments = ["--config", "ki67_bde:demo_paper", "--workdir", str(tmp_path)]
    arguments += tiny_overrides
    for flag in ("data.root=/none", "batch_size=6"):
        assert main.run([*arguments, f"--config.{flag}"]) == 2
        assert "another configuration" not in capsys.readouterr().err


def test_missing_pretrained_file_names_it(tiny_overrides, tmp_path, capsys):
    arguments = ["--config", "ki67_bde:demo_paper", "--workdir", str(tmp_path)]
    arguments += tiny_overrides
    arguments += ["--config.model.backbone=resnet18", "--config.model.pretrained=w.pth"]
    assert main.run(arguments) == 2
    assert "w.pth" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_three_times_ends_with_the_same_metrics(tiny_overrides, tmp_path):
    """SIGKILL at any moment, the same command again: equal results in the end."""
    base = [sys.executable, "-m", "cellrec_jax.main", "--config", "ki67_bde:demo_paper"]
    base += [*tiny_overrides, "--config.total_steps=60", "--config.checkpoint.every=5"]
    straight = [*base, "--workdir", str(tmp_path / "straight")]
    ran = subprocess.run(straight, check=True, capture_output=True, text=True)
    first, second, *_ = ran.stdout.splitlines()
    assert first.startswith("generated images: --config.data.root=FOLDER")
    assert "images: 4 train, 2 val, 2 test; " in second
    killed = [*base, "--workdir", str(tmp_path / "killed")]
    for progress in (6, 21, 36):
        process = subprocess.Popen(killed, stdout=subprocess.DEVNULL)
        path = tmp_path / "killed" / "metrics.jsonl"
        while process.poll() is None:
            rows = path.read_text().count("\n") if path.exists() else 0
            if rows >= progress:
                process.kill()
            time.sleep(0.05)
        assert process.wait() == -signal.SIGKILL
    ran = subprocess.run(killed, check=True, capture_output=True, text=True)
    assert re.search(r"resumed at step \d+ of 60", ran.stdout)
    results = [
        json.loads((tmp_path / name / "results.json").read_text())["metrics"]
        for name in ("straight", "killed")
    ]
    assert results[0] == results[1]


@pytest.fixture
def jax_setting(monkeypatch):
    """Reads a setting of JAX; they are as before after the test."""
    names = ("compilation_cache_dir", "enable_compilation_cache")
    names += ("persistent_cache_min_compile_time_secs",)
    before = {f"jax_{name}": getattr(jax.config, f"jax_{name}") for name in names}
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    jax.config.update("jax_enable_compilation_cache", True)  # a test may have ended it
    yield lambda name: getattr(jax.config, f"jax_{name}")
    for name, value in before.items():
        jax.config.update(name, value)


def test_compiled_programs_are_kept_for_each_kind_of_processor(
    jax_setting, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    own = tmp_path / "own"
    for flag, place in (("", tmp_path / "cellrec_jax"), (str(own), own)):
        startup.keep_compiled(flag)
        (folder,) = place.iterdir()
        assert jax_setting("compilation_cache_dir") == str(folder)
        assert jax_setting("enable_compilation_cache")
    monkeypatch.setattr(Path, "read_text", lambda _: "flags: of another one")
    assert startup._processor() != folder.name
    startup.keep_compiled("off")
    assert not jax_setting("enable_compilation_cache")


def test_jax_s_own_variable_is_left_to_it(jax_setting, tmp_path, monkeypatch):
    before = jax_setting("compilation_cache_dir")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    startup.keep_compiled("")
    assert jax_setting("compilation_cache_dir") == before
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_is_refused_if_it_was_asked_for(
    jax_setting, tmp_path, monkeypatch
):
    before = jax_setting("compilation_cache_dir")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(errors.ConfigError, match=r"--cache .*file: cannot be written"):
        startup.keep_compiled(str(file))
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    startup.keep_compiled("")
    assert jax_setting("compilation_cache_dir") == before
