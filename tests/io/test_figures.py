import math
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.io import figures


def pixels(path):
    """The drawing; opening it proves that the PNG is whole."""
    image = np.array(Image.open(path).convert("RGB"))
    assert image.shape[0] > 300
    assert image.shape[1] > 300
    return image


def holds(image, color):
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.abs(image.astype(int) - wanted).max(axis=-1) <= 2).any())


def loss_rows(num):
    return [
        {
            "step": step,
            "train/loss": 5.0 * math.exp(-step / 20),
            "train/loss/cls": 1.0,
            "train/lr": 1e-3,
            "eval/val/loss": None,
            "time": "now",
        }
        for step in range(num)
    ]


@pytest.mark.parametrize("num", [1, 10, 200])
def test_loss_curves(tmp_path, num):
    figures.loss_curves(tmp_path / "loss.png", loss_rows(num))
    image = pixels(tmp_path / "loss.png")
    assert image.shape[1] > 1.5 * image.shape[0]  # two panels
    assert holds(image, "#0072b2")


def test_loss_series_leave_out_what_is_no_loss_and_no_number():
    rows = [*loss_rows(3), {"step": 3, "train/loss": math.nan, "train/floss": 1.0}]
    series = figures._loss_series(rows)
    assert sorted(series) == ["train/loss", "train/loss/cls"]
    steps, values = series["train/loss"]
    assert steps.tolist() == [0, 1, 2]
    assert values[0] == 5.0


@pytest.mark.parametrize("rows", [[], [{"step": 1, "train/lr": 0.1}]])
def test_no_losses(tmp_path, rows):
    figures.loss_curves(tmp_path / "loss.png", rows)
    pixels(tmp_path / "loss.png")


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_losses_that_have_no_logarithm(tmp_path, value):
    rows = [{"step": 1, "loss": value}, {"step": 2, "loss": 1000.0}]
    figures.loss_curves(tmp_path / "loss.png", rows)
    pixels(tmp_path / "loss.png")


def test_precision_recall(tmp_path):
    curves = {
        "$odd_{name}": (np.array([0.2, 0.6]), np.array([1.0, 0.7])),
        "_hidden": (np.zeros(0), np.zeros(0)),
    }
    figures.precision_recall(tmp_path / "pr.png", curves)
    assert holds(pixels(tmp_path / "pr.png"), "#0072b2")
    figures.precision_recall(tmp_path / "none.png", {})
    pixels(tmp_path / "none.png")


@pytest.mark.parametrize("empty", [False, True])
def test_reliability(tmp_path, empty):
    nan = math.nan
    figures.reliability(
        tmp_path / "rel.png",
        np.array([0.0, 0.5, 1.0]),
        np.array([nan, nan if empty else 0.8]),
        np.array([nan, nan if empty else 0.6]),
        np.array([0, 0 if empty else 7]),
        None if empty else 0.2,
    )
    assert holds(pixels(tmp_path / "rel.png"), "#a9cbe2") != empty


def test_matplotlib_is_imported_only_when_drawing():
    code = (
        "import sys; import cellrec_jax.io.figures, cellrec_jax.io.recognition_figures;"
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
