"""Scanners of many makes: white point, blur, sharpening, noise, tone curve, JPEG."""

import io

import numpy as np

from cellrec_jax.data.synthetic import stain

_LUMA_RGB = np.array([0.299, 0.587, 0.114], np.float32)


def draw_scanner(rng: np.random.Generator, usual: stain.Scanner) -> stain.Scanner:
    """The scanner of one image; its stains are those of `usual`."""
    white = rng.uniform(0.78, 0.97) + rng.normal(0, 0.02, 3)
    white[2] -= rng.uniform(-0.02, 0.08)  # lamps are yellow more often than blue
    return usual._replace(
        white_rgb=np.clip(white, 0.68, 0.99),
        blur_px=float(np.exp(rng.uniform(np.log(0.4), np.log(2.2)))),
        sharpening=rng.choice([0.0, rng.uniform(0, 1.5)]),
        noise=rng.uniform(0.001, 0.025),
    )


def develop(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """What a scanner's software does: tone curve, saturation, uneven light, JPEG.

    uint8 [H, W, 3] to the same.
    """
    light = image.astype(np.float32) / 255
    light = light ** np.float32(np.exp(rng.uniform(-0.3, 0.3)))
    grey = (light @ _LUMA_RGB)[..., None]
    light = grey + np.float32(rng.uniform(0.65, 1.35)) * (light - grey)
    light *= uneven_light(rng, (image.shape[0], image.shape[1]))[..., None]
    out = np.round(np.clip(light, 0, 1) * 255).astype(np.uint8)
    if rng.uniform() < 0.8:
        out = jpeg(out, int(rng.integers(35, 96)), coarse=bool(rng.uniform() < 0.7))
    return out


def uneven_light(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Slope of the light over the image, f32 [H, W] within 6 % of 1."""
    y = np.linspace(-0.5, 0.5, size_hw[0], dtype=np.float32)[:, None]
    x = np.linspace(-0.5, 0.5, size_hw[1], dtype=np.float32)[None]
    down, across = rng.uniform(-0.06, 0.06, 2)
    return 1 + np.float32(down) * y + np.float32(across) * x


def jpeg(image: np.ndarray, quality: int, *, coarse: bool) -> np.ndarray:
    """An image uint8 [H, W, 3] after JPEG; `coarse` halves the resolution of colour."""
    from PIL import Image  # the rest works without Pillow

    kept = io.BytesIO()
    Image.fromarray(image).save(
        kept, "JPEG", quality=quality, subsampling=2 if coarse else 0
    )
    return np.asarray(Image.open(kept).convert("RGB"))
