"""Synthetic H&E images with a few annotated mitoses among many nuclei, one class.

Mitoses are ragged clumps and plates of chromatin without a membrane, in cells whose
cytoplasm is clear; one in division's end is two plates and one cell. Nuclei of the
tumour, lymphocytes, spindle nuclei and look-alikes of mitoses (pyknotic nuclei, smooth
and round in cells that are often pink, dark intact ones, crushed ones) are not
annotated. An image is a
function of (seed, index) alone.

Made for Li et al., A Robust Training Method for Pathological Cellular Detector via
Spatial Loss Calibration, Front. Med. 2021: MITOS-ATYPIA-14, 1.9 mitoses an image,
"embedded" among hundreds of other cells. It stands for that set's task, not its looks.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from cellrec_jax.data import record
from cellrec_jax.data.synthetic import layout as layout_lib
from cellrec_jax.data.synthetic import nuclei as nuclei_lib
from cellrec_jax.data.synthetic import stain

CLASS_NAMES = ("mitosis",)
MPP = 0.3
EOSIN_RGB = np.array([0.072, 0.990, 0.105])
"""Optical density of eosin in red, green, blue, as `stain.HAEMATOXYLIN_RGB`."""
MOST_MITOSES = 5
_MANY = (0.42, 0.28, 0.16, 0.09, 0.05)  # of 1 to 5: 2.1 on average
_PER_MM2 = 5200.0  # nuclei inside nests
_DENSEST = 1.7  # optical density of chromatin where clumps lie on each other
_TINTS = np.array([[0.0, 0.0, 0.05], [0.02, 0.0, 0.05]])
_MARGIN_UM = 9.0  # between a mitosis and the border, if the image has so much room
_ENCLOSED_UM = 4.0  # half of the widest gap that belongs to a figure
_LOOKALIKES_PER_MM2 = 500.0
_STROMA = {
    "lymphocyte": layout_lib.Kind(0.35, (2.3, 2.0), (0.6, 1.1), (0.0, 0.05), 0.3),
    "spindle": layout_lib.Kind(0.7, (6.0, 1.4), (0.35, 0.9), (0.0, 0.05), 0.35),
    "ghost": layout_lib.Kind(0.3, (5.0, 3.4), (0.08, 0.2), (0.0, 0.1), 3.0),
}


class Slide(NamedTuple):
    """How one image was stained: factors on all its cells."""

    haematoxylin: float
    eosin: float


class Figure(NamedTuple):
    """A mitosis, or what looks like one, before it is drawn."""

    center_yx: tuple[float, float]  # px
    clumps: list[layout_lib.Nucleus]
    reach_px: float  # radius of the cell around it
    eosin: float  # of the cell, times what was there: below 1 it is clear


class Tissue(NamedTuple):
    """All that is drawn into one image."""

    layout: layout_lib.Layout
    """Its cells are the nuclei of the tumour, which are not annotated; no labels."""
    mitoses: list[Figure]
    lookalikes: list[Figure]
    slide: Slide


def make_image(
    seed: int, index: int, *, size_hw: tuple[int, int] = (640, 640), mpp: float = MPP
) -> record.Record:
    """Makes an image, uint8 RGB, of 1 to `MOST_MITOSES` mitoses; its id is `index`.

    Masks are of the mitoses' chromatin and what it encloses, as between two plates; a
    point is the centroid of its mask.
    """
    rng = layout_lib.image_rng(seed, index)
    tissue = plan(rng, size_hw, mpp)
    scanner = _draw_scanner(rng, mpp)
    canvas = nuclei_lib.make_canvas(rng, size_hw, mpp)
    _add_background(rng, canvas, tissue, mpp)
    nuclei_lib.draw(rng, canvas, tissue.layout.distractors, annotated=False)
    nuclei_lib.draw(rng, canvas, tissue.layout.cells, annotated=False)
    for figure in tissue.lookalikes:
        _draw_figure(rng, canvas, figure)
    points = []
    for number, figure in enumerate(tissue.mitoses, start=1):
        chromatin = _draw_figure(rng, canvas, figure)
        inside = _closed(chromatin, _ENCLOSED_UM / mpp) & (canvas.masks == 0)
        canvas.masks[inside] = number
        points.append(np.argwhere(inside).mean(axis=0) + 0.5)
    return record.Record(
        image_id=str(index),
        image=stain.scan(rng, canvas, scanner),
        points_yx=np.array(points, np.float32),
        labels=np.zeros(len(points), np.int32),
        masks=canvas.masks,
        mpp=mpp,
    )


def plan(rng: np.random.Generator, size_hw: tuple[int, int], mpp: float) -> Tissue:
    """Draws all cells of an image; mitoses and look-alikes stand where nuclei would."""
    share = rng.uniform(0.5, 0.85)  # of the image that is tumour
    field = layout_lib.noise_field(rng, size_hw, rng.uniform(18, 34) / mpp)
    nests = 1 / (1 + np.exp(-10 * (field - np.quantile(field, 1 - share))))
    slide = Slide(rng.lognormal(0, 0.15), rng.lognormal(0, 0.2))
    area_mm2 = nests.size * (mpp / 1000) ** 2
    wanted = rng.choice(np.arange(1, MOST_MITOSES + 1), p=_MANY)
    apart_px = 10.5 / mpp
    mitoses_yx = _place_mitoses(rng, nests, int(wanted), mpp)
    number = rng.poisson(area_mm2 * nests.mean() * _LOOKALIKES_PER_MM2)
    lookalikes_yx = layout_lib.throw(
        rng, nests, number, 1.3 * apart_px, taken_yx=mitoses_yx
    )
    taken_yx = np.concatenate([mitoses_yx, lookalikes_yx])
    crowding = rng.lognormal(0, 0.15)
    number = int(np.ceil(area_mm2 * nests.mean() * _PER_MM2 * crowding))
    centers_yx = layout_lib.throw(
        rng, nests**2, number, apart_px / crowding**0.5, taken_yx=taken_yx
    )
    blurred = rng.choice([0.03, 0.1, 0.2])
    cells = [_nucleus(rng, center, slide, blurred, mpp) for center in centers_yx]
    angle = rng.uniform(0, np.pi)
    strengths = (slide.haematoxylin, slide.eosin)
    everything_yx = np.concatenate([taken_yx, centers_yx])
    distractors = layout_lib.scatter_distractors(
        rng, 1 - nests, everything_yx, strengths, angle, mpp, _STROMA
    )
    layout = layout_lib.Layout(
        cells, np.zeros(0, np.int32), distractors, nests.astype(np.float32), angle
    )
    return Tissue(
        layout,
        [_mitosis(rng, center, slide, mpp) for center in mitoses_yx],
        [_lookalike(rng, center, slide, mpp) for center in lookalikes_yx],
        slide,
    )


def _place_mitoses(
    rng: np.random.Generator, nests: np.ndarray, wanted: int, mpp: float
) -> np.ndarray:
    """Centres of 1 to `wanted` mitoses inside nests, f32 [., 2] px."""
    size_hw = np.array(nests.shape)
    margin = np.minimum(_MARGIN_UM / mpp, size_hw // 4).astype(int)
    inside = np.zeros(nests.shape, bool)
    inside[margin[0] : -margin[0], margin[1] : -margin[1]] = True
    found = layout_lib.throw(
        rng, nests * inside, wanted, 20.0 / mpp, tries_per_point=400
    )
    return found if len(found) else (size_hw[None] / 2).astype(np.float32)


def _nucleus(
    rng: np.random.Generator,
    center_yx: np.ndarray,
    slide: Slide,
    blurred: float,
    mpp: float,
) -> layout_lib.Nucleus:
    """An intact nucleus of the tumour: large, grained, with a membrane."""
    ratio = np.sqrt(rng.uniform(0.55, 0.95))
    radius = 3.7 * rng.lognormal(0, 0.16) / mpp
    edges = (0.35, 0.7) if rng.uniform() < blurred else (0.08, 0.2)
    return layout_lib.Nucleus(
        _pair(center_yx),
        (radius / ratio, radius * ratio),
        rng.uniform(0, np.pi),
        rng.uniform(0.02, 0.08),
        0.48 * rng.lognormal(0, 0.3) * slide.haematoxylin,
        rng.uniform(0.0, 0.08) * slide.eosin,
        rng.uniform(0.3, 0.8),
        rng.uniform(0.2, 0.8),
        radius * rng.uniform(*edges),
    )


def _mitosis(
    rng: np.random.Generator, center_yx: np.ndarray, slide: Slide, mpp: float
) -> Figure:
    """A clump, a plate or two plates of dense chromatin in a clear cell."""
    angle = rng.uniform(0, np.pi)
    kind = rng.choice(["clump", "plate", "plates"], p=[0.4, 0.4, 0.2])
    if kind == "clump":
        centers = rng.normal(0, rng.uniform(0.9, 1.5, 2), (rng.integers(7, 12), 2))
    else:
        length = rng.uniform(3.4, 5.2)
        along = np.linspace(-length, length, rng.integers(8, 14))
        plate = rng.normal(0, 0.3, (len(along), 2)) + along[:, None] * [0, 1]
        gap = rng.uniform(2.0, 3.6)
        centers = plate
        if kind == "plates":
            centers = np.concatenate([0.8 * plate - (gap, 0), 0.8 * plate + (gap, 0)])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    dense = rng.uniform(0.45, 1.1) * slide.haematoxylin
    clumps = [
        _clump(rng, center_yx + offset / mpp, dense, 1.15, (0.12, 0.3), mpp)
        for offset in centers @ turn
    ]
    reach = rng.uniform(6.0, 9.0) / mpp
    return Figure(_pair(center_yx), clumps, reach, rng.uniform(0.4, 0.9))


def _lookalike(
    rng: np.random.Generator, center_yx: np.ndarray, slide: Slide, mpp: float
) -> Figure:
    """What is taken for a mitosis and is none."""
    make = (_pyknotic, _dark_nucleus, _crushed)[rng.choice(3, p=[0.35, 0.4, 0.25])]
    return make(rng, center_yx, slide, mpp)


def _pyknotic(
    rng: np.random.Generator, center_yx: np.ndarray, slide: Slide, mpp: float
) -> Figure:
    """A shrunken smooth nucleus, perhaps in pieces, in a cell that is often pink."""
    dense = rng.uniform(0.8, 1.6) * slide.haematoxylin
    whole = _clump(rng, center_yx, dense, rng.uniform(1.6, 2.6), (0.01, 0.06), mpp)
    pieces = [
        _clump(rng, center_yx + offset / mpp, dense, 0.8, (0.01, 0.06), mpp)
        for offset in rng.normal(0, 2.4, (rng.choice([0, 0, 1, 2, 3]), 2))
    ]
    reach = rng.uniform(3.6, 6.5) / mpp
    return Figure(_pair(center_yx), [whole, *pieces], reach, rng.uniform(0.7, 2.0))


def _dark_nucleus(
    rng: np.random.Generator, center_yx: np.ndarray, slide: Slide, mpp: float
) -> Figure:
    """An intact nucleus, small, dark and of uneven outline."""
    nucleus = _nucleus(rng, center_yx, slide, 0.3, mpp)
    dark = nucleus._replace(
        radii=tuple(rng.uniform(0.6, 0.95) * np.array(nucleus.radii)),
        roughness=rng.uniform(0.05, 0.16),
        haematoxylin=rng.uniform(0.8, 1.4) * slide.haematoxylin,
        rim=0.0,
    )
    reach = rng.uniform(5.0, 8.0) / mpp
    return Figure(_pair(center_yx), [dark], reach, rng.uniform(0.6, 1.2))


def _crushed(
    rng: np.random.Generator, center_yx: np.ndarray, slide: Slide, mpp: float
) -> Figure:
    """A dark streak as long as a plate, of smoother outline."""
    dense = rng.uniform(0.8, 1.5) * slide.haematoxylin
    streak = _clump(rng, center_yx, dense, 1.0, (0.06, 0.14), mpp)
    radii = (rng.uniform(3.0, 5.0) / mpp, rng.uniform(0.9, 1.5) / mpp)
    reach = rng.uniform(5.0, 8.0) / mpp
    clumps = [streak._replace(radii=radii)]
    return Figure(_pair(center_yx), clumps, reach, rng.uniform(0.6, 1.2))


def _clump(
    rng: np.random.Generator,
    center_yx: np.ndarray,
    haematoxylin: float,
    radius_um: float,
    roughness: tuple[float, float],
    mpp: float,
) -> layout_lib.Nucleus:
    """A piece of dense chromatin."""
    radius = radius_um * rng.lognormal(0, 0.15) / mpp
    ratio = np.sqrt(rng.uniform(0.65, 1.0))
    return layout_lib.Nucleus(
        _pair(center_yx),
        (radius / ratio, radius * ratio),
        rng.uniform(0, np.pi),
        rng.uniform(*roughness),
        haematoxylin,
        0.0,
        rng.uniform(0.05, 0.25),
        0.0,
        max(1.0, 0.25 / mpp),
    )


def _draw_scanner(rng: np.random.Generator, mpp: float) -> stain.Scanner:
    """As `stain.draw_scanner`, with eosin in the place of DAB and a whiter ground."""
    scanner = stain.draw_scanner(rng, mpp)
    stains = np.stack([stain.HAEMATOXYLIN_RGB, EOSIN_RGB])
    stains += rng.normal(_TINTS, 0.025)
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    white = np.clip(scanner.white_rgb + 0.06, 0.7, 0.98)
    return scanner._replace(stains_rgb=stains, white_rgb=white)


def _add_background(
    rng: np.random.Generator, canvas: nuclei_lib.Canvas, tissue: Tissue, mpp: float
) -> None:
    """Adds the tumour's cytoplasm, the stroma's fibres and clear clefts, in place."""
    nests, slide = tissue.layout.nests, tissue.slide
    size_hw = (nests.shape[0], nests.shape[1])
    fine = layout_lib.noise_field(rng, size_hw, 1.2 / mpp)
    patches = layout_lib.noise_field(rng, size_hw, 5 / mpp)
    coarse = layout_lib.noise_field(rng, size_hw, 16 / mpp)
    cytoplasm = nests * np.clip(0.8 + 0.25 * patches + 0.12 * fine, 0.1, None)
    strands = stain.fibre_field(rng, patches, tissue.layout.fibre_angle, mpp)
    stroma = (1 - nests) * np.clip(0.5 + 0.6 * strands + 0.15 * fine, 0.05, None)
    clefts = 1 / (1 + np.exp(-10 * (coarse - 1.5)))  # glass between the tissue
    pink, violet, fibrous = rng.uniform((0.16, 0.04, 0.2), (0.28, 0.12, 0.36))
    tissue_is = 1 - 0.9 * clefts
    canvas.dab[...] += slide.eosin * (pink * cytoplasm + fibrous * stroma) * tissue_is
    canvas.haematoxylin[...] += slide.haematoxylin * violet * cytoplasm * tissue_is


def _draw_figure(
    rng: np.random.Generator, canvas: nuclei_lib.Canvas, figure: Figure
) -> np.ndarray:
    """Adds a figure and its cell, in place; where its chromatin is, bool [H, W]."""
    haematoxylin, dab, masks, depth = map(np.zeros_like, canvas[:4])
    own = nuclei_lib.Canvas(haematoxylin, dab, masks, depth, canvas.grain)
    nuclei_lib.draw(rng, own, figure.clumps, annotated=True)
    y, x = np.ogrid[: own.masks.shape[0], : own.masks.shape[1]]
    away = np.hypot(y + 0.5 - figure.center_yx[0], x + 0.5 - figure.center_yx[1])
    body = np.clip(1.2 - away / figure.reach_px, 0, 0.2) / 0.2  # 1 inside the cell
    factor = 1 + (figure.eosin - 1) * body
    canvas.dab[...] *= factor
    canvas.haematoxylin[...] *= np.minimum(factor, 1)
    canvas.haematoxylin[...] += np.minimum(own.haematoxylin, _DENSEST)
    return own.masks > 0


def _closed(inside: np.ndarray, radius_px: float) -> np.ndarray:
    """A shape, bool [H, W], with its gaps that no disc of the radius fits into."""
    reach = int(np.ceil(radius_px)) + 1
    padded = np.pad(inside, reach)
    near = ndimage.distance_transform_edt(~padded) <= radius_px
    closed = ndimage.distance_transform_edt(near) > radius_px
    return (closed | padded)[reach:-reach, reach:-reach]


def _pair(center_yx: np.ndarray) -> tuple[float, float]:
    return float(center_yx[0]), float(center_yx[1])
