import numpy as np

from cellrec_jax.check import scales
from cellrec_jax.data.pixels import pixel_size
from tests.check import fakes


def _images(*mpps: float):
    return [
        fakes.facts(fakes.record(), image_id=str(i), mpp=mpp)
        for i, mpp in enumerate(mpps)
    ]


def test_pixel_sizes_that_differ_from_most():
    (one,) = scales.pixel_sizes(_images(0.25, 0.25, 0.5, 0.2501))
    assert one.image == "2"
    assert one.text == "states 0.5 um per px, 0.25 is of most"


def test_pixel_sizes_that_differ_from_the_given_one():
    found = list(scales.pixel_sizes(_images(0.25, 0.25, 0.5, 0), 0.5))
    assert [one.image for one in found] == ["0", "1"]


def test_pixel_sizes_that_some_do_not_state():
    (one,) = scales.pixel_sizes(_images(0.25, 0, 0))
    assert one.image == ""
    assert one.text.startswith("2 of 3")


def test_agreeing_or_unknown_pixel_sizes():
    assert not list(scales.pixel_sizes(_images(0.25, 0.25), 0.25))
    assert not list(scales.pixel_sizes(_images(0, 0)))


def test_pixel_sizes_that_cannot_be():
    note = pixel_size.NOT_MEANT.format("TIFF resolution", "352.8")
    other = pixel_size.TWO_SIZES.format("0.25 by a, 0.5 by b")
    found = list(scales.impossible({note: 3, other: 1, "dropped": 4}))
    assert [one.rule for one in found] == ["pixel-size"] * 2
    assert found[0].text.startswith("3 images whose TIFF resolution says 352.8")
    assert scales.is_impossible(note)
    assert not scales.is_impossible("images shown without their alpha")


def test_images_of_another_size():
    images = _images(*[0] * 6)
    images[4] = images[4]._replace(size_hw=(4 * fakes.H, 2 * fakes.W))
    (one,) = scales.sizes(images)
    assert one.image == "4"
    images[4] = images[4]._replace(size_hw=(4 * fakes.H, fakes.W))
    assert not list(scales.sizes(images))
    assert not list(scales.sizes(images[3:5]))


def _colored(*reds: float):
    return [
        one._replace(mean_rgb=(red, 130.0, 130.0))
        for one, red in zip(_images(*[0] * len(reds)), reds, strict=True)
    ]


def test_images_of_another_look():
    (one,) = scales.looks(_colored(130, 131, 129, 130, 160, 132))
    assert one.image == "4"
    assert "160 130 130" in one.text
    assert not list(scales.looks(_colored(130, 131, 129, 130, 154, 132)))
    varied = _colored(*np.linspace(90, 170, 9).tolist(), 200)
    assert not list(scales.looks(varied))


def test_images_of_other_bits():
    images = _images(*[0] * 6)
    images[2] = images[2]._replace(bits=16)
    (one,) = scales.looks(images)
    assert (one.image, one.text) == ("2", "16 bits, most have 8")
