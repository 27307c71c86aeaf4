"""Colours by the names of classes."""

import pytest

from cellrec_jax.predict import outputs


@pytest.mark.parametrize("names", [["positive", "neg"], ["neg", "x", "positive"]])
def test_positive_is_red_and_negative_blue_in_any_order(names):
    colors = dict(zip(names, outputs.colors_of(names), strict=True))
    red, green, blue = colors["positive"]
    assert red > 2 * max(green, blue)
    red, green, blue = colors["neg"]
    assert blue > 2 * max(red, green)
    assert len(set(colors.values())) == len(names)
