"""Synthetic phase-contrast images with exact centres and masks, one class.

Kinds are "c2c12" (elongated cells in sheets, some round and bright before they divide),
"hsc" (round, dark cells between dirt that looks like them, often in wells), and
"hsc_bright" (by negative phase contrast). Images are functions of (kind, seed, index).

Made for Fujii et al., Cell Detection from Imperfect Annotation by Pseudo Label
Selection Using P-classification, MICCAI 2021: C2C12 and BF-C2DL-HSC.
"""

import numpy as np

from cellrec_jax import errors
from cellrec_jax.data import record
from cellrec_jax.data.synthetic import layout as synthetic_layout
from cellrec_jax.data.synthetic import phase_cells as synthetic_phase_cells
from cellrec_jax.data.synthetic import phase_layout as synthetic_phase_layout
from cellrec_jax.data.synthetic import phase_optics as synthetic_phase_optics

CLASS_NAMES = ("cell",)
KINDS = tuple(synthetic_phase_layout.PRESETS)


def make_image(
    seed: int, index: int, *, kind: str = "c2c12", size_hw: tuple[int, int] = (640, 640)
) -> record.Record:
    """Makes one image of at least 32 x 32 px; both `seed` and `index` are >= 0.

    Cells keep their size in px. uint16 in 0..4095, three equal channels, at least one
    cell, masks; the id is `index`. A point is the centre of the cell's body, where it
    is thickest, not the centroid of its mask, which has the arms too. Another kind is a
    `ConfigError`.
    """
    if kind not in KINDS:
        raise errors.ConfigError(
            f"synthetic phase contrast: no kind {kind!r}; give {' or '.join(KINDS)}"
        )
    preset = synthetic_phase_layout.PRESETS[kind]
    rng = synthetic_layout.image_rng(seed, index)
    dish = synthetic_phase_cells.make_dish(rng, size_hw)
    inside_px = synthetic_phase_layout.draw_well(rng, dish, preset.well_chance)
    synthetic_phase_layout.litter(rng, dish, preset)
    cells = synthetic_phase_layout.plan(rng, preset, inside_px)
    microscope = synthetic_phase_optics.draw_microscope(
        rng, size_hw, preset.brightness, negative=preset.negative
    )
    rng.standard_normal((len(cells), 2))  # not used; without it images would change
    synthetic_phase_cells.draw(dish, cells, annotated=True)
    image = synthetic_phase_optics.expose(rng, microscope, dish.phase, dish.absorption)
    return record.Record(
        image_id=str(index),
        image=np.repeat(image[..., None], 3, axis=-1),
        points_yx=np.array([cell.center_yx for cell in cells], np.float32),
        labels=np.zeros(len(cells), np.int32),
        masks=dish.masks,
        mpp=preset.mpp,
    )
