"""Number types, transparency, colour models and stains of pixels."""

import jax
import jax.numpy as jnp
import numpy as np

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601
# Optical density (R, G, B) of haematoxylin, eosin and DAB. Ruifrok and Johnston,
# Quantification of histochemical staining by color deconvolution, 2001.
_RGB_FROM_HED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_HED_FROM_RGB = np.linalg.inv(_RGB_FROM_HED)


ALPHA_UNUSED = "images shown without their alpha, which is 0 everywhere"
NOT_NUMBERS = "images with pixels that are no numbers, set to the least value"
CLIPPED = "images with a few pixels far from all others, clipped"
SCALED = "images of decimal numbers up to {:g}, times {}"
STRETCHED = "images with values below 0 or above 65535, each stretched to its own range"

# Decimal numbers up to the first are times the second: shares of 1; optical densities
# and ratios, of which whole numbers would keep few levels; 8 bits; counts.
_SCALES = ((1.0, 65535), (4.0, 16383), (255.0, 257), (65535.0, 1))
_EXTREMES = 0.001
_INFINITE = 1e300


def to_unsigned(pixels: np.ndarray, notes: list[str] | None = None) -> np.ndarray:
    """Turns any real number type into uint8 or uint16 of this machine's byte order.

    uint8 and uint16 are kept, bool becomes 0 / 255. Other types become uint16. Whole
    numbers in [0, 65535] stay as they are, so that counts stay comparable between
    images; floats in [0, 1] are times 65535, in [0, 4] times 16383, in [0, 255] times
    257, in [0, 65535] rounded; any other range is stretched to 0..65535. Which it is
    goes by all but a thousandth of the values at each end; what is outside is clipped,
    as hot pixels are. NaN and infinities become the least finite value. Lines on what
    was guessed or lost are added to `notes`.

    Example:
      >>> to_unsigned(np.array([0.0, 0.5, 1.0])).tolist()
      [0, 32768, 65535]
    """
    notes = [] if notes is None else notes
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    values = pixels.astype(np.float64)
    finite = np.abs(values) < _INFINITE
    if not finite.all():
        notes.append(NOT_NUMBERS)
    if not finite.any():
        return np.zeros(values.shape, np.uint16)
    values = np.where(finite, values, values[finite].min())
    low, high, scale = _range(values, pixels.dtype.kind == "f", notes)
    if values.min() < low or values.max() > high:
        notes.append(CLIPPED)
    values = (np.clip(values, low, high) - low) * scale
    return np.floor(np.minimum(values, 65535) + 0.5).astype(np.uint16)


def _range(
    values: np.ndarray, decimal: bool, notes: list[str]
) -> tuple[float, float, float]:
    """Least and greatest value that is meant, and the factor to 0..65535."""
    low = float(np.quantile(values, _EXTREMES, method="lower"))
    high = float(np.quantile(values, 1 - _EXTREMES, method="higher"))
    for limit, scale in _SCALES if decimal else _SCALES[-1:]:
        if low >= 0 and high <= limit:
            if 1 < limit < 65535:
                notes.append(SCALED.format(limit, scale))
            return 0.0, limit, scale
    notes.append(STRETCHED)
    return low, high, 65535 / max(high - low, 1e-300)


def composite_on_white(
    pixels: np.ndarray, premultiplied: bool = False, notes: list[str] | None = None
) -> np.ndarray:
    """Blends alpha of [H, W, 2 | 4], `premultiplied` or not, with white; else as is.

    Alpha that is 0 everywhere is a channel that nobody filled: it is left out, with a
    line in `notes`.
    """
    if pixels.shape[-1] not in (2, 4):
        return pixels
    color, alpha = pixels[..., :-1], pixels[..., -1:]
    full = np.iinfo(pixels.dtype).max
    if not alpha.any() and notes is not None:
        notes.append(ALPHA_UNUSED)
    if not alpha.any() or (alpha == full).all():
        return np.ascontiguousarray(color)
    return over_white(color, alpha, premultiplied)


def over_white(
    color: np.ndarray, alpha: np.ndarray, premultiplied: bool = False
) -> np.ndarray:
    """Blends uint8 or uint16 [H, W, C] with white by `alpha` [H, W, 1] of its type."""
    full = np.iinfo(color.dtype).max
    share = alpha.astype(np.float32) / full
    blended = color.astype(np.float32) * (1.0 if premultiplied else share)
    blended += full * (1.0 - share)
    return np.minimum(np.floor(blended + 0.5), full).astype(color.dtype)


def cmyk_to_rgb(pixels: np.ndarray) -> np.ndarray:
    """CMYK [H, W, 4] (0 is no ink) to RGB: (full - ink) * (full - black) / full."""
    full = np.iinfo(pixels.dtype).max
    light = full - pixels.astype(np.float32)
    rgb = light[..., :3] * light[..., 3:] / full
    return np.floor(rgb + 0.5).astype(pixels.dtype)


def to_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Grey or RGB to C-contiguous [H, W, channels] of 3 or 1 (the ITU-R 601 luma)."""
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, not {channels}")
    if channels == 3 and pixels.shape[-1] == 1:
        return np.repeat(pixels, 3, axis=-1)
    if channels == 1 and pixels.shape[-1] == 3:
        luma = np.floor(pixels.astype(np.float32) @ _LUMA + 0.5)
        return luma.astype(pixels.dtype)[..., None]
    return np.ascontiguousarray(pixels)


def scale_stains(image: jax.Array, scale: jax.Array, shift: jax.Array) -> jax.Array:
    """Scales and shifts the densities of haematoxylin, eosin and DAB: f32 [3] each.

    The image is f32 [H, W, 3] RGB in [0, 1], at least 1/255; the result may exceed 1.
    `shift` is in natural-log optical density.
    """
    highest = jax.lax.Precision.HIGHEST  # some GPUs multiply f32 with 10-bit mantissas
    density = -jnp.log(jnp.maximum(image, 1 / 255))
    to_hed = jnp.asarray(_HED_FROM_RGB, jnp.float32)
    to_rgb = jnp.asarray(_RGB_FROM_HED, jnp.float32)
    mixing = jnp.dot(to_hed * scale[None], to_rgb, precision=highest)
    offset = jnp.dot(shift, to_rgb, precision=highest)
    # Not a product with a 3 x 3 matrix, for which whole tiles would be filled up.
    planes = (density[..., i, None] * mixing[i].reshape(1, 1, 3) for i in range(3))
    return jnp.exp(-sum(planes) - offset.reshape(1, 1, 3))


def optical_density(image: np.ndarray) -> np.ndarray:
    """-log10 of light [...] in [0, 1], taken for at least 1/255: f32, at least 0."""
    return -np.log10(np.clip(image, 1 / 255, 1), dtype=np.float32)


def stains(image: np.ndarray) -> np.ndarray:
    """Amounts of haematoxylin, eosin and DAB, f32 [..., 3], of RGB [..., 3] in [0, 1].

    1 of a stain has its published optical density; what others than these three left
    may be below 0.
    """
    return optical_density(image) @ _HED_FROM_RGB.astype(np.float32)


def to_unit(image: jax.Array) -> jax.Array:
    """Scales uint8 [...] to f32 in [0, 1]; floats, in [0, 1] already, become f32."""
    if image.dtype == jnp.uint8:
        return image.astype(jnp.float32) / 255
    if not jnp.issubdtype(image.dtype, jnp.floating):  # 16 bits: see `data.example`
        raise TypeError(f"images must be uint8 or float, not {image.dtype}")
    return jnp.asarray(image, jnp.float32)
