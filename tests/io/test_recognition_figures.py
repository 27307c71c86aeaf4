import numpy as np
from PIL import Image
import pytest

from cellrec_jax.io import recognition_figures


def pixels(path):
    """The drawing; opening it proves that the PNG is whole."""
    image = np.array(Image.open(path).convert("RGB"))
    assert image.shape[0] > 300
    assert image.shape[1] > 300
    return image.astype(int)


def count(image, color):
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(image - wanted).max(axis=-1) <= 2).sum())


def test_confusion_matrix(tmp_path):
    path = tmp_path / "confusion.png"
    recognition_figures.confusion_matrix(
        path, np.array([[9, 0, 0], [0, 4, 4], [0, 2, 0]]), ["$a_{b}", "_b"]
    )
    found = pixels(path)
    assert count(found, "#08306b") > 5000  # the darkest: all cells of a class found
    recognition_figures.confusion_matrix(path, np.zeros((5, 5), int), list("abcd"))
    empty = pixels(path)
    assert empty.shape[0] > found.shape[0]  # more classes need more room


def test_threshold_curve(tmp_path):
    path = tmp_path / "curve.png"
    thresholds = np.linspace(0, 1, 5)
    f1 = {
        "all classes": np.array([0.2, 0.8, 0.6, 0.1, np.nan]),
        "$odd_{name}": np.full(5, np.nan),
    }
    recognition_figures.threshold_curve(path, thresholds, f1, operating={"x": 0.3})
    plain = pixels(path)
    assert count(plain, "#0072b2") > 300
    recognition_figures.threshold_curve(
        path, thresholds, f1, operating={"$odd_{name}": 0.3}
    )
    # Its own line is undefined; the dashed one comes on top of the legend.
    assert count(pixels(path), "#d55e00") > count(plain, "#d55e00") + 300


@pytest.mark.parametrize("f1", [{}, {"cell": np.full(3, np.nan)}])
def test_nothing_to_draw(tmp_path, f1):
    path = tmp_path / "curve.png"
    recognition_figures.threshold_curve(path, np.linspace(0, 1, 3), f1)
    pixels(path)


def test_radius_curves(tmp_path):
    path = tmp_path / "radii.png"
    curve = {"positive": [0.2, 0.5, None], "$other": [None, None, None]}
    recognition_figures.radius_curves(
        path, [4.0, 6.0, 8.0], {"total_F1": curve, "mean_F1": curve}
    )
    assert count(pixels(path), "#0072b2") > 100
