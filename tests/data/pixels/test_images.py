from collections.abc import Callable
from pathlib import Path
import struct
import zlib

import imagecodecs
import numpy as np
from PIL import Image
import pytest
import tifffile

from cellrec_jax.data.pixels.colors import ALPHA_UNUSED
from cellrec_jax.data.pixels.files import IMAGE_ENDINGS
from cellrec_jax.data.pixels.images import (
    FRAMES_UNUSED,
    MAX_PIXELS,
    OTHER_ENDING,
    TURNED,
    header,
    load,
    load_image,
    load_mask,
    read_size,
)
from cellrec_jax.errors import DataError

H, W = 5, 7


def _rgb(dtype: type = np.uint8) -> np.ndarray:
    top = np.iinfo(dtype).max
    return np.random.default_rng(1).integers(0, top, (H, W, 3), dtype)


def _grey(dtype: type = np.uint8) -> np.ndarray:
    return _rgb(dtype)[..., 0]


def _three(grey: np.ndarray) -> np.ndarray:
    return np.stack([grey] * 3, axis=-1)


def _save_pil(array: np.ndarray, ending: str = "png") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / f"image.{ending}"
        Image.fromarray(array).save(path)
        return path

    return write


def _save_png16(array: np.ndarray) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "image.png"
        path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(array)))
        return path

    return write


def _save_tiff(
    array: np.ndarray, ending: str = "tif", **options: object
) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / f"image.{ending}"
        tifffile.imwrite(path, array, **options)
        return path

    return write


def _save_palette(folder: Path) -> Path:
    image = Image.fromarray(np.arange(H * W, dtype=np.uint8).reshape(H, W))
    image = image.convert("P")
    image.putpalette([value for i in range(256) for value in (i, 255 - i, 7)])
    image.save(folder / "image.png")
    return folder / "image.png"


def _save_transparent_palette(folder: Path, num_clear: int = 256) -> Path:
    image = Image.open(_save_palette(folder)).copy()
    alpha = bytes([0] * num_clear + [255] * (256 - num_clear))
    image.save(folder / "clear.png", transparency=alpha)
    return folder / "clear.png"


PALETTE_RGB = np.stack(
    [
        np.arange(H * W).reshape(H, W),
        255 - np.arange(H * W).reshape(H, W),
        np.full((H, W), 7),
    ],
    -1,
).astype(np.uint8)
WHITE = np.full((H, W, 3), 255, np.uint8)
COLORMAP = np.stack([np.arange(256) * 257, np.arange(256)[::-1] * 257, np.zeros(256)])


def _with_alpha(color: np.ndarray, alpha: int) -> np.ndarray:
    return np.concatenate([color, np.full((H, W, 1), alpha, color.dtype)], axis=-1)


GOOD = {
    "grey": (_save_pil(_grey()), _three(_grey())),
    "rgb": (_save_pil(_rgb()), _rgb()),
    "rgb bmp": (_save_pil(_rgb(), "bmp"), _rgb()),
    "bits": (_save_pil(_grey() > 99), _three(np.uint8(255) * (_grey() > 99))),
    "rgba opaque": (_save_pil(_with_alpha(_rgb(), 255)), _rgb()),
    "rgba of alpha 0": (_save_pil(_with_alpha(_rgb(), 0)), _rgb()),
    # 51 / 255 = 0.2: 0.2 * 100 + 0.8 * 255 = 224
    "rgba blended": (
        _save_pil(_with_alpha(np.full((H, W, 3), 100, np.uint8), 51)),
        np.full((H, W, 3), 224, np.uint8),
    ),
    "grey with alpha": (
        _save_pil(_with_alpha(np.full((H, W, 1), 100, np.uint8), 51)),
        np.full((H, W, 3), 224, np.uint8),
    ),
    "palette": (_save_palette, PALETTE_RGB),
    "palette of alpha 0": (_save_transparent_palette, PALETTE_RGB),
    "half-clear palette": (
        lambda folder: _save_transparent_palette(folder, 18),
        np.where(np.arange(H * W).reshape(H, W, 1) < 18, WHITE, PALETTE_RGB),
    ),
    "16-bit grey png": (_save_png16(_grey(np.uint16)), _three(_grey(np.uint16))),
    "16-bit rgb png": (_save_png16(_rgb(np.uint16)), _rgb(np.uint16)),
    "16-bit rgba png": (
        _save_png16(_with_alpha(_rgb(np.uint16), 65535)),
        _rgb(np.uint16),
    ),
    "16-bit grey tiff": (_save_tiff(_grey(np.uint16)), _three(_grey(np.uint16))),
    "16-bit rgb tiff": (
        _save_tiff(_rgb(np.uint16), photometric="rgb", compression="zlib"),
        _rgb(np.uint16),
    ),
    "big-endian tiff": (
        _save_tiff(_grey(np.uint16), byteorder=">"),
        _three(_grey(np.uint16)),
    ),
    "rgb tiff lzw": (_save_tiff(_rgb(), compression="lzw", photometric="rgb"), _rgb()),
    "planar tiff": (
        _save_tiff(
            _rgb().transpose(2, 0, 1), photometric="rgb", planarconfig="separate"
        ),
        _rgb(),
    ),
    "channel-first tiff": (
        _save_tiff(_rgb().transpose(2, 0, 1), "tiff", photometric="rgb"),
        _rgb(),
    ),
    "16-bit rgba png of alpha 0": (
        _save_png16(_with_alpha(_rgb(np.uint16), 0)),
        _rgb(np.uint16),
    ),
    "rgba tiff of alpha 0": (
        _save_tiff(
            _with_alpha(_rgb(), 0), photometric="rgb", extrasamples=["unassalpha"]
        ),
        _rgb(),
    ),
    "rgb tiff with a fourth channel": (
        _save_tiff(
            _with_alpha(_rgb(), 0), photometric="rgb", extrasamples=["unspecified"]
        ),
        _rgb(),
    ),
    "white is zero": (
        _save_tiff(_grey(), photometric="miniswhite"),
        _three(255 - _grey()),
    ),
    "palette tiff": (
        _save_tiff(
            np.arange(H * W, dtype=np.uint8).reshape(H, W),
            photometric="palette",
            colormap=COLORMAP.astype(np.uint16),
        ),
        np.stack([PALETTE_RGB[..., 0], PALETTE_RGB[..., 1], 0 * _grey()], -1),
    ),
    # ink (255, 0, 0), no black: cyan
    "cmyk tiff": (
        _save_tiff(
            np.full((H, W, 4), [255, 0, 0, 0], np.uint8), photometric="separated"
        ),
        np.full((H, W, 3), [0, 255, 255], np.uint8),
    ),
    "float tiff in 0..1": (
        _save_tiff(np.full((H, W), 0.5, np.float32)),
        np.full((H, W, 3), 32768, np.uint16),
    ),
    "jpeg 2000": (_save_pil(_rgb(), "jp2"), _rgb()),
    "PNG": (_save_pil(_rgb(), "PNG"), _rgb()),
    "TIF": (_save_tiff(_rgb(), "TIF", photometric="rgb"), _rgb()),
    "1 x 1": (
        _save_pil(np.full((1, 1, 3), 9, np.uint8)),
        np.full((1, 1, 3), 9, np.uint8),
    ),
    "1 x 1 tiff": (
        _save_tiff(np.full((1, 1), 9, np.uint8)),
        np.full((1, 1, 3), 9, np.uint8),
    ),
    "1 row": (_save_pil(_grey()[:1]), _three(_grey()[:1])),
}


@pytest.mark.parametrize("name", GOOD)
def test_every_usual_kind_is_read(name: str, tmp_path: Path) -> None:
    write, expected = GOOD[name]
    image = load_image(write(tmp_path))
    assert image.dtype == expected.dtype
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("name", GOOD)
def test_one_channel_on_request(name: str, tmp_path: Path) -> None:
    write, expected = GOOD[name]
    image = load_image(write(tmp_path), channels=1)
    luma = expected @ np.array([0.299, 0.587, 0.114])
    assert image.dtype == expected.dtype
    np.testing.assert_allclose(image[..., 0], luma, atol=0.51)


def test_cmyk_jpeg_is_rgb(tmp_path: Path) -> None:
    ink = np.zeros((16, 24, 4), np.uint8)
    ink[..., 1] = 255
    Image.frombytes("CMYK", (24, 16), ink.tobytes()).save(
        tmp_path / "a.jpg", quality=95
    )
    image = load_image(tmp_path / "a.jpg")
    np.testing.assert_allclose(image[8, 12], [255, 0, 255], atol=3)


@pytest.mark.parametrize("size_hw", [(4000, 40), (40, 4000)])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_long_images_load(
    size_hw: tuple[int, int], ending: str, tmp_path: Path
) -> None:
    array = np.zeros((*size_hw, 3), np.uint8)
    array[-1, -2] = 5
    write = _save_pil(array) if ending == "png" else _save_tiff(array)
    image = load_image(write(tmp_path))
    assert image.shape == array.shape
    assert image[-1, -2].tolist() == [5, 5, 5]


def test_pillow_limit_neither_trips_nor_stays_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # 35 px would be an error
    assert load_image(_save_pil(_rgb())(tmp_path)).shape == (H, W, 3)
    assert Image.MAX_IMAGE_PIXELS == 10


def _png_header(folder: Path, depth: int) -> Path:
    """A PNG that claims to be 100,000 x 100,000 px."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, depth, 2, 0, 0, 0)
    path = folder / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + struct.pack(">I", 0)
        + b"IDAT"
        + struct.pack(">I", zlib.crc32(b"IDAT"))
    )
    return path


def _tiff_bomb(folder: Path) -> Path:
    """A TIFF that claims to be 2**29 x 3 px."""
    path = folder / "bomb.tif"
    tifffile.imwrite(path, np.zeros((1, 3), np.uint8))
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages.first.tags["ImageLength"].overwrite(2**29)
    return path


@pytest.mark.parametrize(
    "write",
    [lambda p: _png_header(p, 8), lambda p: _png_header(p, 16), _tiff_bomb],
    ids=["png 8", "png 16", "tiff"],
)
def test_absurd_sizes_are_refused(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = write(tmp_path)
    with pytest.raises(DataError, match=f"more than {MAX_PIXELS:,}") as error:
        load_image(path)
    assert str(path) in str(error.value)


def _cut(write: Callable[[Path], Path], share: float) -> Callable[[Path], Path]:
    def write_cut(folder: Path) -> Path:
        path = write(folder)
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        return path

    return write_cut


NOISE = np.random.default_rng(2).integers(0, 255, (60, 90, 3), np.uint8)


def _text(folder: Path, ending: str) -> Path:
    path = folder / f"image.{ending}"
    path.write_text("this is no image")
    return path


def _empty(folder: Path) -> Path:
    (folder / "image.png").touch()
    return folder / "image.png"


BAD = {
    "truncated png": _cut(_save_pil(NOISE), 0.6),
    "truncated 16-bit png": _cut(_save_png16(NOISE.astype(np.uint16)), 0.6),
    "truncated tiff": _cut(_save_tiff(NOISE), 0.6),
    "truncated zlib tiff": _cut(_save_tiff(NOISE, compression="zlib"), 0.6),
    "text as png": lambda folder: _text(folder, "png"),
    "text as tiff": lambda folder: _text(folder, "tif"),
    "empty file": _empty,
    "five channels": _save_tiff(
        np.zeros((H, W, 5), np.uint8), photometric="minisblack", planarconfig="contig"
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_unusable_files_give_one_line(name: str, tmp_path: Path) -> None:
    path = BAD[name](tmp_path)
    with pytest.raises(DataError) as error:
        load_image(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["L", "RGB", "RGBA", "P", "1", "I;16"])
def test_masks_are_true_where_not_black(kind: str, tmp_path: Path) -> None:
    expected = np.zeros((H, W), bool)
    expected[1, 4] = expected[3, 0] = True
    if kind == "I;16":
        image = Image.fromarray(expected * np.uint16(300))
    else:
        image = Image.fromarray(expected * np.uint8(255)).convert(kind)
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.png"), expected)


def test_clear_pixels_of_a_mask_are_false(tmp_path: Path) -> None:
    pixels = np.full((H, W, 4), 255, np.uint8)
    pixels[2, 3, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.png"), pixels[..., 3] > 0)


@pytest.mark.parametrize("ending", IMAGE_ENDINGS)
def test_the_size_is_read_from_the_header(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending.upper()}"
    if ending in (".tif", ".tiff"):
        tifffile.imwrite(path, np.zeros((5, 9, 3), np.uint16), photometric="rgb")
    else:
        Image.fromarray(np.zeros((5, 9, 3), np.uint8)).save(path)
    assert read_size(path) == load_image(path).shape[:2] == (5, 9)
    bits = 16 if ending in (".tif", ".tiff") else 8
    assert header(path) == (((5, 9), (5, 9), 1), 0.0, (), 3, bits, "")


@pytest.mark.parametrize(
    ("write", "channels", "bits"),
    [
        (_save_pil(_rgb()), 3, 8),
        (_save_pil(_grey() > 99), 1, 1),
        (_save_palette, 1, 8),
        (_save_pil(_with_alpha(_rgb(), 9)), 4, 8),
        (_save_png16(_rgb(np.uint16)), 3, 16),
        (_save_pil(_grey(np.uint16)), 1, 16),
        (_save_pil(_grey(), "jpg"), 1, 8),
        (_save_tiff(_rgb(np.uint16)), 3, 16),
        (_save_tiff(_grey().astype(np.float32)), 1, 32),
    ],
)
def test_channels_are_told_as_they_are_stored(write, channels, bits, tmp_path) -> None:
    found = header(write(tmp_path))
    assert (found.channels, found.bits) == (channels, bits)


def test_sizes_of_broken_files_fail_as_images_do(tmp_path: Path) -> None:
    for name, content in (("a.png", b""), ("b.png", b"no image"), ("c.tif", b"II*")):
        (tmp_path / name).write_bytes(content)
    for name in ("a.png", "b.png", "c.tif", "d.png"):
        messages = []
        for read in (read_size, load_image):
            with pytest.raises(DataError) as error:
                read(tmp_path / name)
            messages.append(str(error.value))
        assert messages[0] == messages[1]


def _save_as(source: str, name: str) -> Callable[[Path], Path]:
    """Writes the format `source` under a name of another."""

    def write(folder: Path) -> Path:
        if source == "TIFF":
            tifffile.imwrite(folder / name, _rgb(), photometric="rgb")
        else:
            Image.fromarray(_rgb()).save(folder / name, format=source)
        return folder / name

    return write


def _save_turned(folder: Path) -> Path:
    image = Image.fromarray(_rgb())
    exif = image.getexif()
    exif[274] = 3
    image.save(folder / "a.png", exif=exif)
    return folder / "a.png"


def _save_two(kind: str, ending: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        first, second = (
            Image.fromarray(np.full((9, 8, 3), v, np.uint8)) for v in (7, 99)
        )
        path = folder / f"a{ending}"
        first.save(path, format=kind, save_all=True, append_images=[second])
        return path

    return write


TOLD = {
    "png named tif": (_save_as("PNG", "a.tif"), _rgb(), OTHER_ENDING),
    "tiff named png": (_save_as("TIFF", "a.png"), _rgb(), OTHER_ENDING),
    "bmp named jpg": (_save_as("BMP", "a.JPG"), _rgb(), OTHER_ENDING),
    "alpha 0": (_save_pil(_with_alpha(_rgb(), 0)), _rgb(), ALPHA_UNUSED),
    "turned by 180 degrees": (_save_turned, _rgb()[::-1, ::-1], TURNED),
    "photo with a preview": (
        _save_two("MPO", ".jpg"),
        np.full((9, 8, 3), 7, np.uint8),
        FRAMES_UNUSED,
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_was_left_out_or_guessed_is_told(name: str, tmp_path: Path) -> None:
    write, expected, note = TOLD[name]
    found = load(write(tmp_path))
    np.testing.assert_array_equal(found.pixels, expected)
    assert found.header.notes == (note,)


@pytest.mark.parametrize(("kind", "ending"), [("PNG", ".png"), ("WEBP", ".webp")])
def test_films_are_refused(kind: str, ending: str, tmp_path: Path) -> None:
    path = _save_two(kind, ending)(tmp_path)
    for read in (load_image, read_size):
        with pytest.raises(DataError, match=r"film of 2 pictures: save one"):
            read(path)
