"""Synthetic cytoplasm stains: brown tumour cells in clusters, about 2.4 others to one.

Tumour cells touch in nests; their membrane and cytoplasm are brown, strongly or weakly.
Unstained epithelium is as packed, lymphocytes and stroma lie between. Look-alikes are
weakly brown without being tumour: part of the epithelium, and macrophages; their
neighbours tell them from weak tumour cells better than their colour. An image is a
function of (seed, index) alone.

Made for Zhang et al., Weakly supervised learning for cell recognition in
immunohistochemical cytoplasm staining images, ISBI 2022: positive tumour cells (dark or
weak brown) against all other cells, which is `CLASSES`.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from cellrec_jax.data import record
from cellrec_jax.data.synthetic import cytoplasm_layout as places
from cellrec_jax.data.synthetic import layout as layout_lib
from cellrec_jax.data.synthetic import membrane as membrane_lib
from cellrec_jax.data.synthetic import nuclei as nuclei_lib
from cellrec_jax.data.synthetic import stain

CLASS_NAMES = places.CLASS_NAMES
CLASSES = places.CLASSES
MPP = 0.3
DAB = {
    "tumor_strong": (0.6, 1.6),
    "tumor_weak": (0.15, 0.45),
    "lookalike": (0.1, 0.36),
    "macrophage": (0.15, 0.7),
    "epithelium": (0.0, 0.03),
}
"""Ranges of a cell's brown in optical density, before the slide's factor; the others
have none."""
_ANTIBODIES = (
    ((0.9, 1.0), (0.12, 0.35)),
    ((0.1, 0.6), (0.65, 1.0)),
    ((0.8, 1.0), (0.4, 0.8)),
)
"""Membranous, cytoplasmic and both: ranges of the shares of a cell's brown that its
membrane and its cytoplasm have."""
HIDDEN_SHARE = 0.12
"""Of the nuclei; brown cytoplasm covers them."""
WAVES_UM = 1.0
"""How far outlines stray from ellipses."""
DISTRACTORS = {
    "debris": layout_lib.Kind(0.2, (1.2, 0.8), (0.1, 0.4), (0.1, 0.6), 0.3),
    "ghost": layout_lib.Kind(0.3, (5.0, 3.2), (0.03, 0.1), (0.0, 0.1), 3.0),
}


class Slide(NamedTuple):
    """How one image was stained, and which way its fibres run."""

    stains: membrane_lib.Slide
    wall: float  # share of a tumour cell's brown that its membrane has
    body: float  # share that its cytoplasm has
    granularity: float  # how uneven the brown of the cytoplasm is, 0 to 1
    fibre_angle: float


def make_image(
    seed: int, index: int, *, size_hw: tuple[int, int] = (640, 640), mpp: float = MPP
) -> record.Record:
    """Makes an image, uint8 RGB, with at least one cell and masks; its id is `index`.

    A point is the centroid of the nucleus's outline, a mask the whole cell.
    """
    rng = layout_lib.image_rng(seed, index)
    regions = places.draw_regions(rng, size_hw, mpp)
    slide = draw_slide(rng)
    tissue = plan(rng, regions, slide, mpp)
    layout = tissue.layout
    scanner = stain.draw_scanner(rng, mpp)
    canvas = nuclei_lib.make_canvas(rng, size_hw, mpp)
    stain.add_background(rng, canvas, layout, mpp)
    haze = ndimage.gaussian_filter(regions.lookalike.astype(np.float32), 3 / mpp)
    canvas.dab[:] += rng.uniform(0, 0.08) * haze
    nuclei_lib.draw(rng, canvas, layout.distractors, annotated=False)
    nuclei_lib.draw(rng, canvas, layout.cells, annotated=True)
    nuclei_lib.draw(rng, canvas, tissue.nucleoli, annotated=False)
    brown = np.zeros(size_hw, np.float32)
    cells = nuclei_lib.draw_bodies(
        rng,
        canvas._replace(dab=brown),
        tissue.bodies,
        mpp,
        waves_um=WAVES_UM,
        granularity=slide.granularity,
    )
    canvas.dab[:] += brown * _spared(rng, canvas.masks, len(layout.cells), mpp)
    image = stain.scan(rng, canvas, scanner)
    masks = np.where(canvas.masks > 0, canvas.masks, cells)
    return nuclei_lib.make_record(
        index, image, layout, canvas._replace(masks=masks), mpp
    )


def tissue_map(
    seed: int, index: int, *, size_hw: tuple[int, int] = (640, 640), mpp: float = MPP
) -> np.ndarray:
    """Where the tumour nests of `make_image(seed, index)` truly lie; bool [H, W].

    For study only: no training image carries it. Tumour cells stand inside alone.
    """
    return places.draw_regions(layout_lib.image_rng(seed, index), size_hw, mpp).tumor


def plan(
    rng: np.random.Generator, regions: places.Regions, slide: Slide, mpp: float
) -> membrane_lib.Tissue:
    """Draws all cells of one image, at least one."""
    centers_yx, labels = places.place(rng, regions, mpp)
    cells = [
        draw_cell(rng, CLASS_NAMES[label], center_yx, slide, mpp)
        for center_yx, label in zip(centers_yx, labels, strict=True)
    ]
    nuclei, bodies = (list(part) for part in zip(*cells, strict=True))
    nests = (regions.tumor | regions.epithelium).astype(np.float32)
    nests = ndimage.gaussian_filter(nests, 2 / mpp)
    distractors = layout_lib.scatter_distractors(
        rng,
        1 - nests,
        centers_yx,
        (slide.stains.haematoxylin, slide.stains.dab),
        slide.fibre_angle,
        mpp,
        DISTRACTORS,
    )
    layout = layout_lib.Layout(nuclei, labels, distractors, nests, slide.fibre_angle)
    large = [
        nuclei[index] for index in np.flatnonzero(labels <= places.ID["epithelium"])
    ]
    return membrane_lib.Tissue(layout, bodies, membrane_lib.nucleoli(rng, large, mpp))


def draw_slide(rng: np.random.Generator) -> Slide:
    """Draws how one image was stained, by one of three antibodies."""
    wall, body = _ANTIBODIES[rng.integers(len(_ANTIBODIES))]
    return Slide(
        membrane_lib.draw_slide(rng),
        rng.uniform(*wall),
        rng.uniform(*body),
        rng.uniform(0.2, 1.0),
        rng.uniform(0, np.pi),
    )


def draw_cell(
    rng: np.random.Generator,
    name: str,
    center_yx: np.ndarray,
    slide: Slide,
    mpp: float,
) -> tuple[layout_lib.Nucleus, nuclei_lib.Body]:
    """A cell of class `name` of `CLASS_NAMES`: its nucleus and its body."""
    if name == "lymphocyte":
        return membrane_lib.immune_cell(rng, center_yx, False, slide.stains, mpp)
    if name == "stroma":
        return _stromal_cell(rng, center_yx, slide, mpp)
    nucleus, body = membrane_lib.tumor_cell(rng, center_yx, False, slide.stains, mpp)
    dab = rng.uniform(*DAB[name]) * slide.stains.dab
    wall, filled = slide.wall, slide.body
    if name in ("lookalike", "macrophage"):  # it never binds to their membranes
        wall, filled = rng.uniform(0, 0.4), rng.uniform(0.7, 1.0)
    size = rng.lognormal(0, 0.12)
    if name == "macrophage":
        radii = nucleus.radii[0] * 0.75, nucleus.radii[1] * 0.65
        nucleus = nucleus._replace(radii=radii, haematoxylin=1.4 * nucleus.haematoxylin)
        size *= 0.85
    return nucleus, body._replace(
        radius=size * rng.uniform(7.8, 9.8) / mpp,
        wall_dab=wall * dab,
        body_dab=filled * dab,
        gaps=rng.uniform(0.1, 0.6),
        aspect=rng.uniform(0.65, 1.0),
        angle=rng.uniform(0, np.pi),
    )


def _stromal_cell(
    rng: np.random.Generator, center_yx: np.ndarray, slide: Slide, mpp: float
) -> tuple[layout_lib.Nucleus, nuclei_lib.Body]:
    """A spindle along the fibres; no more than its nucleus is seen."""
    place = (float(center_yx[0]), float(center_yx[1]))
    radii = np.array((5.2, 1.5)) * rng.lognormal(0, 0.18, 2) / mpp
    nucleus = layout_lib.Nucleus(
        place,
        (radii[0], radii[1]),
        slide.fibre_angle + rng.normal(0, 0.35),
        rng.uniform(0.03, 0.12),
        rng.uniform(0.2, 0.55) * slide.stains.haematoxylin,
        rng.uniform(0, 0.03),
        rng.uniform(0.1, 0.5),
        rng.uniform(0, 0.3),
        rng.uniform(0.25, 0.6) / mpp,
    )
    return nucleus, nuclei_lib.Body(place, 0.0, 0.0, 0.0, 0.0, 0.0)


def _spared(
    rng: np.random.Generator, nuclei: np.ndarray, num_cells: int, mpp: float
) -> np.ndarray:
    """Share of the bodies' brown that is seen, f32 [H, W]: less on most nuclei.

    `nuclei` i32 [H, W] are their instance ids.
    """
    seen = np.full(num_cells, rng.uniform(0.05, 0.5))  # the thicker the cut, the more
    hidden = rng.uniform(size=num_cells) < HIDDEN_SHARE
    seen[hidden] = rng.uniform(0.7, 1.0, hidden.sum())
    by_id = np.append(1.0, seen).astype(np.float32)
    return ndimage.gaussian_filter(by_id[nuclei], 0.3 / mpp)
