"""Pictures that are looked at before a model is chosen, and the choice."""

import numpy as np
from PIL import Image
import pytest

from cellrec_jax import errors
from cellrec_jax.data import appearance
from cellrec_jax.predict import choice
from cellrec_jax.workdir import model
from tests import shipped
from tests.predict.slide import fakes


@pytest.fixture(scope="module")
def metas():
    found = {}
    for name, color in (("blue", shipped.BLUE), ("green", shipped.GREEN)):
        pictures = [appearance.in_sizes(shipped.dots(seed, color)) for seed in range(8)]
        look = appearance.appearance_of(pictures)._asdict()
        config = {"data": {"intensity": "auto"}}
        found[name] = {model.APPEARANCE: look, "config": config}
    return found


def test_most_pictures_choose(metas):
    blue, green = (
        choice.Picture(shipped.dots(50, color), 0.0)
        for color in (shipped.BLUE, shipped.GREEN)
    )
    assert choice.choose(metas, [green, blue, green]) == "green"
    assert choice.choose(metas, [green, blue, blue]) == "blue"
    assert choice.choose(metas, []) == "blue"
    undescribed = {"plain": {}, **metas}
    assert choice.choose(undescribed, []) == "blue"


def test_one_or_several_places_are_unlike(metas):
    known = choice.known(metas["blue"])
    blue, green = shipped.dots(50, shipped.BLUE), shipped.dots(50, shipped.GREEN)
    assert choice.difference(known, [blue, green, blue]) == ""
    assert "unlike" in choice.difference(known, [green, blue, green])
    assert choice.difference(known, []) == ""
    assert choice.difference(choice.known({}), [green]) == ""


def test_an_image_that_is_nothing_like_the_training_images_is_refused(
    metas, monkeypatch
):
    known = choice.known(metas["blue"])
    blue, green = shipped.dots(50, shipped.BLUE), shipped.dots(50, shipped.GREEN)
    far = appearance.unlike(known.appearance, appearance.features(green, "auto"))
    choice.difference(known, [blue], refuse=True)
    choice.difference(None, [green], refuse=True)
    monkeypatch.setattr(choice, "NOTHING_LIKE", far * 1.01)
    choice.difference(known, [green], refuse=True)
    monkeypatch.setattr(choice, "NOTHING_LIKE", far * 0.99)
    with pytest.raises(errors.DataError, match="--model NAME"):
        choice.difference(known, [green], refuse=True)


def test_a_few_images_are_read_and_bad_ones_passed_over(tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(15)]
    for index, path in enumerate(paths):
        Image.fromarray(np.full((4, 6), index, np.uint8)).save(path)
    paths[2].write_bytes(b"no image")
    levels = [one.pixels[0, 0, 0] for one in choice.pictures(paths)]
    assert levels == [0, 4, 6, 8, 10, 12, 14]


def test_places_of_a_slide_hold_tissue(tmp_path):
    """Noise on the left, glass from column 500 on."""
    fakes.write_slides(tmp_path)
    found = choice.pictures([tmp_path / "a.tif"])
    assert len(found) == 4
    assert {one.mpp for one in found} == {0.5}
    for one in found:
        assert one.pixels.shape == (512, 512, 3)
        assert (one.pixels[:, :100] < 200).mean() > 0.9
