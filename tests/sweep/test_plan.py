"""What sweep files ask for, and in which order."""

from pathlib import Path

import pytest

from cellrec_jax import errors
from cellrec_jax.sweep import parse, plan

SHIPPED = sorted((Path(__file__).parents[2] / "launch" / "sweeps").glob("*.toml"))

FOLDED = """
metrics = ["F1"]
seeds = [3]
folds = 2
[axes.size.choices]
small = { model.channels = 8, data.crop_hw = [64, 32] }
[axes.both]
key = ["loss.a", "loss.b"]
values = [true, false]
[rows.one]
config = "c"
set.loss.c = 1
"""


def write(tmp_path, text):
    path = tmp_path / "trial.toml"
    path.write_text(text)
    return path


def test_order_names_and_overrides(sweep_file):
    runs = plan.expand(parse.read(sweep_file), {"data.root": "x", "data.format": "y"})
    assert [run.name for run in runs] == [
        "plain/kept=0.1/seed0",
        "plain/kept=1.0/seed0",
        "bde/seed0",
        "plain/kept=0.1/seed1",
        "plain/kept=1.0/seed1",
        "bde/seed1",
    ]
    assert runs[3].overrides == {
        "data.format": "y",
        "loss.calibration": "plain",
        "data.keep_rate": "0.1",
        "seed": "1",
        "data.root": "x",
    }


def test_folds_choices_and_texts(tmp_path):
    sweep = parse.read(write(tmp_path, FOLDED))
    runs = plan.expand(sweep, {})
    assert [run.name for run in runs] == [
        f"one/size=small/both={value}/seed3/fold{fold}"
        for fold in (0, 1)
        for value in ("true", "false")
    ]
    assert runs[-1].overrides == {
        "loss.c": "1",
        "model.channels": "8",
        "data.crop_hw": "64,32",
        "loss.a": "false",
        "loss.b": "false",
        "seed": "3",
        "data.num_folds": "2",
        "data.fold": "1",
    }
    assert sweep.x == ""  # no axis of numbers


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ([], "all"),
        (["bde"], ["bde/seed0", "bde/seed1"]),
        (["bde", "plain"], "all"),
        (["seed=1", "bde"], ["bde/seed1"]),
        (["kept=0.1"], ["plain/kept=0.1/seed0", "plain/kept=0.1/seed1"]),
        (["kept=0.1", "bde"], []),
    ],
)
def test_only(sweep_file, only, names):
    runs = plan.expand(parse.read(sweep_file), {})
    names = [run.name for run in runs] if names == "all" else names
    assert [run.name for run in plan.select(runs, only)] == names


def test_only_names_the_nearest(sweep_file):
    runs = plan.expand(parse.read(sweep_file), {})
    with pytest.raises(errors.ConfigError, match=r"kept=0\.2.*mean kept=0\.1"):
        plan.select(runs, ["kept=0.2"])


@pytest.mark.parametrize(
    ("key", "kind"), [("seed", "seed"), ("data.keep_rate", "kept")]
)
def test_what_varies_is_not_set(sweep_file, key, kind):
    with pytest.raises(errors.ConfigError, match=f"--only {kind}=VALUE"):
        plan.expand(parse.read(sweep_file), {key: "1"})


def _groups(*crossed):
    rows = {
        str(k): plan.Row("c", str(k), {}, axes, {}) for k, axes in enumerate(crossed)
    }
    return [list(group) for group in plan.groups(rows)]


def test_groups():
    """One of all if there is a common axis; rows without axes are levels there."""
    assert _groups(("q", "flipped"), ("flipped",), ()) == [["0", "1", "2"]]
    assert _groups((), ()) == [["0", "1"]]
    assert _groups(("p",), ("q",), (), ("p",)) == [["0", "3"], ["1"], ["2"]]
    assert _groups(("p", "q"), ("q", "p"), ("r",)) == [["0", "1"], ["2"]]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_sweeps_have_distinct_runs(path):
    runs = plan.expand(parse.read(path), {})
    assert len({run.name for run in runs}) == len(runs)
    settings = {
        (run.config, run.init_from, *sorted(run.overrides.items())) for run in runs
    }
    assert len(settings) == len(runs)


def test_ranges_as_array_jobs_take_them():
    assert plan.ranges([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"
    assert plan.ranges([]) == ""
