"""Painting targets: what random polygons cost more than discs.

As a training step does: polygons are drawn anew and painted, discs painted alone.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from cellrec_jax.bench.contestants import Contestant
from cellrec_jax.bench.kernel import FORWARD, Case
from cellrec_jax.bench.report import Row, Settings
from cellrec_jax.ops import heatmaps

_SIDE_PX = 512
_NUM_CLASSES = 2
_GOAL = 3.0  # times a disc
_LAW = heatmaps.PolygonOptions()


def cases(settings: Settings) -> Iterator[Case]:
    """Sizes are cells of an image; four images."""
    batch = settings.batch_size or 4
    for size in settings.sizes or (64, 256, 1024):
        forms = {
            "discs": discs,
            "painted polygons": polygons,
            "drawn polygons": drawn_polygons,
        }
        yield Case(
            {"cells": size, "px": _SIDE_PX, "batch": batch},
            partial(inputs, size, batch),
            {
                name: Contestant(form, expected=jax.jit(form))
                for name, form in forms.items()
            },
            expected=jax.jit(discs),
            against="discs",
            passes={FORWARD: 0.0},
        )


def inputs(num_cells: int, batch: int) -> tuple[Any, ...]:
    """Points, masks, classes and corners of polygons of a batch, and a seed."""
    rng = np.random.default_rng(0)
    points_yx = rng.uniform(0, _SIDE_PX, (batch, num_cells, 2)).astype(np.float32)
    labels = rng.integers(0, _NUM_CLASSES, (batch, num_cells)).astype(np.int32)
    corners_yx = _draw(np.int32(0), batch, num_cells)
    return points_yx, np.ones((batch, num_cells), bool), labels, corners_yx, np.int32(1)


def discs(points_yx: Any, mask: Any, labels: Any, *_: Any) -> jax.Array:
    """Maps of circles, f32 [B, H, W, K]."""
    paint = partial(
        heatmaps.disc_maps,
        size_hw=(_SIDE_PX, _SIDE_PX),
        num_classes=_NUM_CLASSES,
        radius_px=_LAW.radius_px,
    )
    return jax.vmap(paint)(points_yx, mask, labels)


def polygons(
    points_yx: Any, mask: Any, labels: Any, corners_yx: Any, *_: Any
) -> jax.Array:
    """Maps of polygons, f32 [B, H, W, K]."""
    paint = partial(
        heatmaps.polygon_maps,
        size_hw=(_SIDE_PX, _SIDE_PX),
        num_classes=_NUM_CLASSES,
        reach_px=_LAW.reach_px,
    )
    return jax.vmap(paint)(points_yx, mask, labels, corners_yx)


def drawn_polygons(
    points_yx: Any, mask: Any, labels: Any, _: Any, seed: Any
) -> jax.Array:
    """The same of polygons that are drawn in the call."""
    return polygons(points_yx, mask, labels, _draw(seed, *mask.shape))


def _draw(seed: Any, batch: int, num_cells: int) -> jax.Array:
    rngs = jax.random.split(jax.random.key(seed), batch)
    draw = partial(heatmaps.draw_polygons, num_cells=num_cells, options=_LAW)
    return jax.vmap(draw)(rngs)


def notes(rows: Sequence[Row]) -> Iterator[str]:
    """What polygons cost, at each size."""
    for row in rows:
        if row["contestant"] == "drawn polygons" and row["ratio"] is not None:
            goal = "within" if row["ratio"] <= _GOAL else "above"
            yield (
                f"{row['cells']} cells: polygons, drawn and painted, take "
                f"{row['ratio']:.1f} times the discs' time, {goal} {_GOAL:g}"
            )
