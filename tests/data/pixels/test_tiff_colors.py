from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms
import pytest
import tifffile

from cellrec_jax.data.pixels import images, tiff_colors
from cellrec_jax.data.pixels.colors import ALPHA_UNUSED
from cellrec_jax.errors import DataError

H, W = 16, 24


def _filled(*values: int, dtype: type = np.uint8) -> np.ndarray:
    return np.full((H, W, len(values)), values, dtype)


def _tiff(pixels: np.ndarray, **options: object) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "a.tif"
        tifffile.imwrite(path, pixels, **options)
        return path

    return write


def _retagged(write: Callable[[Path], Path], **tags: object) -> Callable[[Path], Path]:
    """Overwrites tags of a file: what tifffile would not write."""

    def write_other(folder: Path) -> Path:
        path = write(folder)
        with tifffile.TiffFile(path, mode="r+b") as file:
            for name, value in tags.items():
                file.pages.first.tags[name].overwrite(value)
        return path

    return write_other


def _lab(folder: Path) -> Path:
    srgb, lab = (ImageCms.createProfile(name) for name in ("sRGB", "LAB"))
    image = Image.fromarray(_filled(200, 90, 40))
    image = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    image.save(folder / "a.tif")
    return folder / "a.tif"


RGB = {"photometric": "rgb", "planarconfig": "contig"}
GREY = {"photometric": "minisblack", "planarconfig": "contig"}
YCBCR = {"photometric": "ycbcr", "planarconfig": "contig"}
INKS = {"photometric": "separated"}
MAP_8_BIT = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 7)])
EXTRA = tiff_colors.EXTRA_UNUSED

# Y 100, Cb 128 + 20, Cr 128 + 40 (BT.601): R 100 + 1.402 * 40 = 156.08,
# B 100 + 1.772 * 20 = 135.44, G 100 - 0.3441 * 20 - 0.7141 * 40 = 64.55
YCC = _filled(100, 148, 168)
YCC_RGB = (156, 65, 135)

KINDS: dict[str, tuple[Callable[[Path], Path], tuple[int, ...], tuple[str, ...]]] = {
    "ycbcr": (_tiff(YCC, **YCBCR), YCC_RGB, ()),
    "ycbcr, packed": (_tiff(YCC, **YCBCR, compression="zlib"), YCC_RGB, ()),
    # (100 - 16) * 255 / 219 = 97.8; 20 * 127 / 112 = 22.68; 40 * 127 / 112 = 45.36
    "ycbcr of studio range": (
        _tiff(
            YCC,
            **YCBCR,
            extratags=[
                (532, 5, 6, (16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1), True)
            ],
        ),
        (161, 58, 138),
        (),
    ),
    "jpeg": (_tiff(_filled(200, 90, 40), **RGB, compression="jpeg"), (200, 90, 40), ()),
    "aperio ycbcr": (
        _retagged(_tiff(YCC, **RGB, compression="jpeg2000"), Compression=33003),
        YCC_RGB,
        (),
    ),
    "aperio rgb": (
        _retagged(_tiff(YCC, **RGB, compression="jpeg2000"), Compression=33005),
        (100, 148, 168),
        (),
    ),
    "lab": (_lab, (200, 90, 40), ()),
    "palette of 8 bits": (
        _tiff(_filled(9)[..., 0], photometric="palette", colormap=MAP_8_BIT),
        (9, 246, 7),
        (tiff_colors.PALETTE_8_BIT,),
    ),
    "fourth channel of another range": (
        _tiff(_filled(0, 1, 0, 900, dtype=np.float32), **RGB, extrasamples=[0]),
        (0, 65535, 0),
        (EXTRA,),
    ),
    "cmyk and a spot colour": (
        _tiff(_filled(255, 0, 0, 0, 9), **INKS, extrasamples=[0]),
        (0, 255, 255),
        (EXTRA,),
    ),
    "three grey channels": (
        _tiff(_filled(9, 8, 7), **GREY),
        (9, 8, 7),
        (tiff_colors.CHANNELS_GUESSED,),
    ),
    # 204 / 255 of white behind 20, 40, 51
    "premultiplied alpha": (
        _tiff(_filled(20, 40, 51, 51), **RGB, extrasamples=[1]),
        (224, 244, 255),
        (),
    ),
    "premultiplied alpha 0": (
        _tiff(_filled(20, 40, 51, 0), **RGB, extrasamples=[1]),
        (20, 40, 51),
        (ALPHA_UNUSED,),
    ),
    # Alpha is not inverted: 51 / 255 * (255 - 155) + 0.8 * 255 = 224
    "white is 0, alpha": (
        _tiff(
            _filled(155, 51),
            photometric="miniswhite",
            planarconfig="contig",
            extrasamples=[2],
        ),
        (224, 224, 224),
        (),
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_colours_and_what_is_told(name: str, tmp_path: Path) -> None:
    write, expected, notes = KINDS[name]
    found = images.load(write(tmp_path))
    lossy = 2 if name in ("jpeg", "lab") else 1 if "ycbcr" in name else 0
    off = found.pixels[H // 2, W // 2].astype(int) - expected
    assert np.abs(off).max() <= lossy, found.pixels[H // 2, W // 2]
    assert found.header.notes == notes


REFUSED = {
    "two channels": (_tiff(_filled(1, 2), **GREY), "2 channels"),
    "four grey channels": (_tiff(_filled(1, 2, 3, 4), **GREY), "4 channels"),
    "five": (_tiff(_filled(1, 2, 3, 4, 5), **RGB), "5 channels"),
    "three inks": (
        _retagged(_tiff(_filled(1, 2, 3), **RGB), PhotometricInterpretation=5),
        "SEPARATED",
    ),
    "other inks": (
        _tiff(_filled(1, 2, 3, 4), **INKS, extratags=[(332, 3, 1, 2, True)]),
        "SEPARATED",
    ),
    "16-bit ycbcr": (_tiff(_filled(1, 2, 3, dtype=np.uint16), **YCBCR), "YCBCR"),
    "jpeg 2000 ycbcr": (_tiff(YCC, **YCBCR, compression="jpeg2000"), "YCBCR"),
    "subsampled ycbcr": (
        _retagged(_tiff(YCC, **YCBCR), YCbCrSubSampling=(2, 2)),
        "not read .*subsampling",
    ),
    "camera sensor": (
        _retagged(_tiff(_filled(1)[..., 0]), PhotometricInterpretation=32803),
        "CFA",
    ),
    "unknown compression": (
        _retagged(_tiff(_filled(1)[..., 0]), Compression=32771),
        "not read .*CCIRLEW",
    ),
    "complex": (_tiff(np.ones((H, W), np.complex64)), "complex"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_colours_that_are_not_clear_are_refused(name: str, tmp_path: Path) -> None:
    write, what = REFUSED[name]
    with pytest.raises(DataError, match=rf"a\.tif .*{what}.* save") as error:
        images.load_image(write(tmp_path))
    assert "damaged" not in str(error.value)
