"""Prints survive what is done to copies, and tell different images apart."""

import io

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.check import prints
from tests.check import fakes


def _jpeg(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=40)
    return np.asarray(Image.open(stream))


COPIES = {
    "same": lambda image: image,
    "turned": lambda image: np.rot90(image),
    "upside down": lambda image: image[::-1],
    "turned and mirrored": lambda image: np.rot90(image, 3)[:, ::-1],
    "half": lambda image: image[::2, ::2],
    "jpeg": _jpeg,
    "pale": lambda image: image // 2 + 120,
    "grey": lambda image: np.repeat(image.mean(-1, keepdims=True), 3, -1),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_found(name):
    images = [fakes.picture(seed) for seed in range(4)]
    images.append(COPIES[name](images[2]))
    looks = np.stack([prints.look_of(image) for image in images])
    ((i, j, bits),) = prints.pairs(looks)
    assert (i, j) == (2, 4)
    assert bits <= (0 if name in ("same", "turned", "upside down") else 40)


def test_different_images_are_far():
    looks = np.stack([prints.look_of(fakes.picture(seed)) for seed in range(30)])
    nearest = min(bits for _, _, bits in prints.pairs(looks, prints.LENGTH))
    assert nearest > prints.MOST_BITS + 20


def test_all_eight_orientations_are_different_and_whole():
    look = np.where(np.arange(prints.LENGTH) % 7 == 0, 1, -1).astype(np.int8)
    found = [one[0].tolist() for one in prints.turned(look[None])]
    assert len({tuple(one) for one in found}) == 8
    assert {sum(one) for one in found} == {int(look.sum())}


def test_means_of_parts_that_cut_pixels():
    """20 px in 16 parts: a part is 1.25 px."""
    values = np.arange(20.0)[:, None]
    found = prints._shrunk(values, 0)
    assert found.shape == (16, 1)
    assert found[0, 0] == pytest.approx((0 + 0.25 * 1) / 1.25)
    assert found[1, 0] == pytest.approx((0.75 * 1 + 0.5 * 2) / 1.25)
    assert found.mean() == pytest.approx(values.mean())


def test_a_blank_image_has_no_structure():
    assert np.ptp(prints.look_of(np.full((50, 70, 3), 0.1))) == 0
