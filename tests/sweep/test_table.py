"""Means and intervals by hand and by SciPy, and the two files."""

import csv
import dataclasses

import numpy as np
from scipy import stats

from cellrec_jax.sweep import plan, table

SWEEP = plan.Sweep(
    name="trial",
    title="A trial",
    rows={
        "ours": plan.Row("c", "Ours", {}, ("q",), {"F1": 0.83}),
        "other": plan.Row("c", "other", {}, (), {}),
    },
    metrics=("F1", "parameters"),
    axes={"q": plan.Axis({"0.1": {}, "0.4": {}}, (0.1, 0.4))},
    x="q",
)


def record(value, seed, row="ours", q="0.4", fold=None, parameters=1234):
    run = plan.Run(row, "c", {"q": q} if q else {}, seed, fold, {})
    results = {
        "metrics": {"F1": {"value": value}},
        "run": {
            "timing": {"seconds": 12.5, "predict_s": 0.25},
            "parameters": parameters,
            "versions": {"jax": "1.2"},
        },
    }
    return table.record(run, results, SWEEP.metrics)


RECORDS = [
    record(0.7, 0, row="other", q=""),
    record(0.8, 0),
    record(0.6, 1),
    record(0.7, 2),
]


def test_interval_by_hand_and_scipy():
    # s = 0.1, standard error 0.1 / sqrt(3), t quantile of two degrees 4.302653
    cell = table.interval([0.8, 0.6, 0.7])
    np.testing.assert_allclose(cell.mean, 0.7)
    np.testing.assert_allclose(cell.half, 4.302653 * 0.1 / 3**0.5, rtol=1e-6)
    values = [0.2, 0.5, 0.4, 0.9, 0.1]
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    cell = table.interval(values)
    np.testing.assert_allclose(
        [cell.mean - cell.half, cell.mean + cell.half], [low, high]
    )


def test_one_value_has_no_interval():
    assert table.interval([0.5]) == (0.5, None, 1)
    assert table.interval([]) == (None, None, 0)


def test_best_f1_is_the_mean_of_the_curves_highest_points():
    run = plan.Run("ours", "c", {}, 0, None, {})
    curves = {"a": {"F1": [0.2, 0.6, None]}, "b": {"F1": [0.1, 0.0]}}
    results = {"tables": {"threshold_curves": {"curves": curves}}}
    values = table.record(run, results, (table.BEST_F1,)).values
    np.testing.assert_allclose(values[table.BEST_F1], 0.35)
    curves["a"] = curves["b"] = {"F1": [None]}
    assert table.record(run, results, (table.BEST_F1,)).values == {table.BEST_F1: None}
    assert table.record(run, {}, (table.BEST_F1,)).values == {table.BEST_F1: None}


def test_values_at_other_radii_and_areas():
    run = plan.Run("ours", "c", {}, 0, None, {})
    curve = {"value": [0.2, None, 0.6], "area": {"value": 0.5}}
    total = {"value": [0.1, 0.3, 0.7], "area": {"value": 0.4}}
    classes = {"a": {"total_F1": total, "mean_F1": curve}}
    results = {
        "tables": {"radii": {"radii_px": [4.0, 8.0, 12.5], "classes": classes}},
        "metrics": {"F1@4px/a": {"value": 0.9}},
    }
    expected = {
        "mean_F1@4px/a": 0.2,
        "mean_F1@8px/a": None,
        "mean_F1@12.5px/a": 0.6,
        "F1@12.5px/a": 0.7,
        "F1(area)/a": 0.4,
        "mean_F1(area)/a": 0.5,
        "F1@4px/a": 0.9,  # measured apart
        "F1@6px/a": None,
    }
    assert table.record(run, results, tuple(expected)).values == expected


def test_lines_follow_the_file():
    lines = table.summarize(SWEEP, RECORDS)
    assert [(line.row, line.axes, line.num_seeds) for line in lines] == [
        ("ours", {"q": "0.4"}, 3),
        ("other", {}, 1),
    ]


def test_values_follow_the_file_whichever_was_done_first():
    lines = table.summarize(SWEEP, [record(0.8, 0), record(0.6, 1, q="0.1")])
    assert [line.axes["q"] for line in lines] == ["0.1", "0.4"]


def test_folds_are_averaged_within_a_seed():
    folds = [
        record(value, seed, fold=fold)
        for value, seed, fold in ((0.2, 0, 0), (0.4, 0, 1), (0.5, 1, 0), (0.7, 1, 1))
    ]
    (line,) = table.summarize(SWEEP, folds)
    assert line.num_seeds == 2
    expected = table.interval([0.3, 0.6])
    np.testing.assert_allclose(line.cells["F1"], expected)


def test_markdown():
    text = table.markdown(SWEEP, table.summarize(SWEEP, RECORDS))
    assert text.splitlines() == [
        "| row | q | seeds | F1 | paper | parameters |",
        "| --- | --- | --- | --- | --- | --- |",
        "| Ours | 0.4 | 3 | 0.700 ± 0.248 | 0.830 | 1,234 |",
        "| other |  | 1 | 0.700 |  | 1,234 |",
    ]


def test_the_papers_values_along_an_axis():
    row = SWEEP.rows["ours"]
    axis = plan.Axis({"0.1": {}, "0.4": {}}, (0.1, 0.4))
    sweep = dataclasses.replace(
        SWEEP,
        rows={"ours": dataclasses.replace(row, paper={"F1": (0.25, 0.75)})},
        axes={"q": axis},
    )
    lines = table.summarize(sweep, [record(0.8, 0), record(0.6, 0, q="0.1")])
    text = table.markdown(sweep, lines).splitlines()
    assert [line.split(" | ")[4] for line in text[2:]] == ["0.250", "0.750"]


def test_undefined_values():
    records = [record(None, 0, parameters=None), record(0.5, 1, parameters=None)]
    text = table.markdown(SWEEP, table.summarize(SWEEP, records))
    assert text.splitlines()[2] == "| Ours | 0.4 | 2 | 0.500 (n=1) | 0.830 | - |"


def test_csv_has_a_line_a_run(tmp_path):
    table.write_csv(tmp_path / "t.csv", SWEEP, RECORDS)
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert rows[1] == {
        "sweep": "trial",
        "row": "ours",
        "q": "0.4",
        "seed": "0",
        "fold": "",
        "F1": "0.8",
        "parameters": "1234",
        "seconds": "12.5",
        "predict_s": "0.25",
        "config": "",
        "jax": "1.2",
    }
    assert rows[0]["q"] == ""
