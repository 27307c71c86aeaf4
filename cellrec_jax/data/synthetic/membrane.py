"""Synthetic PD-L1 images: brown membranes on tumour and immune cells, four classes.

Tumour cells are large, pale and packed in nests; immune cells small, dark, round and
scattered between them, some inside. Of both, some have a brown membrane (positive).
Spindle nuclei, black pigment, debris and out-of-focus ghosts are not annotated. An
image is a function of (seed, index) alone, whatever else has been drawn before.

Made for the setting of Shui et al., End-to-end cell recognition by point annotation,
MICCAI 2022: PD-L1 in lung cancer, (tumour, non-tumour) x (positive, negative).
"""

from typing import NamedTuple

import numpy as np

from cellrec_jax.data import record
from cellrec_jax.data.synthetic import (
    layout as synthetic_layout,
)
from cellrec_jax.data.synthetic import (
    membrane_cells as synthetic_membrane_cells,
)
from cellrec_jax.data.synthetic import (
    nuclei as synthetic_nuclei,
)
from cellrec_jax.data.synthetic import (
    rings as synthetic_rings,
)
from cellrec_jax.data.synthetic import (
    stain as synthetic_stain,
)

CLASS_NAMES = (
    "tumor_positive",
    "tumor_negative",
    "immune_positive",
    "immune_negative",
)
MPP = 0.3
TUMOR_PER_MM2 = 6600.0  # inside nests, where they touch
IMMUNE_PER_MM2 = 4200.0  # of the stroma
DISTRACTORS = {
    "spindle": synthetic_layout.Kind(0.6, (6.0, 1.3), (0.1, 0.4), (0.0, 0.03), 0.35),
    "pigment": synthetic_layout.Kind(0.15, (0.9, 0.6), (0.5, 1.2), (0.6, 1.6), 0.25),
    "debris": synthetic_layout.Kind(0.2, (1.3, 0.8), (0.1, 0.4), (0.1, 0.7), 0.3),
    "ghost": synthetic_layout.Kind(0.35, (5.0, 3.2), (0.04, 0.12), (0.0, 0.05), 3.0),
}


class Tissue(NamedTuple):
    """All that is drawn into one image."""

    layout: synthetic_layout.Layout
    """Nuclei and distractors; labels i32 [N] in the order of `CLASS_NAMES`."""
    bodies: list[synthetic_rings.Cell]
    """Of the layout's cells, in the same order."""
    nucleoli: list[synthetic_layout.Nucleus]


def make_image(
    seed: int, index: int, *, size_hw: tuple[int, int] = (640, 640), mpp: float = MPP
) -> record.Record:
    """Makes one image.

    Args:
      seed: of the set.
      index: of the image in the set; both are >= 0.
      size_hw: height and width in px, at least 32 each.
      mpp: micrometres per px; cells grow in px as it falls.

    Returns:
      A record with uint8 RGB image, at least one cell, labels in the order of
      `CLASS_NAMES`, and instance masks of the nuclei; the image id is `index` as text.
      A point is the exact centroid of the nucleus's outline.
    """
    rng = synthetic_layout.image_rng(seed, index)
    tissue = plan(rng, size_hw, mpp)
    layout = tissue.layout
    scanner = synthetic_stain.draw_scanner(rng, mpp)
    canvas = synthetic_nuclei.make_canvas(rng, size_hw, mpp)
    synthetic_stain.add_background(rng, canvas.haematoxylin, canvas.dab, layout, mpp)
    synthetic_nuclei.draw(rng, canvas, layout.distractors, annotated=False)
    synthetic_rings.draw(rng, canvas.haematoxylin, canvas.dab, tissue.bodies, mpp)
    synthetic_nuclei.draw(rng, canvas, layout.cells, annotated=True)
    synthetic_nuclei.draw(rng, canvas, tissue.nucleoli, annotated=False)
    image = synthetic_stain.scan(rng, canvas.haematoxylin, canvas.dab, scanner)
    return synthetic_nuclei.make_record(index, image, layout, canvas, mpp)


def plan(rng: np.random.Generator, size_hw: tuple[int, int], mpp: float) -> Tissue:
    """Draws all cells of one image.

    Args:
      rng: source of all draws.
      size_hw: height and width in px.
      mpp: micrometres per px.

    Returns:
      The tissue, with at least one cell.
    """
    share = rng.uniform(0.3, 0.75)  # of the image that is tumour
    field = synthetic_layout.noise_field(rng, size_hw, rng.uniform(16, 30) / mpp)
    nests = 1 / (1 + np.exp(-12 * (field - np.quantile(field, 1 - share))))
    slide = synthetic_membrane_cells.draw_slide(rng)
    tumor_yx, immune_yx = _place(rng, nests, mpp)
    centers_yx = np.concatenate([tumor_yx, immune_yx])
    is_tumor = np.arange(len(centers_yx)) < len(tumor_yx)
    positive = np.concatenate(
        [
            _positive(rng, tumor_yx, size_hw, 30 / mpp, rng.uniform(0.1, 0.85)),
            _positive(rng, immune_yx, size_hw, 12 / mpp, rng.uniform(0.1, 0.6)),
        ]
    )
    make = synthetic_membrane_cells.immune_cell, synthetic_membrane_cells.tumor_cell
    cells = [
        make[int(tumor)](rng, center, stained, slide, mpp)
        for center, tumor, stained in zip(centers_yx, is_tumor, positive, strict=True)
    ]
    nuclei, bodies = (list(part) for part in zip(*cells, strict=True))
    labels = (2 * ~is_tumor + ~positive).astype(np.int32)
    angle = rng.uniform(0, np.pi)
    distractors = synthetic_layout.scatter_distractors(
        rng,
        1 - nests,
        centers_yx,
        (slide.haematoxylin, slide.dab),
        angle,
        mpp,
        DISTRACTORS,
    )
    layout = synthetic_layout.Layout(
        nuclei, labels, distractors, nests.astype(np.float32), angle
    )
    nucleoli = synthetic_membrane_cells.nucleoli(rng, nuclei[: len(tumor_yx)], mpp)
    return Tissue(layout, bodies, nucleoli)


def _place(
    rng: np.random.Generator, nests: np.ndarray, mpp: float
) -> tuple[np.ndarray, np.ndarray]:
    """Centres of tumour cells, at least one, and of immune cells; f32 [., 2] px."""
    size = np.array(nests.shape)
    area_mm2 = size.prod() * (mpp / 1000) ** 2
    crowding = rng.lognormal(0, 0.12)
    wanted = int(np.ceil(area_mm2 * nests.mean() * TUMOR_PER_MM2 * crowding))
    tumor_yx = _throw(rng, nests**2, wanted, 9.2 / crowding**0.5 / mpp)
    if not len(tumor_yx):
        tumor_yx = (size[None] / 2).astype(np.float32)
    crowds = synthetic_layout.noise_field(rng, nests.shape, 18 / mpp)
    stroma = np.clip(1 - nests, 0.025, 1) * np.clip(0.35 + 0.6 * crowds, 0.02, 1)
    wanted = rng.poisson(area_mm2 * (1 - nests).mean() * IMMUNE_PER_MM2)
    immune_yx = _throw(rng, stroma, wanted, 6.0 / mpp)
    gap = np.linalg.norm(immune_yx[:, None] - tumor_yx[None], axis=-1).min(axis=1)
    return tumor_yx, immune_yx[gap > 7.2 / mpp]


def _throw(
    rng: np.random.Generator, chance: np.ndarray, wanted: int, apart_px: float
) -> np.ndarray:
    """Places up to `wanted` points by chance, each at least so far from all others."""
    tries = rng.uniform(1, np.array(chance.shape) - 1, (80 * wanted, 2))
    tries = tries[rng.uniform(size=len(tries)) < chance[tuple(tries.astype(int).T)]]
    tries = tries.astype(np.float32)
    gaps = apart_px * rng.uniform(1.0, 1.2, len(tries))
    kept: list[int] = []
    for index, (place, gap) in enumerate(zip(tries, gaps, strict=True)):
        if len(kept) == wanted:
            break
        if np.all(np.hypot(*(tries[kept] - place).T) > gap):
            kept.append(index)
    return tries[kept]


def _positive(
    rng: np.random.Generator,
    centers_yx: np.ndarray,
    size_hw: tuple[int, int],
    patch_px: float,
    share: float,
) -> np.ndarray:
    """Which cells are stained, neighbours alike more often than not; bool [N]."""
    field = synthetic_layout.noise_field(rng, size_hw, patch_px)
    mixed = 1.2 * field[tuple(centers_yx.astype(int).T)]
    mixed = mixed + rng.standard_normal(len(centers_yx))
    return mixed > np.quantile(mixed, 1 - share) if len(mixed) else mixed > 0
