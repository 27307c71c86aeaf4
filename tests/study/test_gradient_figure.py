"""The grid of winners, by what is handed to the axes."""

from matplotlib.axes import Axes
from matplotlib.colors import to_hex
import numpy as np
import pytest

from cellrec_jax.io import drawing
from cellrec_jax.study import gradient_figure

NAMES = [f"resnet/layer1_{i}/conv1/kernel" for i in range(3)] + ["rpn/cls/bias"]


@pytest.fixture
def shown(monkeypatch):
    """The pixels, the texts beside rows and the places of dashed lines."""
    found = {"lines": []}

    def imshow(axes, image, **options):
        found["image"] = np.array([[to_hex(pixel) for pixel in row] for row in image])
        return draw(axes, image, **options)

    def axhline(axes, y, **options):
        if options["color"] == "black":
            found["lines"].append(y)
        return line(axes, y, **options)

    draw, line = Axes.imshow, Axes.axhline
    monkeypatch.setattr(Axes, "imshow", imshow)
    monkeypatch.setattr(Axes, "axhline", axhline)
    return found


def test_a_field_has_the_colour_of_the_least(tmp_path, shown):
    plain, bde = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 1.0, 3.0, 5.0])
    compared = {
        0.1: {"plain": plain, "BDE": bde},
        1.0: {"plain": bde, "BDE": plain},
    }
    path = tmp_path / "g.png"
    gradient_figure.draw(path, compared, NAMES)
    a, b, none = drawing.color(0), drawing.color(1), "#ffffff"
    expected = [[a, b], [b, a], [none, none], [a, b]]
    assert shown["image"].tolist() == expected
    assert shown["lines"] == [1, 3]
    assert path.read_bytes().startswith(b"\x89PNG")


def test_parts_of_a_network_with_many_layers():
    assert gradient_figure._part("resnet/layer3_0/conv1/kernel") == "layer3"
    assert gradient_figure._part("resnet/conv1/kernel") == "conv1"
    assert gradient_figure._part("fpn/lateral5/bias") == "fpn"
