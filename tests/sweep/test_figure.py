"""Figures are drawn whatever was found."""

import dataclasses

import numpy as np
import pytest

from cellrec_jax.io import drawing
from cellrec_jax.sweep import figure, plan, table

ROWS = {
    "ours": plan.Row("c", "Ours", {}, ("q", "flipped"), {"F1": 0.8}),
    "level": plan.Row("c", "$level", {}, ("flipped",), {}),
}
SWEEP = plan.Sweep("s", "A trial", ROWS, ("F1", "AP"), x="q")
CELLS = {"F1": table.Cell(0.7, 0.1, 3), "AP": table.Cell(None, None, 0)}
LINES = [
    *(table.Line("ours", {"q": q, "flipped": "0.2"}, 3, CELLS) for q in ("0.1", "0.4")),
    table.Line("level", {"flipped": "0.2"}, 3, CELLS),
]


def test_series_differ_in_x_alone():
    found = figure.series(SWEEP, LINES)
    assert {label: len(own) for label, own in found.items()} == {
        "Ours, flipped 0.2": 2,
        "$level, flipped 0.2": 1,
    }


APART = plan.Sweep(
    "s",
    "Options",
    {
        "exponent": plan.Row("c", "exponent", {}, ("p",), {}),
        "kinds": plan.Row("c", "kinds", {}, ("kind",), {}),
        "both": plan.Row("c", "both", {}, ("kind", "p"), {}),
        "rounds": plan.Row("c", "rounds", {}, (), {}),
    },
    ("F1", "AP"),
    axes={"p": plan.Axis({"1": {}, "2": {}}, (1, 2)), "kind": plan.Axis({"a": {}})},
)


def test_rows_without_a_common_axis_have_their_own():
    found = figure.parts(APART)
    assert [(list(part.rows), part.x) for part in found] == [
        (["exponent"], "p"),
        (["kinds"], ""),
        (["both"], "p"),
        (["rounds"], ""),
    ]
    chosen = dataclasses.replace(APART, x="p")
    assert figure.parts(chosen) == [chosen]
    assert figure.parts(SWEEP) == [SWEEP]


def test_each_part_is_drawn_over_its_own_axis(tmp_path, monkeypatch):
    """Labels of the panels of two metrics, from the top."""
    drawn = []
    monkeypatch.setattr(drawing, "save", lambda _, figure: drawn.append(figure))
    combinations = [
        ("exponent", {"p": "1"}),
        ("exponent", {"p": "2"}),
        ("kinds", {"kind": "a"}),
        ("both", {"kind": "a", "p": "1"}),
        ("rounds", {}),
    ]
    lines = [table.Line(row, axes, 3, CELLS) for row, axes in combinations]
    figure.draw(tmp_path / "figure.png", APART, lines)
    panels = drawn[0].axes
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in panels]
    lines_over_p, bars = [("p", "F1"), ("p", "AP")], [("F1", ""), ("AP", "")]
    assert labels == [*lines_over_p, *bars, *lines_over_p, *bars]
    assert panels[0].get_title(loc="left") == "exponent"
    assert list(panels[0].lines[0].get_xdata()) == [1, 2]


def test_the_papers_curve_is_drawn_beside_a_rows(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(drawing, "save", lambda _, figure: drawn.append(figure))
    axis = plan.Axis({"0.1": {}, "0.4": {}}, (0.1, 0.4))
    rows = {
        "ours": plan.Row("c", "Ours", {}, ("q",), {"F1": (0.3, 0.6)}),
        "other": plan.Row("c", "Other", {}, ("q",), {}),
    }
    sweep = plan.Sweep("s", "A trial", rows, ("F1",), {"q": axis}, x="q")
    lines = [
        table.Line(row, {"q": q}, 1, {"F1": table.Cell(0.7, None, 1)})
        for row in rows
        for q in ("0.1", "0.4")
    ]
    figure.draw(tmp_path / "x.png", sweep, lines)
    (axes,) = drawn[0].axes
    curves = [one for one in axes.lines if one.get_marker() == "D"]
    (paper,) = [one for one in curves if np.isfinite(one.get_ydata()).any()]
    assert list(paper.get_ydata()) == [0.3, 0.6]
    ours = next(one for one in axes.lines if one.get_marker() == "o")
    assert paper.get_color() == ours.get_color()
    assert axes.get_ylabel() == "F1 (diamond: paper)"


@pytest.mark.parametrize(
    ("half", "right"),
    [(0.02, pytest.approx(0.525, abs=0.03)), (3.0, 0.65), (None, 0.525)],
)
def test_wide_intervals_are_cut(tmp_path, monkeypatch, half, right):
    """Beyond 1.3 times the longest bar, of 0.5."""
    drawn = []
    monkeypatch.setattr(drawing, "save", lambda _, figure: drawn.append(figure))
    cells = {"F1": table.Cell(0.5, half, 2), "AP": table.Cell(None, None, 0)}
    line = table.Line("rounds", {}, 2, cells)
    rows = {"rounds": APART.rows["rounds"]}
    figure.draw(tmp_path / "x.png", dataclasses.replace(APART, rows=rows), [line])
    assert drawn[0].axes[0].get_xlim() == pytest.approx((0, right))


@pytest.mark.parametrize("x", ["q", ""])
@pytest.mark.parametrize("lines", [LINES, []], ids=["runs", "none"])
def test_draws_a_png(tmp_path, x, lines):
    path = tmp_path / "figure.png"
    figure.draw(path, dataclasses.replace(SWEEP, x=x), lines)
    assert path.read_bytes().startswith(b"\x89PNG")
