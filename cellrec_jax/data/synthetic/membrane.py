"""Synthetic PD-L1 images: brown membranes on tumour and immune cells, four classes.

Tumour cells are large, pale and packed in nests; immune cells small, dark, round and
scattered. Some of both have a brown membrane (positive). Spindle nuclei, pigment,
debris and ghosts are not annotated. An image is a function of (seed, index) alone.

Made for Shui et al., End-to-end cell recognition by point annotation, MICCAI 2022:
PD-L1 in lung cancer, (tumour, non-tumour) x (positive, negative).
"""

from typing import NamedTuple

import numpy as np

from cellrec_jax.data import record
from cellrec_jax.data.synthetic import layout as layout_lib
from cellrec_jax.data.synthetic import nuclei as nuclei_lib
from cellrec_jax.data.synthetic import stain

CLASS_NAMES = ("tumor_positive", "tumor_negative", "immune_positive", "immune_negative")
MPP = 0.3
TUMOR_PER_MM2 = 6600.0  # inside nests, where they touch
IMMUNE_PER_MM2 = 4200.0  # of the stroma
DISTRACTORS = {
    "spindle": layout_lib.Kind(0.6, (6.0, 1.3), (0.1, 0.4), (0.0, 0.03), 0.35),
    "pigment": layout_lib.Kind(0.15, (0.9, 0.6), (0.5, 1.2), (0.6, 1.6), 0.25),
    "debris": layout_lib.Kind(0.2, (1.3, 0.8), (0.1, 0.4), (0.1, 0.7), 0.3),
    "ghost": layout_lib.Kind(0.35, (5.0, 3.2), (0.04, 0.12), (0.0, 0.05), 3.0),
}


class Slide(NamedTuple):
    """How one image was stained: factors on all its cells."""

    haematoxylin: float
    dab: float
    cytoplasm: float  # optical density of haematoxylin in the tumour cells' bodies
    blurred_share: float


class Tissue(NamedTuple):
    """All that is drawn into one image."""

    layout: layout_lib.Layout
    """Nuclei and distractors; labels i32 [N] in the order of `CLASS_NAMES`."""
    bodies: list[nuclei_lib.Body]
    """Of the layout's cells, in the same order."""
    nucleoli: list[layout_lib.Nucleus]


def make_image(
    seed: int, index: int, *, size_hw: tuple[int, int] = (640, 640), mpp: float = MPP
) -> record.Record:
    """Makes an image, uint8 RGB, with at least one cell and masks; its id is `index`.

    A point is the exact centroid of the nucleus's outline.
    """
    rng = layout_lib.image_rng(seed, index)
    tissue = plan(rng, size_hw, mpp)
    layout = tissue.layout
    scanner = stain.draw_scanner(rng, mpp)
    canvas = nuclei_lib.make_canvas(rng, size_hw, mpp)
    stain.add_background(rng, canvas, layout, mpp)
    nuclei_lib.draw(rng, canvas, layout.distractors, annotated=False)
    nuclei_lib.draw_bodies(rng, canvas, tissue.bodies, mpp)
    nuclei_lib.draw(rng, canvas, layout.cells, annotated=True)
    nuclei_lib.draw(rng, canvas, tissue.nucleoli, annotated=False)
    image = stain.scan(rng, canvas, scanner)
    return nuclei_lib.make_record(index, image, layout, canvas, mpp)


def plan(rng: np.random.Generator, size_hw: tuple[int, int], mpp: float) -> Tissue:
    """Draws all cells of one image, at least one."""
    share = rng.uniform(0.3, 0.75)  # of the image that is tumour
    field = layout_lib.noise_field(rng, size_hw, rng.uniform(16, 30) / mpp)
    nests = 1 / (1 + np.exp(-12 * (field - np.quantile(field, 1 - share))))
    slide = draw_slide(rng)
    tumor_yx, immune_yx = _place(rng, nests, mpp)
    centers_yx = np.concatenate([tumor_yx, immune_yx])
    is_tumor = np.arange(len(centers_yx)) < len(tumor_yx)
    positive = np.concatenate(
        [
            layout_lib.patchy(rng, tumor_yx, size_hw, 30 / mpp, rng.uniform(0.1, 0.85)),
            layout_lib.patchy(rng, immune_yx, size_hw, 12 / mpp, rng.uniform(0.1, 0.6)),
        ]
    )
    make = immune_cell, tumor_cell
    cells = [
        make[int(tumor)](rng, center, stained, slide, mpp)
        for center, tumor, stained in zip(centers_yx, is_tumor, positive, strict=True)
    ]
    nuclei, bodies = (list(part) for part in zip(*cells, strict=True))
    labels = (2 * ~is_tumor + ~positive).astype(np.int32)
    angle = rng.uniform(0, np.pi)
    distractors = layout_lib.scatter_distractors(
        rng,
        1 - nests,
        centers_yx,
        (slide.haematoxylin, slide.dab),
        angle,
        mpp,
        DISTRACTORS,
    )
    layout = layout_lib.Layout(
        nuclei, labels, distractors, nests.astype(np.float32), angle
    )
    return Tissue(layout, bodies, nucleoli(rng, nuclei[: len(tumor_yx)], mpp))


def _place(
    rng: np.random.Generator, nests: np.ndarray, mpp: float
) -> tuple[np.ndarray, np.ndarray]:
    """Centres of tumour cells, at least one, and of immune cells; f32 [., 2] px."""
    size = np.array(nests.shape)
    area_mm2 = size.prod() * (mpp / 1000) ** 2
    crowding = rng.lognormal(0, 0.12)
    wanted = int(np.ceil(area_mm2 * nests.mean() * TUMOR_PER_MM2 * crowding))
    tumor_yx = layout_lib.throw(rng, nests**2, wanted, 9.2 / crowding**0.5 / mpp)
    if not len(tumor_yx):
        tumor_yx = (size[None] / 2).astype(np.float32)
    crowds = layout_lib.noise_field(rng, nests.shape, 18 / mpp)
    stroma = np.clip(1 - nests, 0.025, 1) * np.clip(0.35 + 0.6 * crowds, 0.02, 1)
    wanted = rng.poisson(area_mm2 * (1 - nests).mean() * IMMUNE_PER_MM2)
    immune_yx = layout_lib.throw(rng, stroma, wanted, 6.0 / mpp)
    gap = np.linalg.norm(immune_yx[:, None] - tumor_yx[None], axis=-1).min(axis=1)
    return tumor_yx, immune_yx[gap > 7.2 / mpp]


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
) -> tuple[layout_lib.Nucleus, nuclei_lib.Body]:
    """A large cell with a pale nucleus; its membrane is brown if `positive`."""
    place = (float(center_yx[0]), float(center_yx[1]))
    ratio = np.sqrt(rng.uniform(0.65, 0.98))
    radius = 3.8 * rng.lognormal(0, 0.11) / mpp
    nucleus = layout_lib.Nucleus(
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
    body = nuclei_lib.Body(
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
) -> tuple[layout_lib.Nucleus, nuclei_lib.Body]:
    """A small cell with a dark round nucleus; see `tumor_cell`."""
    place = (float(center_yx[0]), float(center_yx[1]))
    ratio = np.sqrt(rng.uniform(0.8, 1.0))
    radius = 2.35 * rng.lognormal(0, 0.09) / mpp
    nucleus = layout_lib.Nucleus(
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
    body = nuclei_lib.Body(
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
    rng: np.random.Generator, nuclei: list[layout_lib.Nucleus], mpp: float
) -> list[layout_lib.Nucleus]:
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
