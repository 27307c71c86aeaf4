"""Cells of synthetic PD-L1 images: what they look like, not where they are."""

from typing import NamedTuple

import numpy as np

from cellrec_jax.data.synthetic import (
    layout as synthetic_layout,
)
from cellrec_jax.data.synthetic import (
    rings as synthetic_rings,
)


class Slide(NamedTuple):
    """How one image was stained: factors on all its cells."""

    haematoxylin: float
    dab: float
    cytoplasm: float
    """Optical density of haematoxylin in the tumour cells' bodies."""
    blurred_share: float


def draw_slide(rng: np.random.Generator) -> Slide:
    """Draws how one image was stained."""
    return Slide(
        rng.lognormal(0, 0.2),
        rng.lognormal(0, 0.2),
        rng.uniform(0.02, 0.08),
        rng.choice([0.02, 0.08, 0.15]),
    )


def tumor_cell(
    rng: np.random.Generator,
    center_yx: np.ndarray,
    positive: bool,
    slide: Slide,
    mpp: float,
) -> tuple[synthetic_layout.Nucleus, synthetic_rings.Cell]:
    """A large cell with a pale nucleus; its membrane is brown if `positive`.

    Args:
      rng: source of all draws.
      center_yx: f32 [2] of the nucleus, px.
      positive: whether the membrane is stained.
      slide: of the image.
      mpp: micrometres per px.

    Returns:
      The nucleus, and the body around it.
    """
    place = (float(center_yx[0]), float(center_yx[1]))
    ratio = np.sqrt(rng.uniform(0.65, 0.98))
    radius = 3.8 * rng.lognormal(0, 0.11) / mpp
    nucleus = synthetic_layout.Nucleus(
        place,
        (radius / ratio, radius * ratio),
        rng.uniform(0, np.pi),
        rng.uniform(0.02, 0.08),
        0.24 * rng.lognormal(0, 0.25) * slide.haematoxylin,
        rng.uniform(0, 0.02),
        rng.uniform(0.3, 0.7),
        rng.uniform(0.3, 0.8),
        radius * rng.uniform(*_edges(rng, slide)),
    )
    weak = rng.uniform() < 0.25
    wall = rng.uniform(*((0.35, 0.6) if weak else (0.7, 1.7))) * slide.dab
    body = synthetic_rings.Cell(
        place,
        rng.uniform(7.2, 8.4) / mpp,
        wall if positive else 0.0,
        wall * rng.uniform(0.03, 0.2) if positive else rng.uniform(0, 0.02),
        slide.cytoplasm * rng.uniform(0.6, 1.4),
        rng.uniform(0.3, 0.8) if weak else rng.uniform(0, 0.4),
    )
    return nucleus, body


def immune_cell(
    rng: np.random.Generator,
    center_yx: np.ndarray,
    positive: bool,
    slide: Slide,
    mpp: float,
) -> tuple[synthetic_layout.Nucleus, synthetic_rings.Cell]:
    """A small cell with a dark round nucleus; see `tumor_cell`."""
    place = (float(center_yx[0]), float(center_yx[1]))
    ratio = np.sqrt(rng.uniform(0.8, 1.0))
    radius = 2.35 * rng.lognormal(0, 0.09) / mpp
    nucleus = synthetic_layout.Nucleus(
        place,
        (radius / ratio, radius * ratio),
        rng.uniform(0, np.pi),
        rng.uniform(0.02, 0.06),
        rng.uniform(0.5, 0.85) * slide.haematoxylin,
        rng.uniform(0, 0.03),
        rng.uniform(0.2, 0.5),
        rng.uniform(0, 0.3),
        radius * rng.uniform(*_edges(rng, slide)),
    )
    wall = rng.uniform(0.6, 1.5) * slide.dab
    body = synthetic_rings.Cell(
        place,
        radius + rng.uniform(0.9, 1.8) / mpp,
        wall if positive else 0.0,
        wall * rng.uniform(0.1, 0.5) if positive else 0.0,
        0.5 * slide.cytoplasm,
        rng.uniform(0, 0.5),
    )
    return nucleus, body


def _edges(rng: np.random.Generator, slide: Slide) -> tuple[float, float]:
    """Range of the width of a nucleus's edge, as a share of its radius."""
    return (0.35, 0.7) if rng.uniform() < slide.blurred_share else (0.08, 0.2)


def nucleoli(
    rng: np.random.Generator, nuclei: list[synthetic_layout.Nucleus], mpp: float
) -> list[synthetic_layout.Nucleus]:
    """Dark grains inside most tumour nuclei."""
    made = []
    for nucleus in nuclei:
        for _ in range(rng.choice([0, 1, 1, 2])):
            offset = rng.normal(0, 0.25, 2) * nucleus.radii[1]
            radius = rng.uniform(0.55, 0.9) / mpp
            made.append(
                nucleus._replace(
                    center_yx=tuple(np.add(nucleus.center_yx, offset)),
                    radii=(radius, radius),
                    haematoxylin=0.9 * nucleus.haematoxylin,
                    dab=0.0,
                    grain=0.0,
                    rim=0.0,
                    edge_px=max(nucleus.edge_px, radius),
                )
            )
    return made
