"""How a prepared set stores pixels: as PNG, as JPEG, or as they are.

png: lossless, 8 or 16 bits a channel. jpeg: small and quick to read, of 8-bit RGB only;
a JPEG file of the folder is kept byte by byte where it holds the very image, others are
encoded at quality 95. raw: little-endian pixels, the quickest to read and the largest.
"""

from collections.abc import Iterable, Mapping
import io
from typing import Any

import numpy as np

from cellrec_jax import errors

ENCODINGS = ("png", "jpeg", "raw")
_QUALITY = 95
_JPEG_SIGNATURE = b"\xff\xd8\xff"


def features_dict(encoding: str) -> dict[str, Any]:
    """TFDS features of the pixels, and of what they are without decoding them.

    PNG and JPEG are declared as uint8, as TFDS decodes them; PNG keeps 16 bits.
    """
    import tensorflow_datasets as tfds

    if encoding not in ENCODINGS:
        raise errors.ConfigError(
            f"encoding {encoding!r} is unknown: use one of {', '.join(ENCODINGS)}"
        )
    stored = (
        tfds.features.Text(doc="pixels, little-endian, row by row")
        if encoding == "raw"
        else tfds.features.Image(dtype=np.uint8, encoding_format=encoding)
    )
    return {
        "image": stored,
        "image_shape": tfds.features.Tensor(shape=(3,), dtype=np.int32),
        "image_type": tfds.features.Text(doc="uint8 or uint16"),
    }


def encoding_of(features: Mapping[str, Any]) -> str:
    """Of a set's features, whatever version of this package has prepared it."""
    return getattr(features["image"], "encoding_format", None) or "raw"


def encode(
    image: np.ndarray, encoding: str, image_id: str, originals: Iterable[bytes] = ()
) -> dict[str, Any]:
    """Features of uint8 or uint16 [H, W, C]; `originals` are files that may hold it.

    As JPEG, other pixels than 8-bit RGB are a `DataError`.
    """
    if encoding == "jpeg":
        file = _to_jpeg(image, image_id, originals)
    elif encoding == "png":
        file = to_png(image)
    else:
        file = image.astype(image.dtype.newbyteorder("<"), copy=False).tobytes()
    return {
        "image": file,
        "image_shape": np.array(image.shape, np.int32),
        "image_type": str(image.dtype),
    }


def shape_and_type(features: Mapping[str, Any]) -> tuple[tuple[int, ...], np.dtype]:
    """[H, W, C] and number type of an image, from all or the first bytes of its file.

    Sets of earlier versions say it in the header of their PNG files alone.
    """
    if "image_shape" in features:
        height, width, channels = np.asarray(features["image_shape"]).tolist()
        return (height, width, channels), np.dtype(features["image_type"].decode())
    file = features["image"]
    width, height, bits, color = (
        int.from_bytes(file[begin:end], "big")
        for begin, end in ((16, 20), (20, 24), (24, 25), (25, 26))
    )
    channels = 3 if color & 2 else 1
    return (height, width, channels), np.dtype(np.uint16 if bits == 16 else np.uint8)


def decode(features: Mapping[str, Any], encoding: str) -> np.ndarray:
    """The pixels of `encode`, [H, W, C], but for what JPEG loses."""
    file = features["image"]
    if encoding == "png":
        return from_png(file)
    if encoding == "jpeg":
        return _from_jpeg(file)
    shape, dtype = shape_and_type(features)
    pixels = np.frombuffer(file, dtype.newbyteorder("<")).reshape(shape)
    return pixels.astype(dtype, copy=False)


def to_png(pixels: np.ndarray) -> bytes:
    """uint8 or uint16 [H, W] or [H, W, C] as a PNG file."""
    import imagecodecs

    return bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))


def from_png(file: bytes) -> np.ndarray:
    """The pixels of `to_png`, always [H, W, C]."""
    import imagecodecs

    pixels = imagecodecs.png_decode(file)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _to_jpeg(image: np.ndarray, image_id: str, originals: Iterable[bytes]) -> bytes:
    if image.dtype != np.uint8 or image.shape[2] != 3:
        raise errors.DataError(
            f"{image_id}: JPEG holds 8-bit RGB, not {image.dtype} {image.shape} "
            "[H, W, C]: prepare the set with --encoding png or raw"
        )
    for file in originals:
        if file.startswith(_JPEG_SIGNATURE) and _holds(file, image):
            return file
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def _holds(file: bytes, image: np.ndarray) -> bool:
    """Whether a JPEG file is the image: not turned by a tag, of no other colours."""
    try:
        return np.array_equal(_from_jpeg(file), image)
    except Exception:  # decoders have errors of their own; then it is encoded anew
        return False


def _from_jpeg(file: bytes) -> np.ndarray:
    """8-bit RGB [H, W, 3], of grey files too; the same numbers as TensorFlow's."""
    import imagecodecs

    pixels = imagecodecs.jpeg_decode(file)
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
