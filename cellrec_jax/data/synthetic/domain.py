"""Ki-67 images of many labs: the generator of `source` with its ranges widened.

For networks that are to work on slides nobody generated (domain randomisation: Tobin et
al., Domain randomization for transferring deep neural networks from simulation to the
real world, IROS 2017). Each knob widens one thing and draws by a generator of its own,
so switching one leaves the draws of the others as they are:

    stains      colours and strengths of stains, tint of the tissue     looks alone
    scanner     white point, blur, noise, tone curve, JPEG              looks alone
    scale       0.2 to 0.8 um per px                                    where cells lie
    shapes      outlines, chromatin, nucleoli, weak positives           outlines
    crowding    kinds of tissue, lumens, share of positives             where cells lie
    focus       pale and blurred nuclei; those in doubt are ignored     looks, `ignore`
    stroma      fibres, fibroblasts, lymphocytes                        adds cells
    lookalikes  debris, haze, pigment, red cells, folds, crystals       looks alone

Without any it makes the images of `source.make_image`.
"""

from collections.abc import Collection
import dataclasses
from typing import NamedTuple

import numpy as np

from cellrec_jax.config.domain import KNOBS
from cellrec_jax.data import record
from cellrec_jax.data.synthetic import (
    chromatin,
    focus,
    lookalikes,
    stain,
    stain_range,
    tissue,
)
from cellrec_jax.data.synthetic import layout as layout_lib
from cellrec_jax.data.synthetic import nuclei as nuclei_lib
from cellrec_jax.data.synthetic import scanner as scanner_lib
from cellrec_jax.data.synthetic import stroma as stroma_lib

MPP = 0.3
MPP_RANGE = (0.2, 0.8)
FAINT = 0.04
"""Optical density below which nuclei of a weakly stained slide are in doubt."""
_REPLACED = {
    "lymphocyte": "stroma",
    "spindle": "stroma",
    "brown spindle": "stroma",
    "debris": "lookalikes",
    "ghost": "focus",
}
"""The usual generator's distractors, by the knob that draws its own in their place."""

Rngs = dict[str, np.random.Generator]


class Scene(NamedTuple):
    """What lies on one slide before it is stained and scanned."""

    layout: layout_lib.Layout
    glass: np.ndarray  # f32 [H, W] in [0, 1]; 1 where there is no tissue
    doubtful: list[layout_lib.Nucleus]  # drawn; neither cells nor background
    grains: list[layout_lib.Nucleus]  # inside of nuclei
    doubt: np.ndarray  # bool [N] cells of the layout that are ignored


def make_image(
    seed: int,
    index: int,
    *,
    size_hw: tuple[int, int] = (640, 640),
    knobs: Collection[str] = KNOBS,
    mpp: float = MPP,
) -> record.Record:
    """Makes an image, uint8 RGB, of at least one cell: 0 positive, 1 negative.

    Its id is `index`; its `ignore`, where there is any, covers nuclei in doubt.
    """
    rng = layout_lib.image_rng(seed, index)
    rngs = {knob: knob_rng(seed, index, knob) for knob in KNOBS}
    if "scale" in knobs:
        mpp = draw_mpp(rngs["scale"])
    scene = plan(rng, rngs, size_hw, knobs, mpp)
    scanner = stain.draw_scanner(rng, mpp)
    canvas = nuclei_lib.make_canvas(rng, size_hw, mpp)
    stain.add_background(rng, canvas, scene.layout, mpp)
    extra = _draw_behind(rngs, canvas, scene, knobs, mpp)
    nuclei_lib.draw(rng, canvas, scene.layout.distractors, annotated=False)
    ignore = _draw_doubtful(rngs["focus"], canvas, scene.doubtful)
    outlines = rngs["shapes"] if knobs else rng  # as many others as there may be
    nuclei_lib.draw(outlines, canvas, scene.layout.cells, annotated=True)
    nuclei_lib.draw(rngs["shapes"], canvas, scene.grains, annotated=False)
    if "stains" in knobs:
        strengths = stain_range.draw_strengths(rngs["stains"]).astype(np.float32)
        canvas.haematoxylin[:] *= strengths[0]
        canvas.dab[:] *= strengths[1]
        tint = stain_range.draw_tint(rngs["stains"])
        extra = extra + (1 - scene.glass)[..., None] * tint
        stains = stain_range.draw_stains(rngs["stains"])
        scanner = scanner._replace(stains_rgb=stains)
        scene.doubt[faint(scene.layout.cells, strengths)] = True
    if "scanner" in knobs:
        scanner = scanner_lib.draw_scanner(rngs["scanner"], scanner)
    image = stain.scan(rng, canvas, scanner, extra)
    if "focus" in knobs:
        image = focus.blur_part(rngs["focus"], image, mpp)
    if "scanner" in knobs:
        image = scanner_lib.develop(rngs["scanner"], image)
    made = nuclei_lib.make_record(index, image, scene.layout, canvas, mpp)
    ignore |= np.append(False, scene.doubt)[canvas.masks]
    return dataclasses.replace(made, ignore=ignore) if ignore.any() else made


def knob_rng(seed: int, index: int, knob: str) -> np.random.Generator:
    """Source of a knob's draws for image `index` of the set `seed`.

    The same key as the image's own, far along its counter: streams never meet.
    """
    key, counter = [seed, index], [0, 0, 0, 1 + KNOBS.index(knob)]
    return np.random.Generator(
        np.random.Philox(key=np.array(key, np.uint64), counter=counter)
    )


def faint(cells: list[layout_lib.Nucleus], strengths: np.ndarray) -> np.ndarray:
    """Which cells hardly anybody would see, bool [N], by their optical density.

    `strengths` [2] are the image's factors of haematoxylin and DAB.
    """
    densities = np.array([(cell.haematoxylin, cell.dab) for cell in cells])
    return densities @ strengths < FAINT


def draw_mpp(rng: np.random.Generator) -> float:
    """Micrometres per px within `MPP_RANGE`, most often near `MPP`."""
    return float(np.clip(MPP * np.exp(rng.normal(0, 0.35)), *MPP_RANGE))


def plan(
    rng: np.random.Generator,
    rngs: Rngs,
    size_hw: tuple[int, int],
    knobs: Collection[str],
    mpp: float,
) -> Scene:
    """Draws all nuclei of one image."""
    layout = layout_lib.plan(rng, size_hw, mpp)
    glass = np.zeros(size_hw, np.float32)
    if "crowding" in knobs:
        own, glass = tissue.plan(rngs["crowding"], size_hw, mpp)
        layout = own._replace(distractors=layout.distractors)
    grains: list[layout_lib.Nucleus] = []
    if "shapes" in knobs:
        own_rng = rngs["shapes"]
        style = chromatin.draw_style(own_rng)
        flow = np.pi * layout_lib.noise_field(own_rng, size_hw, 40 / mpp)
        cells = chromatin.restyle(own_rng, layout.cells, layout.labels, style, flow)
        grains = chromatin.nucleoli(own_rng, cells, style)
        layout = layout._replace(cells=cells)
    layout, doubtful, doubt = _with_others(rngs, layout, glass, knobs, mpp)
    return Scene(layout, glass, doubtful, grains, doubt)


def _with_others(
    rngs: Rngs,
    layout: layout_lib.Layout,
    glass: np.ndarray,
    knobs: Collection[str],
    mpp: float,
) -> tuple[layout_lib.Layout, list[layout_lib.Nucleus], np.ndarray]:
    """Adds what is not tumour, and puts nuclei out of focus.

    The layout, and `doubtful` and `doubt` of its `Scene`.
    """
    room = (1 - layout.nests) * (1 - glass)
    cells_yx = np.array([cell.center_yx for cell in layout.cells], np.float32)
    cells, labels = layout.cells, layout.labels
    others, doubtful = layout.distractors, []
    if "crowding" in knobs or not set(knobs).isdisjoint(_REPLACED.values()):
        kinds = {
            name: kind
            for name, kind in layout_lib.DISTRACTORS.items()
            if _REPLACED[name] not in knobs
        }
        others = layout_lib.scatter_distractors(
            rngs["crowding"], room, cells_yx, (1.0, 1.0), layout.fibre_angle, mpp, kinds
        )
    size_hw = (glass.shape[0], glass.shape[1])
    if "stroma" in knobs:
        found = stroma_lib.plan(rngs["stroma"], room, cells_yx, layout.fibre_angle, mpp)
        cells, doubtful = [*cells, *found.negative], found.doubtful
        others = [*others, *found.unmarked]
        new = np.ones(len(found.negative), np.int32)
        labels = np.concatenate([labels, new])
        cells_yx = np.array([cell.center_yx for cell in cells], np.float32)
    if "lookalikes" in knobs:
        others = [*others, *lookalikes.debris(rngs["lookalikes"], size_hw, mpp)]
    doubt = np.zeros(len(cells), bool)
    if "focus" in knobs:
        pale, unsure = focus.ghosts(rngs["focus"], cells_yx, 1 - glass, mpp)
        others, doubtful = [*others, *pale], [*doubtful, *unsure]
        cells, doubt = focus.defocus(rngs["focus"], cells)
    layout = layout._replace(cells=cells, labels=labels, distractors=others)
    return layout, doubtful, doubt


def _draw_behind(
    rngs: Rngs,
    canvas: nuclei_lib.Canvas,
    scene: Scene,
    knobs: Collection[str],
    mpp: float,
) -> np.ndarray:
    """Draws fibres and haze, empties glass; other colours' density, f32 [H, W, 3]."""
    layout, glass = scene.layout, scene.glass
    size_hw = (glass.shape[0], glass.shape[1])
    extra = np.zeros((*size_hw, 3), np.float32)
    if "stroma" in knobs:
        rng, room = rngs["stroma"], 1 - layout.nests
        strands = stroma_lib.fibres(rng, room, layout.fibre_angle, mpp)
        blue, grey, brown = rng.uniform(0, (0.08, 0.08, 0.05)).astype(np.float32)
        canvas.haematoxylin[:] += blue * strands
        canvas.dab[:] += brown * strands
        extra += (grey * strands)[..., None] * stain_range.TISSUE_RGB
    if "lookalikes" in knobs:
        rng = rngs["lookalikes"]
        canvas.dab[:] += lookalikes.brown_haze(rng, layout.cells, size_hw, mpp)
        extra += lookalikes.coloured(rng, size_hw, glass, mpp)
    canvas.haematoxylin[:] *= 1 - glass
    canvas.dab[:] *= 1 - glass
    return extra


def _draw_doubtful(
    rng: np.random.Generator,
    canvas: nuclei_lib.Canvas,
    doubtful: list[layout_lib.Nucleus],
) -> np.ndarray:
    """Draws nuclei in doubt and gives where they lie, bool [H, W]."""
    own = canvas._replace(
        masks=np.zeros_like(canvas.masks), depth=np.zeros_like(canvas.depth)
    )
    nuclei_lib.draw(rng, own, doubtful, annotated=True)
    return own.masks > 0
