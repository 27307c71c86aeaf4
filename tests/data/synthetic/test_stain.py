import numpy as np
import pytest

from cellrec_jax.data.synthetic import layout as synthetic_layout
from cellrec_jax.data.synthetic import nuclei as synthetic_nuclei
from cellrec_jax.data.synthetic import stain as synthetic_stain

SIZE_HW = (40, 56)
PLAIN = synthetic_stain.Scanner(
    stains_rgb=np.stack([synthetic_stain.HAEMATOXYLIN_RGB, synthetic_stain.DAB_RGB]),
    white_rgb=np.array([0.9, 0.9, 0.8]),
    blur_px=0.0,
    sharpening=0.0,
    noise=0.0,
)


def canvas(haematoxylin: np.ndarray, dab: np.ndarray) -> synthetic_nuclei.Canvas:
    empty = synthetic_nuclei.make_canvas(np.random.default_rng(0), SIZE_HW, 0.3)
    return empty._replace(haematoxylin=haematoxylin, dab=dab)


def scan(haematoxylin: float, dab: float, scanner=PLAIN) -> np.ndarray:
    maps = [np.full(SIZE_HW, level, np.float32) for level in (haematoxylin, dab)]
    return synthetic_stain.scan(np.random.default_rng(0), canvas(*maps), scanner)


@pytest.mark.parametrize(
    ("haematoxylin", "dab", "expected"),
    [
        # white * 10^-(density), less the black level 0.04, over 0.96, times 255.
        (0.0, 0.0, (228, 228, 202)),
        (1.0, 0.0, (43, 37, 99)),  # 10^-(0.65, 0.704, 0.286)
        (0.0, 1.0, (118, 54, 25)),  # 10^-(0.268, 0.57, 0.776)
        (0.5, 0.5, (73, 45, 52)),  # densities add: 10^-(0.459, 0.637, 0.531)
        (0.0, 4.0, (10, 0, 0)),
    ],
)
def test_scan_follows_beer_and_lambert(haematoxylin, dab, expected):
    image = scan(haematoxylin, dab)
    assert image.dtype == np.uint8
    assert image.shape == (*SIZE_HW, 3)
    np.testing.assert_allclose(image[20, 30], expected, atol=1)
    assert np.ptp(image, axis=(0, 1)).max() == 0


def test_stain_vectors_are_of_unit_length():
    # Ruifrok's table has three digits.
    assert np.linalg.norm(synthetic_stain.HAEMATOXYLIN_RGB) == pytest.approx(
        1, abs=2e-3
    )
    assert np.linalg.norm(synthetic_stain.DAB_RGB) == pytest.approx(1, abs=2e-3)
    for seed in range(20):
        scanner = synthetic_stain.draw_scanner(np.random.default_rng(seed), 0.3)
        np.testing.assert_allclose(np.linalg.norm(scanner.stains_rgb, axis=1), 1)
        blue, brown = scanner.stains_rgb
        assert blue[0] > brown[0]  # haematoxylin takes red light, DAB takes blue
        assert blue[2] < brown[2]


def test_noise_and_blur():
    noisy = scan(0.1, 0.1, PLAIN._replace(noise=0.02)).astype(float)
    assert 1.5 < noisy[..., 1].std() < 8
    maps = np.zeros((2, *SIZE_HW), np.float32)
    maps[1, :, 28:] = 1.0
    rng = np.random.default_rng(0)
    blurred = synthetic_stain.scan(rng, canvas(*maps), PLAIN._replace(blur_px=2.0))
    between = (blurred[20, :, 1] > 60) & (blurred[20, :, 1] < 220)
    assert 4 <= between.sum() <= 12
    halo = synthetic_stain.scan(rng, canvas(*maps), PLAIN._replace(sharpening=1.0))
    assert halo[20, 26, 1] > halo[20, 5, 1] + 5


def test_background_only_adds_stain():
    rng = np.random.default_rng(2)
    layout = synthetic_layout.plan(rng, SIZE_HW, 0.3)
    haematoxylin, dab = np.zeros((2, *SIZE_HW), np.float32)
    synthetic_stain.add_background(rng, canvas(haematoxylin, dab), layout, 0.3)
    for stain in (haematoxylin, dab):
        assert stain.min() >= 0
        assert 0 < stain.mean() < 0.2
        assert stain.std() > 0
