"""Figures of energies, by what is handed to the axes."""

from matplotlib.axes import Axes
from matplotlib.colors import to_hex
import numpy as np
from PIL import Image
import pytest

from cellrec_jax.study import energies, energy_figure


def _row(label, run, step, **values):
    empty = dict.fromkeys(energies.COLUMNS, "")
    return empty | {"label": label, "run": run, "step": str(step), **values}


@pytest.fixture
def drawn(monkeypatch):
    """Title -> label -> steps and values of each line."""
    found = []

    def plot(axes, steps, values, *rest, **options):
        title = axes.get_title(loc="left")
        found.append((title, options["label"], list(steps), list(values)))
        return own(axes, steps, values, *rest, **options)

    own = Axes.plot
    monkeypatch.setattr(Axes, "plot", plot)
    return found


def test_lines_are_the_columns_of_the_table(tmp_path, drawn):
    rows = [
        _row("BDE", "b", 10, energy_annotated="0.25", AUC_score="0.5"),
        _row("BDE", "b", 20, energy_annotated="0.125", AUC_score="0.75"),
        _row("plain", "p", 10, energy_annotated="0.5"),
    ]
    energy_figure.draw(tmp_path / "e.png", rows)
    lines = {(title, label): (x, y) for title, label, x, y in drawn}
    assert lines["BDE", "annotated cells"] == ([10, 20], [0.25, 0.125])
    assert lines["plain", "annotated cells"] == ([10], [0.5])
    assert np.isnan(lines["BDE", "background"][1]).all()
    scores = [y for _, label, _, y in drawn if label == "high score"]
    assert scores[0] == [0.5, 0.75]
    assert np.isnan(scores[1]).all()


def test_boxes_are_where_they_are_and_of_the_papers_colours(tmp_path, monkeypatch):
    added = []
    own = Axes.add_patch

    def add_patch(axes, patch):
        added.append((to_hex(patch.get_edgecolor()), patch.get_bbox().bounds))
        return own(axes, patch)

    monkeypatch.setattr(Axes, "add_patch", add_patch)
    panel = energies.Panel(
        step=30,
        share=0.1,
        image=np.full((40, 60, 3), 0.5, np.float32),
        boxes_yxyx=np.array([[1.0, 2, 11, 22]]),
        annotated_yxyx=np.array([[5.0, 6, 15, 26]]),
        cells_yxyx=np.array([[5.0, 6, 15, 26], [20, 30, 30, 50]]),
    )
    path = tmp_path / "b.png"
    energy_figure.draw_boxes(path, {"BDE": [panel, panel], "plain": [panel]})
    first = added[:4]
    assert first[0] == ("#00a000", (2, 1, 20, 10))  # x, y, width, height
    assert first[3] == ("#e61414", (6, 5, 20, 10))
    assert {place for _, place in first[1:3]} == {(6, 5, 20, 10), (30, 20, 20, 10)}
    assert len(added) == 3 * 4
    with Image.open(path) as figure:
        assert figure.width == pytest.approx(2 * 3.0 * 150, abs=1)
