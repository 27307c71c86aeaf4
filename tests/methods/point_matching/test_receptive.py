"""How far networks of matched points look, by their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import config_files, methods
from cellrec_jax.methods.point_matching import method, receptive


def _model(preset, **changes):
    changes = {"norm": "layer", "channels": 4, **changes}
    return methods.changed(
        methods.freeze(config_files.load(f"pdl1_point:{preset}")),
        {f"model.{name}": value for name, value in changes.items()},
    ).options


def _farthest(options, height=512, width=32):
    """px from a cell of the grid to the farthest row that has a gradient, of two."""
    network = method._network(options, 2)
    blank = jnp.zeros((1, height, width, 3))
    shapes = jax.eval_shape(network.init, jax.random.key(0), blank, False)
    rng = np.random.default_rng(0)
    # Positive weights, so that no path is cut by a rectifier or cancels another.
    weights = jax.tree.map(lambda leaf: rng.uniform(0.01, 0.1, leaf.shape), shapes)
    stride = 2**options.model.level
    rows, columns = height // stride, width // stride

    @jax.jit
    def gradient(image, cell):
        def of_row(image):
            outputs = network.apply(weights, image, False)
            both = jnp.concatenate([outputs.offsets_yx, outputs.objectness], axis=-1)
            values = both.reshape(rows, columns, -1)[cell]
            return values @ jnp.arange(1.0, values.shape[1] + 1)

        return jax.grad(lambda image: of_row(image).sum())(image)

    image = rng.uniform(0, 1, blank.shape).astype(np.float32)
    far = 0
    for cell in (rows // 2, rows // 2 + 1):
        seen = np.flatnonzero(np.asarray(gradient(image, cell)).any((0, 2, 3)))
        far = max(far, cell * stride - seen[0], seen[-1] - (cell + 1) * stride + 1)
    return far


@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("small", {"encoder": "tiny"}),
        ("small", {"encoder": "tiny", "aggregation": "fpn", "head": "plain"}),
        ("p2pnet_small", {}),
    ],
)
def test_the_radius_is_where_gradients_end(preset, changes):
    """To the px, but for the one stride that the points' offsets are given."""
    options = _model(preset, **changes)
    stride = 2**options.model.level
    assert receptive.radius(options.model) - stride == _farthest(options)


def test_norms_that_pool_see_everything():
    assert receptive.radius(_model("small", norm="group").model) == 0
    assert receptive.radius(_model("small").model) == 191
