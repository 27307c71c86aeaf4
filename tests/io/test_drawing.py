"""What all figures share."""

import re

import numpy as np
from PIL import Image
import pytest

from cellrec_jax import errors
from cellrec_jax.io import drawing


def test_saves_a_whole_png_or_nothing(tmp_path, monkeypatch):
    figure = drawing.new_figure(2, 1)
    axes = figure.add_subplot()
    drawing.style(axes, "recall", "precision")
    drawing.title(axes, "all")
    drawing.unit_square(axes)
    axes.plot([0, 1], [1, 0], color=drawing.color(0), label="row")
    drawing.legend(axes, "upper right")
    path = tmp_path / "figure.png"
    drawing.save(path, figure)
    with Image.open(path) as image:
        assert image.size == (300, 150)  # 150 px an inch
        assert np.asarray(image.convert("L")).std() > 0
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(errors.RunError, match="No space left on device; free some"):
        drawing.save(path, figure)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["figure.png"]


@pytest.mark.parametrize(
    ("name", "label"), [("_hidden", "hidden"), ("a$b$", r"a\$b\$"), ("", "(no name)")]
)
def test_names_are_plain_labels(name, label):
    assert drawing.plain(name) == label


def test_a_drawing_is_text_that_a_page_can_colour():
    figure = drawing.new_figure(2, 1)
    axes = figure.add_subplot()
    drawing.style(axes, "<i>", "y")
    axes.plot([0, 1], [0, 1], color="#000000")
    text = drawing.svg(figure, "a")
    assert text.startswith("<svg ")
    assert "&lt;i&gt;" in text
    assert "xmlns" not in text
    assert "font-family" not in text
    assert "var(--grid, #e3e3e3)" in text
    assert "stroke: currentColor" in text
    assert not re.search(r"#(333333|000000|ffffff)(?!\))", text)
