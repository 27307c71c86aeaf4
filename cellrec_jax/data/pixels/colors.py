"""Number types, transparency and colour models of pixels; NumPy only."""

import numpy as np

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601


def to_unsigned(pixels: np.ndarray) -> np.ndarray:
    """Turns any number type into uint8 or uint16.

    uint8 and uint16 are kept, bool becomes 0 / 255. Other types become uint16: values
    in [0, 1] of a float type times 65535; values in [0, 65535] rounded, so that counts
    stay comparable between images; any other range is stretched to 0..65535. NaN and
    infinities become the least finite value.

    Args:
      pixels: [...] array of a real type.

    Returns:
      uint8 or uint16 [...].

    Example:
      >>> to_unsigned(np.array([0.0, 0.5, 1.0])).tolist()
      [0, 32768, 65535]
    """
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    values = pixels.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint16)
    low, high = values[finite].min(), values[finite].max()
    values = np.where(finite, values, low)
    if np.issubdtype(pixels.dtype, np.floating) and low >= 0 and high <= 1:
        values = values * 65535
    elif low < 0 or high > 65535:
        values = (values - low) * (65535 / max(high - low, 1e-300))
    return np.floor(values + 0.5).astype(np.uint16)


def composite_on_white(pixels: np.ndarray, premultiplied: bool = False) -> np.ndarray:
    """Blends the alpha channel of [H, W, 2 | 4] with white; others are returned as is.

    Args:
      pixels: uint8 or uint16 [H, W, C].
      premultiplied: whether colours were multiplied by alpha already.

    Returns:
      [H, W, 1 | 3] of the same type.
    """
    if pixels.shape[-1] not in (2, 4):
        return pixels
    color, alpha = pixels[..., :-1], pixels[..., -1:]
    full = np.iinfo(pixels.dtype).max
    if (alpha == full).all():
        return np.ascontiguousarray(color)
    share = alpha.astype(np.float32) / full
    blended = color.astype(np.float32) * (1.0 if premultiplied else share)
    blended += full * (1.0 - share)
    return np.minimum(np.floor(blended + 0.5), full).astype(pixels.dtype)


def cmyk_to_rgb(pixels: np.ndarray) -> np.ndarray:
    """Turns CMYK (0 is no ink) into RGB: (full - ink) * (full - black) / full.

    Args:
      pixels: uint8 or uint16 [H, W, 4].

    Returns:
      [H, W, 3] of the same type.
    """
    full = np.iinfo(pixels.dtype).max
    light = full - pixels.astype(np.float32)
    rgb = light[..., :3] * light[..., 3:] / full
    return np.floor(rgb + 0.5).astype(pixels.dtype)


def to_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Turns [H, W, 1 | 3] into [H, W, channels] for 1 or 3 channels.

    Args:
      pixels: uint8 or uint16 grey or RGB.
      channels: 3 repeats grey; 1 takes the ITU-R 601 luma of RGB.

    Returns:
      C-contiguous array of the same type.

    Raises:
      ValueError: for another number of channels.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, not {channels}")
    if channels == 3 and pixels.shape[-1] == 1:
        return np.repeat(pixels, 3, axis=-1)
    if channels == 1 and pixels.shape[-1] == 3:
        luma = np.floor(pixels.astype(np.float32) @ _LUMA + 0.5)
        return luma.astype(pixels.dtype)[..., None]
    return np.ascontiguousarray(pixels)
