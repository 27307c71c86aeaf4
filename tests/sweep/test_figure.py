"""Figures are drawn whatever was found."""

import dataclasses

import pytest

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


@pytest.mark.parametrize("x", ["q", ""])
@pytest.mark.parametrize("lines", [LINES, []], ids=["runs", "none"])
def test_draws_a_png(tmp_path, x, lines):
    path = tmp_path / "figure.png"
    figure.draw(path, dataclasses.replace(SWEEP, x=x), lines)
    assert path.read_bytes().startswith(b"\x89PNG")
