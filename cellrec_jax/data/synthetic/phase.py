"""Synthetic phase-contrast images with exact centres and masks, one class.

Kinds are "c2c12" (elongated cells in sheets, some round and bright before they divide),
"hsc" (round, dark cells between dirt that looks like them, often in wells), and
"hsc_bright" (by negative phase contrast). Images are functions of (kind, seed, index).

Made for Fujii et al., Cell Detection from Imperfect Annotation by Pseudo Label
Selection Using P-classification, MICCAI 2021: C2C12 and BF-C2DL-HSC.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from cellrec_jax import errors
from cellrec_jax.data import record
from cellrec_jax.data.synthetic import layout as synthetic_layout
from cellrec_jax.data.synthetic import phase_cells as synthetic_phase_cells
from cellrec_jax.data.synthetic import phase_layout as synthetic_phase_layout
from cellrec_jax.data.synthetic import phase_optics as synthetic_phase_optics

CLASS_NAMES = ("cell",)
KINDS = tuple(synthetic_phase_layout.PRESETS)


class Film(NamedTuple):
    """Frames of one dish; every cell is seen in all of them."""

    records: tuple[record.Record, ...]
    """T records; point i and mask id i + 1 are the same cell in all."""
    tracks_yx: np.ndarray
    """f32 [T, N, 2] centres, px."""


def make_image(
    seed: int, index: int, *, kind: str = "c2c12", size_hw: tuple[int, int] = (640, 640)
) -> record.Record:
    """Makes one image of at least 32 x 32 px; both `seed` and `index` are >= 0.

    Cells keep their size in px. uint16 in 0..4095, three equal channels, at least one
    cell, masks; the id is `index`. A point is the centre of the cell's body, where it
    is thickest, not the centroid of its mask, which has the arms too.
    """
    film = make_sequence(seed, index, 1, kind=kind, size_hw=size_hw)
    return dataclasses.replace(film.records[0], image_id=str(index), group="")


def make_sequence(
    seed: int,
    index: int,
    num_frames: int,
    *,
    kind: str = "c2c12",
    size_hw: tuple[int, int] = (640, 640),
) -> Film:
    """Makes the frames of a dish whose cells crawl about; the first is `make_image`'s.

    None divides, enters or leaves. A shorter sequence is the start of a longer one. Ids
    are "index/frame", the group is `index`. No frame or kind is a `ConfigError`.
    """
    if kind not in KINDS or num_frames < 1:
        raise errors.ConfigError(
            f"synthetic phase contrast: {num_frames} frames of kind {kind!r} asked "
            f"for; give at least 1 frame of {' or '.join(KINDS)}"
        )
    preset = synthetic_phase_layout.PRESETS[kind]
    rng = synthetic_layout.image_rng(seed, index)
    empty = synthetic_phase_cells.make_dish(rng, size_hw)
    inside_px = synthetic_phase_layout.draw_well(rng, empty, preset.well_chance)
    synthetic_phase_layout.litter(rng, empty, preset)
    cells = synthetic_phase_layout.plan(rng, preset, inside_px)
    microscope = synthetic_phase_optics.draw_microscope(
        rng, size_hw, preset.brightness, negative=preset.negative
    )
    speeds_yx = rng.normal(0, preset.speed_px, (len(cells), 2))
    records = []
    for frame in range(num_frames):
        if frame:
            cells, speeds_yx = synthetic_phase_layout.move(
                rng, cells, speeds_yx, preset, inside_px
            )
        dish = synthetic_phase_cells.copy_dish(empty)
        synthetic_phase_cells.draw(dish, cells, annotated=True)
        image = synthetic_phase_optics.expose(
            rng, microscope, dish.phase, dish.absorption
        )
        records.append(
            record.Record(
                image_id=f"{index}/{frame}",
                image=np.repeat(image[..., None], 3, axis=-1),
                points_yx=np.array([cell.center_yx for cell in cells], np.float32),
                labels=np.zeros(len(cells), np.int32),
                masks=dish.masks,
                group=str(index),
                mpp=preset.mpp,
            )
        )
    return Film(tuple(records), np.stack([made.points_yx for made in records]))
