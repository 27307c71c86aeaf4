import numpy as np
import pytest

from cellrec_jax.data.synthetic import phase_optics as synthetic_phase_optics

SIZE_HW = (80, 96)


def clean_microscope() -> synthetic_phase_optics.Microscope:
    """Even light, and hardly any noise."""
    return synthetic_phase_optics.Microscope(
        ring=0.7,
        halos=((3.0, 0.65), (12.0, 0.45)),
        light=np.ones(SIZE_HW, np.float32),
        exposure=1000.0,
        gain=0.01,
        blur_px=0.7,
    )


def disc_image(phase: float, absorption: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Values of a domed cell of radius 9 px, and distances from its centre."""
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] + 0.5
    away = np.hypot(y - 40, x - 50)
    inside = np.clip(1 - (away / 9) ** 2, 0, None).astype(np.float32) ** 0.4
    image = synthetic_phase_optics.expose(
        np.random.default_rng(0),
        clean_microscope(),
        phase * inside,
        absorption * inside,
    )
    return image.astype(float), away


def test_an_empty_place_has_the_exposure():
    image, _ = disc_image(0.0)
    assert abs(image.mean() - 1000) < 1
    assert 3 < image.std() < 7  # the camera's noise


@pytest.mark.parametrize(("phase", "absorption"), [(0.3, 0.0), (0.6, 0.0), (0.5, 0.2)])
def test_delays_are_dark_with_a_bright_halo(phase, absorption):
    image, away = disc_image(phase, absorption)
    assert np.mean(image[away < 7]) < 900
    assert np.mean(image[(away > 10) & (away < 12)]) > 1050
    assert abs(np.mean(image[away > 38]) - 1000) < 15


def test_half_a_wave_is_bright_where_light_is_focused():
    image, away = disc_image(3.2, -0.65)
    assert np.mean(image[away < 7]) > 1200
    assert np.mean(image[(away > 10) & (away < 12)]) > 1200


def test_small_delays_by_the_first_order():
    """Light is 1 - 2 / ring (phase - caught phase), to the first order."""
    phase = 0.02 * np.sin(np.arange(SIZE_HW[1]) / 40 * 2 * np.pi)[None]
    phase = np.repeat(phase, SIZE_HW[0], axis=0).astype(np.float32)
    microscope = clean_microscope()._replace(halos=(), gain=0.0, blur_px=0.01)
    image = synthetic_phase_optics.expose(
        np.random.default_rng(0), microscope, phase, np.zeros_like(phase)
    )
    expected = 1000 * (1 - 2 / 0.7 * phase[0])
    np.testing.assert_allclose(image.mean(axis=0), expected, atol=4)


def test_values_are_12_bit():
    image, _ = disc_image(3.3, -2.0)
    assert image.max() == synthetic_phase_optics.FULL_SCALE == 4095


def test_light_is_uneven_and_noise_grows_with_it():
    rng = np.random.default_rng(3)
    microscope = synthetic_phase_optics.draw_microscope(rng, SIZE_HW, 0.4)
    assert 0.02 < np.ptp(microscope.light) < 0.5
    assert abs(microscope.light.mean() - 1) < 0.1
    assert abs(microscope.exposure / 4095 - 0.4) < 0.04
    spreads = [
        np.std(
            synthetic_phase_optics.expose(
                rng,
                clean_microscope()._replace(exposure=exposure, gain=0.2),
                *np.zeros((2, *SIZE_HW), np.float32),
            )
        )
        for exposure in (100.0, 3000.0)
    ]
    # Shot and read noise: roots of 0.2 x 100 + 16 and of 0.2 x 3000 + 16.
    np.testing.assert_allclose(spreads, [6.0, 24.8], rtol=0.05)
