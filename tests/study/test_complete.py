"""All annotations of images, whatever training saw of them."""

import numpy as np
import pytest

from cellrec_jax import errors, methods
from cellrec_jax.data import sets
from cellrec_jax.study import complete


def test_all_cells_of_training_images(tiny_experiment):
    """A training of one cell an image has four slots, too few for the images."""
    changes = {"data.keep_one": True, "data.max_cells": 4}
    data = methods.changed(tiny_experiment, changes).data
    split = sets.open_sets(data, 0).train
    numbers = [len(split.source.load(i).points_yx) for i in split.image_ids]
    assert max(numbers) > 4
    found = complete.load(split)
    assert found.images.points_mask.shape == (4, max(numbers))
    assert found.images.points_mask.sum(axis=1).tolist() == numbers
    assert np.asarray(sets.load_train(split).images.points_mask).sum() == 4


def test_no_images(tiny_experiment):
    split = sets.open_sets(tiny_experiment.data, 0).train._replace(image_ids=())
    with pytest.raises(errors.ConfigError, match="no images of this run"):
        complete.load(split)
