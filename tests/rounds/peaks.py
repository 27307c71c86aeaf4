"""Images and peaks that tests of rounds make."""

import numpy as np

from cellrec_jax.data import arrays, sets
from cellrec_jax.data.example import ExampleSpec
from cellrec_jax.rounds import candidates as pc


def eval_set(images, size_hw=(40, 60), resize="squeeze") -> sets.EvalSet:
    """Images, each with one cell."""
    points = [np.array([[10.0, 10.0]], np.float32)] * len(images)
    source = arrays.from_arrays(images, points)
    spec = ExampleSpec(size_hw=size_hw, max_cells=8, training=False, resize=resize)
    found = sets.load_eval(sets.Split(source, source.image_ids, spec))
    assert found is not None
    return found


def candidates(image, points):
    """Peaks at points of images, by number, of height 1."""
    points = np.array(points, np.float32).reshape(-1, 2)
    return pc.Candidates(np.array(image, np.int32), points, np.ones(len(points)))
