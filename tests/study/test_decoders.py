"""Inks by hand, and one figure."""

import numpy as np
from PIL import Image
import pytest

from cellrec_jax import errors
from cellrec_jax.study import decoders


def test_maps_are_inks_on_white():
    colors = np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 1.0]])
    values = np.array([[[0, 0], [1, 0], [0.5, 0], [1, 1]]])
    np.testing.assert_allclose(
        decoders.on_white(values, colors),
        [[[1, 1, 1], [1, 0, 0], [1, 0.5, 0.5], [0, 0, 0]]],
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "columns"), [("full", 4), ("ours", 2)])
def test_a_column_a_decoder(request, tmp_path, name, columns):
    workdir = str(request.getfixturevalue(name))
    decoders.draw(tmp_path / "d.png", workdir, "6")
    with Image.open(tmp_path / "d.png") as figure:
        assert figure.width == pytest.approx(columns * 3.2 * 150, abs=1)
        pixels = np.asarray(figure.convert("RGB"))
    target = pixels[pixels.shape[0] // 2 :, pixels.shape[1] // columns :]
    red, blue = (target == (225, 30, 40)).all(-1), (target == (0, 200, 60)).all(-1)
    assert red.any() or blue.any()  # a circle
    with pytest.raises(errors.ConfigError, match="choose among 5, 6, 7"):
        decoders.draw(tmp_path / "e.png", workdir, "1")
