import numpy as np
import pytest

from cellrec_jax.data.pixels.colors import (
    ALPHA_UNUSED,
    CLIPPED,
    NOT_NUMBERS,
    SCALED,
    STRETCHED,
    cmyk_to_rgb,
    composite_on_white,
    optical_density,
    stains,
    to_channels,
    to_unsigned,
)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([3, 255], np.uint8, [3, 255]),
        ([3, 60000], np.uint16, [3, 60000]),
        ([3, 60000], ">u2", [3, 60000]),
        ([False, True], np.bool_, [0, 255]),
        ([0.0, 0.25, 1.0], np.float32, [0, 16384, 65535]),
        ([0.0, 4095.4], np.float64, [0, 4095]),  # counts are kept
        ([0, 1], np.int32, [0, 1]),  # whole numbers are counts, not shares
        ([-1.0, 0.0, 1.0], np.float32, [0, 32768, 65535]),  # stretched
        ([0, 2**32 - 1], np.uint32, [0, 65535]),
        ([np.nan, 0.5, np.inf], np.float32, [32768, 32768, 32768]),
        ([np.nan, np.nan], np.float32, [0, 0]),
        ([-5.0, -5.0], np.float32, [0, 0]),
        ([0.0, 1.02, 2.5], np.float32, [0, 16711, 40958]),  # densities: * 16383
        ([0.0, 7.0, 254.5], np.float32, [0, 1799, 65407]),  # 8 bits: * 257
        ([0.0, 7.0, 254.5], ">f4", [0, 1799, 65407]),
        ([0, 7, 254], ">i4", [0, 7, 254]),
        ([1e308, -1e308, 0.5], np.float64, [32768, 32768, 32768]),
    ],
)
def test_number_types(values: list[float], dtype: str, expected: list[int]) -> None:
    found = to_unsigned(np.array(values, dtype))
    assert found.tolist() == expected
    assert found.dtype in (np.uint8, np.uint16)


@pytest.mark.parametrize(
    ("usual", "extreme", "dtype", "expected", "notes"),
    [
        (0.5, 40.0, np.float32, (32768, 65535), [CLIPPED]),
        (0.5, -1.0, np.float32, (32768, 0), [CLIPPED]),
        (0.5, np.nan, np.float32, (32768, 32768), [NOT_NUMBERS]),
        (2.0, 3e4, np.float32, (32766, 65532), [SCALED.format(4.0, 16383), CLIPPED]),
        (900, 10**6, np.int32, (900, 65535), [CLIPPED]),
        (900, 901, np.int32, (900, 901), []),
        (-7, -7, np.int16, (0, 0), [STRETCHED]),
    ],
)
def test_one_pixel_does_not_set_the_range(
    usual: float, extreme: float, dtype: type, expected: tuple, notes: list[str]
) -> None:
    pixels = np.full(3000, usual, dtype)
    pixels[17] = extreme
    told: list[str] = []
    found = to_unsigned(pixels, told)
    assert (found[0], found[17]) == expected
    assert told == notes


def test_alpha_that_is_0_everywhere_is_left_out() -> None:
    pixels = np.array([[[9, 0], [7, 0]]], np.uint8)
    told: list[str] = []
    assert composite_on_white(pixels, notes=told).tolist() == [[[9], [7]]]
    assert told == [ALPHA_UNUSED]
    pixels[0, 1, 1] = 255
    assert composite_on_white(pixels, notes=told).tolist() == [[[255], [7]]]
    assert told == [ALPHA_UNUSED]


def test_composite_by_hand() -> None:
    # alpha 102 / 255 = 0.4: 0.4 * 50 + 0.6 * 255 = 173; premultiplied 50 + 153 = 203
    pixels = np.array([[[50, 0, 255, 102]]], np.uint8)
    assert composite_on_white(pixels).tolist() == [[[173, 153, 255]]]
    assert composite_on_white(pixels, premultiplied=True).tolist() == [
        [[203, 153, 255]]
    ]


def test_composite_leaves_colors_alone() -> None:
    pixels = np.zeros((2, 3, 3), np.uint16)
    assert composite_on_white(pixels) is pixels


def test_cmyk_by_hand() -> None:
    # black 51: light 204; cyan 102: 153 * 204 / 255 = 122.4
    pixels = np.array([[[102, 0, 255, 51]]], np.uint8)
    assert cmyk_to_rgb(pixels).tolist() == [[[122, 204, 0]]]


def test_channels() -> None:
    grey = np.array([[[7], [9]]], np.uint16)
    assert to_channels(grey, 3).tolist() == [[[7, 7, 7], [9, 9, 9]]]
    assert to_channels(grey, 1).tolist() == grey.tolist()
    # 0.299 * 100 + 0.587 * 200 + 0.114 * 50 = 153
    assert to_channels(np.array([[[100, 200, 50]]], np.uint8), 1).tolist() == [[[153]]]


def test_stains_are_amounts_of_the_published_densities() -> None:
    """0.3 of haematoxylin and 0.2 of eosin; white has none, black is 1/255."""
    density = 0.3 * np.array([0.65, 0.70, 0.29]) + 0.2 * np.array([0.07, 0.99, 0.11])
    image = np.stack([10.0**-density, np.ones(3)]).astype(np.float32)
    np.testing.assert_allclose(stains(image), [[0.3, 0.2, 0], [0, 0, 0]], atol=1e-6)
    found = optical_density(np.array([0.0, 0.01, 1.0, 1.5]))
    np.testing.assert_allclose(found, [np.log10(255), 2, 0, 0], rtol=1e-6)
