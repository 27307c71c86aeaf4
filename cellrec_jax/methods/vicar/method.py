"""Cells by image processing: restored phase contrast, threshold, distance transform.

"Vicar" of Fujii et al., MICCAI 2021, after Vicar et al., Cell segmentation methods for
label-free contrast microscopy, BMC Bioinformatics 2019. `fit` searches four values on
the training images, for one kind of culture: none suit compact and spread cells both.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from cellrec_jax import errors
from cellrec_jax.methods import searched
from cellrec_jax.methods.vicar import search as vicar_search
from cellrec_jax.methods.vicar import watershed_seeds
from cellrec_jax.methods.vicar.options import ModelOptions, Options
from cellrec_jax.types import Batch, Decode, Detections, Method, Traits

Params = dict[str, jax.Array]

_START = watershed_seeds.SeedOptions(0.02, 180.0, 0.0, 4.7)
"""Of an unfitted model."""


def make(options: Options, *, num_classes: int) -> Method:
    """Builds the method, `predict` on the host; a `ConfigError` if not one class."""
    if num_classes != 1:
        raise errors.ConfigError(
            f"--config.method=vicar finds cells of one class, not of {num_classes}: "
            "merge them with --config.data.classes=cell=a+b"
        )
    return Method(
        init=_init,
        loss_fn=searched.no_loss("vicar"),
        predict=functools.partial(_predict, model=options.model),
        traits=Traits(
            max_detections=options.model.max_detections,
            fit=functools.partial(fit, model=options.model),
        ),
    )


def _init(rng: jax.Array, image: jax.Array) -> tuple[Params, dict[str, Any]]:
    """Values that work before any search; nothing is drawn."""
    del rng, image
    return _to_params(_START), {}


def _to_params(seeds: watershed_seeds.SeedOptions) -> Params:
    return {name: jnp.float32(value) for name, value in seeds._asdict().items()}


def fit(
    batch: Batch,
    radius_px: float,
    track: vicar_search.Track = lambda items, _: items,
    *,
    model: ModelOptions,
) -> tuple[Params, str]:
    """Searches the four values on training images, see `types.Fit`.

    Too few annotated cells are a `DataError`.
    """
    given = [
        np.asarray(points)[np.asarray(mask)]
        for points, mask in zip(batch.points_yx, batch.points_mask, strict=True)
    ]
    try:
        found = vicar_search.search(
            _grey(batch.image),
            given,
            radius_px,
            model.grid(),
            options=model.optics(),
            labels=model.search_labels,
            valid=list(np.asarray(batch.valid)),
            track=track,
        )
    except ValueError as error:
        raise errors.DataError(f"vicar cannot search its values: {error}") from error
    values = ", ".join(f"{k} {v:g}" for k, v in found.options._asdict().items())
    line = (
        f"searched {len(found.tried)} combinations on {len(given)} images: {values} "
        f"(F1 {found.f1:.3f} against the annotated points)"
    )
    if found.rule != model.search_labels:
        line += "; chosen by F1, since no combination finds two of the points"
    return _to_params(found.options), line


def _grey(images: Any) -> list[np.ndarray]:
    """The mean over channels of each image."""
    return list(np.asarray(images, np.float32).mean(axis=-1))


def _predict(
    params: Params,
    model_state: Any,
    batch: Batch,
    decode: Decode,
    *,
    model: ModelOptions,
) -> Detections:
    """Detections of whole images: max_detections slots, highest score first."""
    del model_state
    seeds = watershed_seeds.SeedOptions(**{k: float(v) for k, v in params.items()})
    restored = vicar_search.restore_all(
        _grey(batch.image), model.optics(), list(np.asarray(batch.valid))
    )
    shape = (len(restored), model.max_detections)
    points_yx, scores = np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32)
    mask = np.zeros(shape, bool)
    for row, image in enumerate(restored):
        found_yx, found = _scored_seeds(image, seeds)
        order = np.argsort(-found, kind="stable")[: model.max_detections]
        points_yx[row, : len(order)] = found_yx[order]
        scores[row, : len(order)] = found[order]
        mask[row, : len(order)] = found[order] >= float(decode.thresholds[0])
    mask &= np.asarray(batch.image_mask)[:, None]
    labels = np.zeros(shape, np.int32)
    found_all = (points_yx, scores, labels, scores[..., None], mask)
    return Detections(*map(jnp.asarray, found_all))


def _scored_seeds(
    restored: np.ndarray, seeds: watershed_seeds.SeedOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Points [N, 2]; scores [N] in (0.5, 1), so 0.5 keeps all, rising with distance."""
    threshold, min_area_px, max_hole_px, h_px = seeds
    mask = watershed_seeds.foreground(restored, threshold, min_area_px, max_hole_px)
    distance = watershed_seeds.distance_map(mask)
    tops = watershed_seeds.h_maxima(distance, h_px)
    index = np.arange(1, tops.max(initial=0) + 1)
    heights = np.asarray(ndimage.maximum(distance, tops, index), np.float32)
    return watershed_seeds.centroids(tops), 1 - 0.5 / (1 + heights.reshape(-1))
