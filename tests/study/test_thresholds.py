"""Thresholds of other labels, of a simulated detector and of a run of seconds."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.bench import coverage
from cellrec_jax.config import EvalConfig
from cellrec_jax.metrics import partial
from cellrec_jax.study import __main__ as study
from cellrec_jax.study import thresholds

DECODE = {"withheld": False, "min_distance": 0.0, "thresholds": [0.5]}


def _run(decode, images, **options):
    found = thresholds._Found(images, [1.0] * len(images), 0.0)
    config = EvalConfig(radius_px=12.0, min_distances=(0.0,), **options)
    model = SimpleNamespace(
        meta={"decode": decode},
        class_names=("cell",),
        experiment=SimpleNamespace(eval=config),
    )
    return thresholds._Run("run", model, found, found)


def _best_f1(images):
    """At the best of all cuts; cells lie apart, each is found once at most."""
    right = [
        (np.abs(one.pred_points_yx[:, None] - one.true_points_yx).max(-1) < 8).any(1)
        for one in images
    ]
    right = np.concatenate(right)
    scores = np.concatenate([one.pred_scores for one in images])
    total = sum(len(one.true_labels) for one in images)
    kept = scores >= scores[:, None]
    return np.max(2 * (kept & right).sum(1) / (kept.sum(1) + total))


def test_a_part_of_the_labels_chooses_by_its_rules(monkeypatch):
    images = coverage.simulate(8, 120)
    monkeypatch.setattr(thresholds, "_open", lambda _: _run(DECODE, images))
    rows = thresholds.compare("run", shares=[0.2], num_draws=5, num_full=1)
    by_name = {row["chosen by"]: row for row in rows[1:]}
    whole, best = rows[0], _best_f1(images)
    assert (whole["images"], whole["labels"], whole["sd"]) == (8, 960, None)
    assert whole["F1"] == pytest.approx(best)
    first = by_name["all labels"]
    assert (first["images"], first["labels"]) == (1, 120)
    own = {rule: by_name[f"20% of labels, {rule}"] for rule in partial.RULES}
    assert all((row["labels"], row["draws"]) == (192, 5) for row in own.values())
    assert best - 0.02 < own["known_share"]["F1"] <= best
    assert best - 0.03 < own["lee_liu"]["F1"] <= best
    assert own["f1"]["F1"] < best - 0.05  # what has no label seems false
    assert own["f1"]["threshold"] > whole["threshold"] + 0.1
    assert by_name["default"]["threshold"] == 0.5


def test_labels_choose_though_the_run_fixed_its_threshold(monkeypatch):
    images, found = coverage.simulate(3, 60), []
    for options in ({}, {"threshold": 0.99}):
        run = _run(DECODE, images, **options)
        monkeypatch.setattr(thresholds, "_open", lambda _, run=run: run)
        found.append(thresholds.compare("run", shares=[0.5], num_draws=1))
    assert found[1] == found[0]
    assert len({row["threshold"] for row in found[1]}) > 2


def test_withheld_labels_chose_by_themselves(monkeypatch):
    images = coverage.simulate(2, 50)
    decode = DECODE | {"withheld": True, "rule": "lee_liu", "num_labels": [30]}
    monkeypatch.setattr(thresholds, "_open", lambda _: _run(decode, images))
    (row,) = thresholds.compare("run", shares=[0.1], num_draws=3)
    assert (row["chosen by"], row["labels"]) == ("withheld labels, lee_liu", 30)
    assert row["threshold"] == 0.5
    assert 0.5 < row["F1"] < 1


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        (None, "withheld labels, lee_liu"),  # of versions that had none
        ("shared", "withheld labels, lee_liu"),
        ("default", "withheld labels, too few: default"),
        ("fixed", "withheld labels, not asked: fixed"),
    ],
)
def test_a_row_names_no_rule_that_did_not_choose(monkeypatch, scope, name):
    decode = {"withheld": True, "rule": "lee_liu", "num_labels": [4], "scope": scope}
    images = coverage.simulate(2, 20)
    monkeypatch.setattr(thresholds, "_open", lambda _: _run(DECODE | decode, images))
    (row,) = thresholds.compare("run", shares=[], num_draws=1)
    assert row["chosen by"] == name


def test_drawn_parts_of_too_few_labels_choose_nothing(monkeypatch):
    """Of 15 and 25 labels a half are 8 and 13, enough, a quarter 4 and 7: too few."""
    images = [*coverage.simulate(1, 15), *coverage.simulate(1, 25, 1)]
    monkeypatch.setattr(thresholds, "_open", lambda _: _run(DECODE, images))
    rows = thresholds.compare("run", shares=[0.5, 0.25], num_draws=2, num_full=1)
    assert [(row["labels"], row["chosen by"]) for row in rows] == [
        (40, "all labels"),
        (15, "all labels, too few: default"),
        *((21, f"50% of labels, {rule}") for rule in partial.RULES),
        (11, "25% of labels, too few: default"),
        (0, "default"),
    ]


def test_some_draws_of_too_few_labels_are_counted():
    chosen = [{"scope": scope} for scope in ("default", "own", "default")]
    name = thresholds._name("10% of labels", "f1", chosen)
    assert name == "10% of labels, f1; too few in 2 of 3 draws: default"


@pytest.mark.slow
def test_all_labels_choose_what_training_chose(trained, tmp_path):
    out = tmp_path / "table.csv"
    arguments = ["thresholds", str(trained), "--shares", "0.5", "--draws", "2"]
    assert study.run([*arguments, "--out", str(out)]) == 0
    with out.open() as file:
        rows = list(csv.DictReader(file))
    found = json.loads((trained / "results.json").read_text())["metrics"]["F1@12px"]
    assert float(rows[0]["F1"]) == pytest.approx(found["value"])
    assert [row["draws"] for row in rows] == ["1", "2", "1"]  # 4 labels are too few


def test_shares_that_are_none_are_refused():
    for word in ("1", "0", "much"):
        with pytest.raises(errors.ConfigError, match="--shares"):
            study.run(["thresholds", "nowhere", "--shares", word])
    with pytest.raises(errors.ConfigError, match="--draws"):
        study.run(["thresholds", "nowhere", "--draws", "0"])
