"""Patches are those of their peaks, measured by their own image."""

import dataclasses

import numpy as np

from cellrec_jax.methods.refine_options import RefineOptions
from cellrec_jax.rounds import patches as round_patches
from tests.rounds import peaks

CONFIG = RefineOptions(match_px=3.0, network="small", patch_px=13, epochs=1)


def test_patches_keep_the_order_of_peaks():
    """Peaks of two images in turn; each image is normalised by its own maximum."""
    dark, bright = (np.full((40, 60, 1), value, np.uint8) for value in (100, 200))
    dark[20, 30], bright[5, 7] = 50, 20
    eval_set = peaks.eval_set([dark, bright])
    found = peaks.candidates([1, 0, 1, 0], [[5.5, 7.5], [20.5, 30.5], [30, 30], [9, 9]])
    patches = np.asarray(round_patches.cut(found, eval_set, CONFIG))
    assert patches.shape == (4, 13, 13, 1)
    # The first window is shifted down to lie inside.
    np.testing.assert_allclose(patches[0, 5, 6, 0], 0.1, rtol=1e-5)
    np.testing.assert_allclose(patches[1, 6, 6, 0], 0.5, rtol=1e-5)
    assert (patches[2:] == 1.0).all()


def test_standard_patches_know_no_light(rng):
    """Brighter or of more contrast, in a square frame or not: the patches agree."""
    image = rng.integers(0, 100, (40, 60, 1)).astype(np.uint8)
    standard = (image - image.mean()) / image.std()
    config = dataclasses.replace(
        CONFIG, patch_px=26, patch_step=2, patch_values="standard"
    )
    flat = np.full_like(image, 90)
    found = peaks.candidates([0, 1, 2, 0], [*[[20.5, 30.5]] * 3, [38.5, 30.5]])
    for size_hw in ((40, 60), (60, 60)):
        images = [image + 50, 2 * image, flat]
        eval_set = peaks.eval_set(images, size_hw, resize="pad")
        patches = np.asarray(round_patches.cut(found, eval_set, config))
        assert patches.shape == (4, 13, 13, 1)
        # At the border the window is shifted: padding is no part of the image.
        lowest = standard[38:40, 29:31].mean()
        np.testing.assert_allclose(patches[3, 12, 6, 0], lowest, atol=1e-4)
        middle = standard[19:21, 29:31].mean()
        np.testing.assert_allclose(patches[:2, 6, 6, 0], middle, atol=1e-4)
        np.testing.assert_allclose(patches[0], patches[1], atol=1e-4)
        np.testing.assert_allclose(patches[2], 0, atol=1e-4)
