"""What the main and the dynamic decoder learn: circles, and random polygons."""

import functools

import jax

from cellrec_jax.methods.multitask.options import LossOptions
from cellrec_jax.ops import heatmaps
from cellrec_jax.types import Batch


def paint(batch: Batch, num_classes: int, loss: LossOptions) -> jax.Array:
    """The main decoder's targets: circles, f32 [B, H, W, K]; classes may overlap."""
    height, width = batch.image.shape[1:3]
    one = functools.partial(
        heatmaps.disc_maps,
        size_hw=(height, width),
        num_classes=num_classes,
        radius_px=loss.radius_px,
    )
    return jax.vmap(one)(batch.points_yx, batch.points_mask, batch.labels)


def paint_polygons(
    batch: Batch, rng: jax.Array, num_classes: int, loss: LossOptions
) -> jax.Array:
    """The dynamic decoder's targets, f32 [B, H, W, K].

    `rng` is the step's key, the same on all devices: polygons are drawn by it, the
    place of the image in the global batch, and the cell's slot.
    """
    law = loss.polygons

    def one(example: Batch) -> jax.Array:
        own = jax.random.fold_in(rng, example.example_index)
        return heatmaps.polygon_maps(
            example.points_yx,
            example.points_mask,
            example.labels,
            heatmaps.draw_polygons(own, len(example.labels), law),
            (example.image.shape[0], example.image.shape[1]),
            num_classes,
            reach_px=law.reach_px,
        )

    return jax.vmap(one)(batch)
