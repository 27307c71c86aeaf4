import pytest

from cellrec_jax.bench import convolution, kernel
from cellrec_jax.bench.report import Settings

pytestmark = pytest.mark.usefixtures("quick_peaks")


def test_rows():
    found = convolution.run(Settings(sizes=(5, 8), repeats=1), lambda _: None)
    assert not found.wrong
    names = ["blocks", "XLA"] + ["torch"] * kernel.has_torch()
    expected = [(px, name) for px in (5, 8) for name in names]
    assert [(row["px"], row["contestant"]) for row in found.rows] == expected
    assert {row["layer"] for row in found.rows} == {"3x3, 48 to 48"}


def test_a_layer_of_one_tap(monkeypatch):
    layer = convolution.Layer(taps=1, channels=2, features=9, px=6, batch=2)
    monkeypatch.setattr(convolution, "LAYERS", (layer,))
    found = convolution.run(Settings(repeats=1), lambda _: None)
    assert not found.wrong
    assert found.rows[0]["layer"] == "1x1, 2 to 9"
