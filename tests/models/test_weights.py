"""The models that come with the package: told of, and of use where they should be."""

from pathlib import Path

import matplotlib.cbook
import numpy as np
from PIL import Image
import pytest

from cellrec_jax import errors, models
from cellrec_jax.data.synthetic import domain
from cellrec_jax.metrics.matching import match_points
from cellrec_jax.predict import choice, predictor
from cellrec_jax.workdir import model_file

NAMES = ("blood", "ki67", "nuclei", "phase")


@pytest.fixture(scope="module")
def ki67():
    return predictor.load("ki67")


def test_these_are_shipped():
    assert tuple(models.shipped()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_they_load_and_tell_of_their_data(name):
    """Loading checks the bytes; the threshold of one view is beside that of all."""
    model = predictor.load(name).model
    card = model_file.read_card(models.named(name))
    assert all(one["source"] and one["licence"] for one in card["data"])
    assert tuple(card["classes"]) == model.class_names
    assert model.once().meta["decode"] == model.meta["decode"]["once"]


def test_a_threshold_is_that_of_images_seen_once_too():
    """The least distance of each stays."""
    model = predictor.load("nuclei").model
    decode = model.at_threshold(0.5).meta["decode"]
    assert decode["thresholds"] == decode["once"]["thresholds"] == [0.5]
    for name in (decode, decode["once"]):
        assert name["scope"] == "flag"
    before = model.meta["decode"]
    assert decode["once"]["min_distance"] == before["once"]["min_distance"]
    quick = predictor.load("nuclei", threshold=0.5, quick=True)
    assert quick.model.meta["decode"]["thresholds"] == [0.5]
    assert quick.view_lines() == []


def test_nuclei_of_a_generated_slide_are_found(ki67):
    """An image that the model has not seen, of a pixel size that is not its own."""
    record = domain.make_image(91, 4, size_hw=(256, 256), mpp=0.4)
    found = ki67.predict(record.image, mpp=record.mpp)
    pairs = match_points(found.points_yx, record.points_yx, 8.0)
    assert 2 * len(pairs) / (len(found) + len(record.points_yx)) > 0.8
    right = found.labels[pairs[:, 0]] == record.labels[pairs[:, 1]]
    assert right.mean() > 0.9


def test_a_photograph_and_an_empty_slide_look_unlike_all(ki67):
    """Few cells are found there, and a line says why not to believe them."""
    file = Path(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    photograph = np.asarray(Image.open(file))[:384, :384]
    noise = np.random.default_rng(0).normal(238, 2, (384, 384, 3))
    for image in (photograph, noise.clip(0, 255).astype(np.uint8)):
        for name in NAMES:
            known = choice.known(model_file.read_card(models.named(name))["meta"])
            assert "unlike what the model knows" in choice.difference(known, [image])
        assert len(ki67.predict(image)) < 20


def test_fluorescence_is_like_nothing_that_they_know():
    """Blue spots on black; a generated slide passes."""
    y, x = np.mgrid[:384, :384]
    spots = np.cos(y / 8) * np.cos(x / 8) > 0.3
    noise = np.random.default_rng(0).normal(8, 2, (384, 384, 3))
    light = noise + spots[..., None] * np.array([10, 30, 180])
    image = light.clip(0, 255).astype(np.uint8)
    for name in NAMES:
        known = choice.known(model_file.read_card(models.named(name))["meta"])
        with pytest.raises(errors.DataError, match="--model NAME"):
            choice.difference(known, [image], refuse=True)
    known = choice.known(model_file.read_card(models.named("ki67"))["meta"])
    slide = domain.make_image(91, 4, size_hw=(256, 256)).image
    choice.difference(known, [slide], refuse=True)
