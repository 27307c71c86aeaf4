"""The detector network's outputs agree with its anchors."""

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax.nn import two_stage
from cellrec_jax.ops import anchors


def test_one_row_an_anchor_and_all_parameters_initialised():
    network = two_stage.TwoStage(
        num_classes=2,
        backbone="tiny",
        norm="group",
        channels=8,
        rpn_channels=8,
        head_channels=8,
        num_anchors=3,
        min_level=2,
        merge="half",
    )
    image = jnp.zeros((1, 72, 104, 3))  # no multiple of 64
    pooled = jnp.zeros((1, 4, 3, 3, 8))
    variables = jax.eval_shape(
        lambda: network.init(jax.random.key(0), image, pooled, method="both")
    )
    levels, logits, deltas = jax.eval_shape(
        lambda v: network.apply(v, image, False), variables
    )
    made = anchors.pyramid_anchors(
        (72, 104), [4, 8, 16, 32, 64], [32.0, 64.0, 128.0, 256.0, 512.0], [0.5, 1, 2]
    )
    assert len(levels) == 5
    assert logits.shape == (1, len(made), 2)
    assert deltas.shape == (1, len(made), 4)
    assert np.isfinite(made).all()
    assert sorted(variables["params"]) == ["fpn", "resnet", "roi_head", "rpn"]
