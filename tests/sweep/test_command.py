"""The whole sweep with a stand-in for training."""

import hashlib
import json
from pathlib import Path
import shutil

from PIL import Image
import pytest

from cellrec_jax.sweep import command, figure

NAMES = [
    "plain/kept=0.1/seed0",
    "plain/kept=1.0/seed0",
    "bde/seed0",
    "plain/kept=0.1/seed1",
    "plain/kept=1.0/seed1",
    "bde/seed1",
]


@pytest.fixture
def sweep(sweep_file, tmp_path, fake_main):
    del fake_main  # is in place

    def run(*words):
        folder = ["--workdir", str(tmp_path / "out")]
        return command.run([str(sweep_file), *folder, *words])

    return run


def test_runs_skips_and_tabulates(sweep, order, tmp_path, capsys):
    assert sweep("--only", "bde", "--only", "seed=1") == 0
    assert order() == ["bde/seed1"]
    assert sweep() == 0
    assert order() == [name for name in NAMES if name != "bde/seed1"]
    assert "5 done, 1 were, 0 failed, 0 left" in capsys.readouterr().out
    assert sweep() == 0
    assert order() == []
    table = (tmp_path / "out/trial/trial.md").read_text()
    # Seeds 0 and 1 give 0.5 and 0.6: 12.706205 * 0.1 / sqrt(2) / sqrt(2) = 0.635
    assert "| plain | 1.0 | 2 | 0.550 ± 0.635 | 0.600 | - |" in table
    assert "| BDE |  | 2 | 0.550 ± 0.635 |  | - |" in table
    assert (tmp_path / "out/trial/trial.csv").read_text().count("\n") == 7
    assert (tmp_path / "out/trial/trial.png").exists()


@pytest.fixture
def no_figure(monkeypatch):
    monkeypatch.setattr(figure, "draw", lambda path, *_: Path(path).touch())


@pytest.mark.usefixtures("no_figure")
def test_other_settings_are_run_again(sweep, order):
    assert sweep("--only", "bde", "--set", "total_steps=7") == 0
    order()
    assert sweep("--only", "bde", "seed=0", "--set", "total_steps=8") == 0
    assert order() == ["bde/seed0"]


@pytest.mark.usefixtures("no_figure")
def test_failures_are_reported_and_repeated(sweep, order, monkeypatch, capsys):
    monkeypatch.setenv("FAIL", "bde/seed0")
    assert sweep("--only", "bde") == 1
    out = capsys.readouterr().out
    assert "1 done, 0 were, 1 failed, 0 left" in out
    assert "failed: bde/seed0: exit code 1: error: boom (" in out
    assert "1 of 6 runs; " in out
    monkeypatch.delenv("FAIL")
    order()
    assert sweep("--only", "bde") == 0
    assert order() == ["bde/seed0"]


def test_dry_run_prints_commands_alone(sweep, order, tmp_path, capsys):
    assert sweep("--dry-run", "--only", "plain", "--root", str(tmp_path)) == 0
    said = capsys.readouterr()
    out = said.out.splitlines()
    assert len(out) == 4
    assert "--config ki67_bde:small --workdir" in out[0]
    assert f"--config.data.root={tmp_path}" in out[0]
    assert [line.rpartition("  # ")[2] for line in out] == [
        "--run 0",
        "--run 1",
        "--run 2",
        "--run 3",
    ]
    assert said.err == "0 of 4 runs are done; the others: --array=0-3\n"
    assert order() == []
    assert not (tmp_path / "out").exists()


def test_a_run_by_number_writes_its_folder_alone(sweep, order, tmp_path, capsys):
    """Its number is that among the chosen, whatever is done."""
    only = ["--only", "kept=1.0"]
    assert sweep(*only, "--run", "1") == 0
    assert order() == ["plain/kept=1.0/seed1"]
    assert [path.name for path in (tmp_path / "out/trial").iterdir()] == ["plain"]
    assert sweep(*only, "--run", "1") == 0
    assert order() == []
    assert "0 done, 1 were, 0 failed, 0 left" in capsys.readouterr().out
    assert sweep("--run", "5") == 0
    assert order() == ["bde/seed1"]
    assert sweep("--dry-run") == 0
    said = capsys.readouterr()
    assert "2 of 6 runs are done; the others: --array=0-3\n" in said.err
    last = said.out.splitlines()[-1]
    assert "out/trial/plain/kept=0.1/seed1 " in last
    assert last.endswith("  # --run 3")
    names = {path.name for path in (tmp_path / "out/trial").iterdir()}
    assert names == {"plain", "bde"}


@pytest.mark.usefixtures("no_figure")
def test_a_failed_run_by_number_is_told(sweep, monkeypatch, capsys):
    monkeypatch.setenv("FAIL", "bde/seed0")
    assert sweep("--run", "2") == 1
    assert "failed: bde/seed0: exit code 1: error: boom (" in capsys.readouterr().out


@pytest.mark.usefixtures("no_figure")
def test_table_only_needs_no_root(sweep, order, tmp_path, capsys):
    assert sweep("--only", "bde", "--root", str(tmp_path)) == 0
    order()
    (tmp_path / "out/trial/trial.md").unlink()
    assert sweep("--table-only") == 0
    assert order() == []
    assert "2 of 6 runs; " in capsys.readouterr().out
    assert "| BDE |" in (tmp_path / "out/trial/trial.md").read_text()


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_readme_without_markers_shows_first(sweep, order, tmp_path, capsys, more):
    folder = tmp_path / "configs"
    words = ["--only", "bde", "--publish", str(folder), *more]
    assert sweep(*words) == 2
    assert f"cannot read {folder / 'results' / 'README.md'}" in capsys.readouterr().err
    (folder / "results").mkdir(parents=True)
    (folder / "results" / "README.md").write_text("<!-- trial -->\n")
    assert sweep(*words) == 2
    assert "after it, one line <!-- /trial -->" in capsys.readouterr().err
    assert order() == []
    assert not (tmp_path / "out").exists()


def test_publishing_leaves_the_rest_of_the_readme(sweep, tmp_path):
    folder = tmp_path / "configs"
    (folder / "results").mkdir(parents=True)
    readme = folder / "results" / "README.md"
    readme.write_text("before\n<!-- trial -->\nold\n<!-- /trial -->\nafter\n")
    assert sweep("--only", "bde", "--publish", str(folder)) == 0
    text = readme.read_text()
    assert text.startswith("before\n<!-- trial -->\n| row |")
    assert text.endswith("|\n<!-- /trial -->\nafter\n")
    assert "| BDE |" in text
    assert "old" not in text
    rows = (folder / "results" / "trial.csv").read_text().splitlines()
    assert len(rows) == 1 + 2
    assert (folder / "results" / "trial.png").exists()
    assert not (folder / "results" / "trial_overlays.png").exists()  # none was drawn
    _write_overlay(tmp_path / "out/trial/bde/seed0")
    assert sweep("--table-only", "--publish", str(folder)) == 0
    with Image.open(folder / "results" / "trial_overlays.png") as published:
        assert published.mode == "P"


PAIR = """
[[pairs]]
row = "plain"
against = "bde"
metric = "F1@12px"
"""


@pytest.mark.usefixtures("no_figure")
def test_pairs_stand_under_the_table_and_are_published_apart(
    sweep, sweep_file, folder, tmp_path, capsys
):
    sweep_file.write_text(sweep_file.read_text() + PAIR)
    publish = ["--table-only", "--publish", str(folder)]
    assert sweep(*publish) == 2
    assert "needs one line <!-- trial_pairs -->" in capsys.readouterr().err
    readme = folder / "results" / "README.md"
    markers = "<!-- trial_pairs -->\nold\n<!-- /trial_pairs -->\n"
    readme.write_text(readme.read_text() + markers)
    assert sweep("--only", "seed=0", "--publish", str(folder)) == 0
    assert "old" in readme.read_text()  # the runs counted nothing
    for number, name in enumerate(NAMES[:3]):
        _count(tmp_path / "out/trial" / name, matched=number)
    assert sweep(*publish) == 0
    text = (tmp_path / "out/trial/trial.md").read_text()
    line = "| plain - BDE | 0.1 | F1@12px | 1 | 1 | 0 | -0.500 | -0.500 |"
    assert text.index("| BDE |") < text.index(line)
    assert line in readme.read_text().partition("<!-- trial_pairs -->")[2]
    assert "old" not in readme.read_text()
    paired = (folder / "results" / "trial_pairs.csv").read_text().splitlines()
    assert len(paired) == 3
    shutil.rmtree(tmp_path / "out/trial/plain/kept=1.0")
    before = readme.read_text()  # of whose runs one is known by the table alone
    assert sweep("--published", str(folder), *publish) == 0
    assert readme.read_text() == before
    assert len((tmp_path / "out/trial/trial_pairs.csv").read_text().splitlines()) == 2
    assert (folder / "results" / "trial_pairs.csv").read_text().count("\n") == 3


def _count(workdir, matched):
    """What evaluation leaves behind, of four cells and four detections."""
    path = workdir / "results.json"
    found = json.loads(path.read_text())
    found["metrics"]["F1@12px"] = {"value": matched / 4}
    path.write_text(json.dumps(found))
    rows = "image,num_matched,num_predicted,num_truth\n1,{},4,4\n"
    (workdir / "predictions").mkdir()
    (workdir / "predictions" / "per_image.csv").write_text(rows.format(matched))


@pytest.fixture
def folder(tmp_path):
    """Where a table can be published."""
    path = tmp_path / "configs"
    (path / "results").mkdir(parents=True)
    (path / "results" / "README.md").write_text("<!-- trial -->\n<!-- /trial -->\n")
    return path


@pytest.mark.usefixtures("no_figure")
def test_two_machines_complete_one_table(sweep, order, folder, tmp_path, capsys):
    publish = ["--publish", str(folder)]
    assert sweep("--only", "bde", *publish) == 0
    table = folder / "results" / "trial.csv"
    first = table.read_text().splitlines()
    shutil.rmtree(tmp_path / "out")
    order()
    both = ["--published", str(folder), *publish]
    assert sweep("--only", "seed=0", *both) == 0
    assert order() == ["plain/kept=0.1/seed0", "plain/kept=1.0/seed0"]
    assert "2 done, 1 were, 0 failed, 0 left" in capsys.readouterr().out
    merged = table.read_text().splitlines()
    assert merged[0] == first[0]
    assert set(first) < set(merged)
    assert len(merged) == len(first) + 2
    assert (
        "| BDE |  | 2 | 0.550 ± 0.635 |"
        in (folder / "results" / "README.md").read_text()
    )


@pytest.mark.usefixtures("no_figure")
def test_published_runs_of_another_configuration_are_run_again(
    sweep, order, folder, capsys
):
    words = ["--only", "bde", "seed=0"]
    assert sweep(*words, "--set", "total_steps=7", "--publish", str(folder)) == 0
    order()
    assert sweep(*words, "--published", str(folder)) == 0
    assert order() == ["bde/seed0"]
    said = capsys.readouterr().err
    assert "0 runs are published; 1 of other configurations are left out" in said


@pytest.mark.usefixtures("no_figure")
def test_publishing_loses_no_run(sweep, order, folder, tmp_path, capsys):
    """Neither one that is not done here, nor one of another configuration."""
    publish = ["--publish", str(folder)]
    assert sweep("--only", "bde", "seed=0", "--set", "total_steps=7", *publish) == 0
    table = folder / "results" / "trial.csv"
    kept = table.read_text()
    order()
    assert sweep(*publish) == 2
    assert "1 of the 1 runs of" in (said := capsys.readouterr().err)
    assert "take their lines out of it first" in said
    assert not order()
    assert table.read_text() == kept
    table.unlink()
    assert sweep("--only", "bde", *publish) == 0
    shutil.rmtree(tmp_path / "out")
    kept = table.read_text()
    assert sweep("--only", "plain", *publish) == 2
    assert f"--published {folder} keeps them" in capsys.readouterr().err
    assert table.read_text() == kept


def _write_overlay(workdir):
    (workdir / "figures").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(workdir / "figures" / "overlay_1.png")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "bd"], "did you mean bde?"),
        (["--workers", "0"], "--workers 0"),
        (["--run", "6"], "--run 6: of 6 runs, the last is --run 5"),
        (["--run", "-1"], "--run -1: of 6 runs"),
        (["--run", "0", "--table-only"], "--run 0: writes no table"),
        (
            ["--set", "prior.steps=1"],
            "plain/kept=0.1/seed0: --config.prior.steps: no such key",
        ),
    ],
)
def test_mistakes_show_before_anything_runs(sweep, order, capsys, words, message):
    assert sweep(*words) == 2
    assert message in capsys.readouterr().err
    assert order() == []


@pytest.fixture
def tuned(sweep_file, tmp_path, weights):
    """The row bde starts from this model file, which a test may replace."""
    _copy(weights, "blue", tmp_path / "start")
    path = tmp_path / "start.safetensors"
    text = sweep_file.read_text()
    sweep_file.write_text(f'{text}init_from = "{path}"\n')
    return path


def _copy(weights, name, stem):
    for suffix in (".safetensors", ".json"):
        shutil.copy(weights / f"{name}{suffix}", f"{stem}{suffix}")


@pytest.mark.usefixtures("no_figure")
def test_runs_start_from_weights_and_are_done_with_these_alone(
    sweep, order, tuned, folder, tmp_path, capsys
):
    """Weights that change under their name are other ones."""
    words = ["--only", "seed=0", "--publish", str(folder)]
    assert sweep(*words) == 0
    assert len(order()) == 3
    assert (tmp_path / "started").read_text() == str(tuned)
    assert sweep(*words) == 0
    assert order() == []
    _change(tuned)
    (tmp_path / "out/trial/bde/seed0/checkpoints/9").mkdir(parents=True)
    assert sweep("--only", "seed=0") == 2
    assert "bde/seed0: a run there began with other weights" in capsys.readouterr().err
    assert order() == []
    shutil.rmtree(tmp_path / "out")
    assert sweep("--only", "seed=0", "--published", str(folder)) == 0
    assert order() == ["bde/seed0"]
    assert "2 runs are published; 1 of other" in capsys.readouterr().err


def _change(path):
    """A model file and its card with one bit of a weight turned."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    card = json.loads(path.with_suffix(".json").read_text())
    card["weights"]["sha256"] = hashlib.sha256(content).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(card))


@pytest.mark.parametrize("more", [[], ["--dry-run"], ["--only", "plain"]])
def test_weights_that_are_not_there_show_first(sweep, order, tuned, capsys, more):
    tuned.unlink()
    assert sweep(*more) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"error: rows.bde.init_from: {tuned}: no such model")
    assert said.err.count("\n") == 1
    assert order() == []


@pytest.mark.usefixtures("no_figure", "fake_main")
def test_several_sweeps_run_one_after_the_other(sweep_file, order, tmp_path, capsys):
    """Tables alone are made of those that have a run, here or published."""
    other = sweep_file.with_name("second.toml")
    other.write_text(sweep_file.read_text())
    third = sweep_file.with_name("third.toml")
    third.write_text(sweep_file.read_text())
    both, out = [str(sweep_file), str(other)], ["--workdir", str(tmp_path / "out")]
    assert command.run([*both, *out]) == 0
    assert order()[:6] == NAMES
    results = tmp_path / "configs" / "results"
    results.mkdir(parents=True)
    (results / "README.md").write_text(
        "<!-- trial -->\n<!-- /trial -->\n<!-- second -->\n<!-- /second -->\n"
    )
    folders = ["--publish", str(tmp_path / "configs")]
    assert command.run([*both, *out, *folders, "--table-only"]) == 0
    before = (results / "README.md").read_text()
    assert before.count("| BDE |") == 2
    (results / "README.md").write_text(
        "<!-- trial -->\n<!-- /trial -->\n<!-- second -->\n<!-- /second -->\n"
    )
    capsys.readouterr()
    anew = ["--workdir", str(tmp_path / "nothing"), "--published", folders[1]]
    words = [*both, str(third), *anew, *folders, "--table-only"]
    assert command.run(words) == 0
    assert (results / "README.md").read_text() == before
    assert "third: nothing is done or published" in capsys.readouterr().err
    assert order() == []


@pytest.mark.parametrize("words", [["--run", "0"], ["--only", "bde"]])
def test_of_several_sweeps_all_runs_are_meant(sweep_file, tmp_path, capsys, words):
    both = [str(sweep_file), str(sweep_file), "--workdir", str(tmp_path)]
    assert command.run([*both, *words]) == 2
    assert f"{words[0]}: give one sweep alone" in capsys.readouterr().err
