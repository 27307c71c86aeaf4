import numpy as np
import pytest

from cellrec_jax.data.synthetic import scanner, stain


def usual():
    return stain.draw_scanner(np.random.default_rng(0), 0.3)


def test_scanners_lie_in_their_ranges():
    kept = usual()
    drawn = [scanner.draw_scanner(np.random.default_rng(i), kept) for i in range(200)]
    for one in drawn:
        np.testing.assert_array_equal(one.stains_rgb, kept.stains_rgb)
        assert 0.68 <= one.white_rgb.min() <= one.white_rgb.max() <= 0.99
        assert 0.4 <= one.blur_px <= 2.2
        assert 0 <= one.sharpening <= 1.5
        assert 0.001 <= one.noise <= 0.025
    blurs = [one.blur_px for one in drawn]
    assert min(blurs) < 0.5
    assert max(blurs) > 1.8
    assert np.mean([one.sharpening == 0 for one in drawn]) == pytest.approx(
        0.5, abs=0.1
    )


def test_development_keeps_shape_and_order_of_greys():
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8), 16).reshape(1, -1)
    image = np.broadcast_to(ramp[..., None], (64, ramp.shape[1], 3))
    for seed in range(8):
        out = scanner.develop(np.random.default_rng(seed), np.ascontiguousarray(image))
        assert (out.dtype, out.shape) == (np.uint8, image.shape)
        steps = out[32, 8::64].astype(float).mean(-1)
        assert np.all(np.diff(steps) > -4)
        assert steps[-1] > 220


def test_uneven_light_is_a_slope_around_1():
    light = scanner.uneven_light(np.random.default_rng(1), (21, 31))
    assert (light.dtype, light.shape) == (np.float32, (21, 31))
    assert light[10, 15] == pytest.approx(1)  # the middle
    assert np.abs(light - 1).max() <= 0.06 + 1e-6
    # Opposite corners differ from 1 by as much.
    assert light[0, 0] - 1 == pytest.approx(1 - light[-1, -1], abs=1e-6)


def test_jpeg_loses_more_at_a_lower_quality_and_with_coarse_colours():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)

    def loss(quality, coarse):
        out = scanner.jpeg(image, quality, coarse=coarse)
        assert (out.dtype, out.shape) == (np.uint8, image.shape)
        return np.abs(out.astype(float) - image).mean()

    assert loss(95, False) < loss(95, True)
    assert loss(95, False) < loss(35, False)
