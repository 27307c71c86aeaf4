"""How strongly and in which colours a slide may be stained: a range, not one lab's.

Haematoxylin of Ruifrok and Johnston, Quantification of histochemical staining by colour
deconvolution, 2001, Table 1, and of Macenko et al., A method for normalizing histology
slides for quantitative analysis, ISBI 2009, as its reference matrix is passed on; DAB
and eosin of the former. What Ki-67 slides show is bluer than both, see `stain.TINTS`.
"""

import numpy as np

from cellrec_jax.data.synthetic import stain

MACENKO_HAEMATOXYLIN_RGB = np.array([0.563, 0.720, 0.406])
EOSIN_RGB = np.array([0.072, 0.990, 0.105])
TISSUE_RGB = np.array([0.50, 0.56, 0.66])
"""Unstained protein under the lamp: a faint warm grey."""


def draw_stains(rng: np.random.Generator) -> np.ndarray:
    """Optical densities of haematoxylin and DAB, f64 [2, 3], rows of unit length."""
    share = rng.uniform(0, 0.6)  # of Macenko's
    blue = (1 - share) * stain.HAEMATOXYLIN_RGB + share * MACENKO_HAEMATOXYLIN_RGB
    stains = np.stack([blue, stain.DAB_RGB])
    stains += rng.uniform(-0.1, 1.5, (2, 1)) * stain.TINTS + rng.normal(0, 0.04, (2, 3))
    stains = np.clip(stains, 0.02, None)
    return stains / np.linalg.norm(stains, axis=1, keepdims=True)


def draw_strengths(rng: np.random.Generator) -> np.ndarray:
    """Factors of haematoxylin and DAB of one image, [2], 0.4 to 2.4 times."""
    return np.exp(rng.uniform(np.log((0.4, 0.6)), np.log((2.4, 1.8))))


def draw_tint(rng: np.random.Generator) -> np.ndarray:
    """Optical density of tissue without a nucleus, f32 [3]; sometimes eosin-like."""
    grey = rng.uniform(0, 0.1) * TISSUE_RGB
    pink = rng.uniform(0, 0.05) * (rng.uniform() < 0.2) * EOSIN_RGB
    return (grey + pink).astype(np.float32)
