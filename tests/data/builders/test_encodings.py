import io

import numpy as np
from PIL import Image
import pytest

from cellrec_jax import errors
from cellrec_jax.data.builders import encodings


def make_image(dtype=np.uint8, channels: int = 3) -> np.ndarray:
    """Smooth, as JPEG needs it, of 21 x 34 px."""
    rows, columns = np.mgrid[:21, :34]
    planes = [rows * 4 + columns * (k + 1) for k in range(channels)]
    return (np.stack(planes, 2) * (np.iinfo(dtype).max // 255)).astype(dtype)


def as_tfds_reads(encoded: dict) -> dict:
    return {**encoded, "image_type": encoded["image_type"].encode()}


def jpeg_file(image: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_png_and_raw_give_back_the_pixels(encoding, dtype, channels):
    image = make_image(dtype, channels)
    found = as_tfds_reads(encodings.encode(image, encoding, "7"))
    decoded = encodings.decode(found, encoding)
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded, image)
    shape, kind = encodings.shape_and_type({**found, "image": b""})
    assert (shape, kind) == (image.shape, dtype)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_of_earlier_sets_says_its_shape_and_type(dtype, channels):
    image = make_image(dtype, channels)
    head = encodings.to_png(image)[:64]
    assert encodings.shape_and_type({"image": head}) == (image.shape, dtype)


def test_a_jpeg_file_is_kept_where_it_holds_the_very_image():
    image = make_image()
    file = jpeg_file(image, quality=60)
    shown = np.asarray(Image.open(io.BytesIO(file)))
    other = jpeg_file(image[:, ::-1])
    found = encodings.encode(shown, "jpeg", "7", [b"", other, b"\xff\xd8\xff", file])
    assert found["image"] == file
    np.testing.assert_array_equal(encodings.decode(found, "jpeg"), shown)


def test_a_grey_jpeg_file_gives_equal_channels():
    file = jpeg_file(make_image(channels=1)[..., 0])
    shown = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
    found = encodings.encode(shown, "jpeg", "7", [file])
    assert found["image"] == file
    np.testing.assert_array_equal(encodings.decode(found, "jpeg"), shown)


def test_other_images_are_encoded_almost_as_they_are():
    image = make_image()
    found = encodings.encode(image, "jpeg", "7", [jpeg_file(image[::-1])])
    far = np.abs(encodings.decode(found, "jpeg").astype(int) - image)
    assert far.mean() < 2


@pytest.mark.parametrize(
    "image", [make_image(np.uint16), make_image(channels=1)], ids=["deep", "grey"]
)
def test_jpeg_refuses_what_it_cannot_hold(image):
    with pytest.raises(errors.DataError, match=r"slide 3: .*--encoding png or raw"):
        encodings.encode(image, "jpeg", "slide 3")


def test_an_unknown_encoding_is_refused():
    pytest.importorskip("tensorflow_datasets")
    with pytest.raises(errors.ConfigError, match="'gif' is unknown: use one of png"):
        encodings.features_dict("gif")
