"""Images with all their annotations, also of those that training leaves out."""

import dataclasses

from cellrec_jax import errors
from cellrec_jax.data import sets


def load(split: sets.Split) -> sets.EvalSet:
    """Loads a split, with slots for the fullest image whatever `data.max_cells` is.

    A finished run cannot be given another one. ConfigError without images.
    """
    if not split.image_ids:
        raise errors.ConfigError(
            "no images of this run to look at; train with --config.data.test_ids"
        )
    read = split.source.annotations or split.source.load
    fullest = max(len(read(image_id).points_yx) for image_id in split.image_ids)
    spec = dataclasses.replace(split.spec, training=False, max_cells=max(fullest, 1))
    loaded = sets.load_eval(split._replace(spec=spec))
    assert loaded is not None  # there are images, for mypy
    return loaded
