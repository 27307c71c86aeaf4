"""Which cells of a slide count."""

from types import SimpleNamespace

import numpy as np

from cellrec_jax.data.pixels.slides import Level
from cellrec_jax.predict.slide import tissue, work


def test_cells_beyond_the_slide_do_not_count():
    """Its last px of the network reach beyond it; the mask ends with them."""
    description = SimpleNamespace(levels=[Level((10, 21), (1.0, 1.0))])
    mask = tissue.Mask(np.array([[False, True, True]]), (10.0, 8.0))
    fields = dict.fromkeys(work.Place._fields)
    place = work.Place(**{**fields, "description": description, "mask": mask})
    points_yx = np.array([[5, 7.9], [5, 20.9], [5, 21], [10, 20], [-0.1, 9], [0, 8]])
    assert place.holds(points_yx).tolist() == [False, True, False, False, False, True]
