import numpy as np
import pytest

from cellrec_jax.check.facts import small_of
from tests.check import fakes


def test_small_images_are_means_of_squares():
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    small, square = small_of(image, 6)
    assert square == 1
    np.testing.assert_array_equal(small, image)
    small, square = small_of(image, 3)
    assert (small.shape, square) == ((2, 3, 3), 2)
    np.testing.assert_allclose(small[1, 2], image[2:4, 4:6].mean((0, 1)))


def test_a_side_that_does_not_divide_repeats_its_edge():
    image = np.zeros((5, 4, 3), np.uint8)
    image[4] = 200
    small, _ = small_of(image, 3)
    assert small.shape == (3, 2, 3)
    assert small[2].min() == 200


def test_16_bits_fill_0_to_255():
    image = fakes.picture(1).astype(np.uint16) * 7
    small, _ = small_of(image)
    assert small.min() == 0
    assert small.max() == 255


def test_equal_pixels_have_equal_hashes():
    one, other = fakes.picture(1), fakes.picture(1)
    other[50, 60, 1] ^= 1
    hashes = [
        fakes.facts(fakes.record(image=image)).pixels
        for image in (one, one.copy(), other, one.swapaxes(0, 1))
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_sizes_are_of_boxes_or_masks():
    assert fakes.facts(fakes.record([(5, 6)])).sizes_px is None
    boxes = fakes.facts(fakes.of_boxes([(0, 0, 4, 9), (10, 10, 12, 18)]))
    assert boxes.sizes_px.tolist() == [6, 4]
    masks = np.zeros((fakes.H, fakes.W), np.int32)
    y, x = np.mgrid[: fakes.H, : fakes.W]
    masks[np.hypot(y - 40, x - 50) < 15] = 1
    masks[80, 100] = 2
    found = fakes.facts(fakes.record([(40, 50), (80, 100)], masks=masks))
    assert found.sizes_px == pytest.approx([30, 2 / np.pi**0.5], rel=0.01)


def test_counted_px_are_annotated_and_not_ignored():
    annotated = np.zeros((fakes.H, fakes.W), bool)
    annotated[:10, :20] = True
    ignore = np.zeros_like(annotated)
    ignore[5:, :] = True
    found = fakes.facts(fakes.record(annotated=annotated, ignore=ignore), mpp=0.5)
    assert found.counted_px == 100
