"""Layers, grids and starting values of the network of matched points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.nn import point_net

SIDES = {2: (16, 24), 3: (8, 12), 4: (4, 6), 5: (2, 3)}
"""Feature maps of an image 64 x 96."""


def _shapes(network, size_hw=(64, 96)):
    """Shapes of (outputs, variables), without computing anything."""
    image = jax.ShapeDtypeStruct((1, *size_hw, 3), jnp.float32)
    return jax.eval_shape(
        lambda rng, x: network.init_with_output(rng, x, False),
        jax.random.key(0),
        image,
    )


def _count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_parameter_count_of_p2pnet():
    """What the public code's output depends on: 18,038,864 less one lateral layer.

    That layer, of the encoder's map of stride 4, has 256 x 256 + 256 parameters and
    only reaches a map that nothing reads; see `test_vgg`.
    """
    network = point_net.PointNet(
        num_classes=1,
        num_anchors=4,
        encoder="vgg16",
        norm="sync_batch",
        level=3,
        aggregation="fpn",
        head="plain",
        class_head=False,
    )
    outputs, variables = _shapes(network)
    assert _count(variables["params"]) == 17_973_072 == 18_038_864 - 65_792
    assert outputs.offsets_yx.shape == (1, 8 * 12 * 4, 2)
    assert outputs.objectness.shape == (1, 8 * 12 * 4, 2)
    assert outputs.classes is None


def test_parameter_count_of_the_papers_network():
    _, variables = _shapes(point_net.PointNet(num_classes=4, num_anchors=5))
    encoder = 23_508_032  # torchvision's ResNet-50 without its classifier
    lateral = (256 + 512 + 1024 + 2048) * 256 + 4 * 256
    fuse = 4 * 256 * 256 + 256
    blocks = 2 * (2 * 9 * 256 * 256 + 4 * 256)
    outputs = sum(257 * 5 * number for number in (2, 2, 4))
    expected = encoder + lateral + fuse + 3 * blocks + outputs
    assert _count(variables["params"]) == expected


@pytest.mark.parametrize(
    ("kind", "level", "laterals"),
    [
        ("concat", 5, (2, 3, 4, 5)),
        ("concat", 3, (2, 3, 4, 5)),
        ("sum", 4, (2, 3, 4, 5)),
        ("fpn", 3, (3, 4, 5)),
        ("fpn", 5, (5,)),
        ("last", 2, (2,)),
    ],
)
def test_aggregation_reads_its_levels_and_gives_the_grid(kind, level, laterals):
    features = {k: jnp.zeros((2, *hw, 3 + k)) for k, hw in SIDES.items()}
    aggregation = point_net.Aggregation(6, level, kind)
    shared, variables = jax.eval_shape(
        aggregation.init_with_output, jax.random.key(0), features
    )
    assert shared.shape == (2, *SIDES[level], 6)
    extra = {"concat": {"fuse"}, "fpn": {"output"}}.get(kind, set())
    expected = {f"lateral{number}" for number in laterals} | extra
    assert set(variables["params"]) == expected


def test_sum_aggregates_means_and_copies():
    """One channel, identity laterals: 2x2 means of level 3, copies of level 5."""
    fine = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    features = {3: fine, 4: np.zeros((1, 2, 2, 1)), 5: np.full((1, 1, 1, 1), 100.0)}
    identity = {"kernel": np.ones((1, 1, 1, 1)), "bias": np.zeros(1)}
    params = {f"lateral{level}": identity for level in features}
    total = point_net.Aggregation(1, 4, "sum").apply({"params": params}, features)
    np.testing.assert_allclose(total[0, ..., 0], [[102.5, 104.5], [110.5, 112.5]])


def test_heads_start_near_zero():
    head = point_net.PointHead(2, 3, 64, "residual", "group")
    features = jax.random.normal(jax.random.key(1), (2, 4, 6, 64))
    start = jax.jit(lambda x: head.init_with_output(jax.random.key(0), x, True)[0])
    outputs = start(features)
    assert outputs.shape == (2, 4 * 6 * 2, 3)
    assert 0 < jnp.std(outputs) < 0.2


def test_outputs_are_row_major_over_cells_then_anchors():
    """A feature at (1, 2) of 2 x 3 cells reaches the anchors of that cell alone."""
    centre = np.zeros((3, 3, 1, 1), np.float32)
    centre[1, 1] = 1
    last = np.zeros((3, 3, 1, 4), np.float32)
    last[1, 1, 0] = [1, 2, 3, 4]  # anchor 0: (1, 2), anchor 1: (3, 4)
    params = {
        "conv0": {"kernel": centre, "bias": np.zeros(1)},
        "conv1": {"kernel": centre, "bias": np.zeros(1)},
        "output": {"kernel": last, "bias": np.zeros(4)},
    }
    features = np.zeros((1, 2, 3, 1), np.float32)
    features[0, 1, 2] = 10
    outputs = point_net.PointHead(2, 2, 1, "plain", "group").apply(
        {"params": params}, features, False
    )
    expected = np.zeros((12, 2))
    expected[10:] = [[10, 20], [30, 40]]
    np.testing.assert_allclose(outputs[0], expected)


def _tiny(**changes):
    return point_net.PointNet(3, 5, encoder="tiny", channels=4, **changes)


def test_outputs_are_float32_whatever_the_type_of_computation():
    outputs, _ = _shapes(_tiny(dtype=jnp.bfloat16))
    assert {x.dtype for x in outputs} == {jnp.dtype("float32")}
    assert outputs.classes.shape == (1, 2 * 3 * 5, 3)


def test_without_a_class_head_the_objectness_tells_classes():
    outputs, variables = _shapes(_tiny(class_head=False))
    assert outputs.objectness.shape == (1, 2 * 3 * 5, 4)
    assert "classes" not in variables["params"]


def test_heads_are_trained_where_the_encoder_is_frozen():
    """With norms of batches: unlike those of groups, they do not see the whole image.

    A head of two blocks reaches 4 cells: 6 from the cut all outputs are the image's.
    """
    _, variables = _shapes(_tiny(norm="frozen_batch", remat=True))
    assert set(variables["batch_stats"]) == {
        "encoder", "offsets", "objectness", "classes"
    }  # fmt: skip
    _, plain = _shapes(_tiny(norm="frozen_batch"))
    assert variables == plain
    head = point_net.PointHead(1, 2, 8, "residual", "frozen_batch")
    features = jax.random.normal(jax.random.key(1), (1, 16, 12, 8))
    apply = jax.jit(lambda v, x: head.apply(v, x, False))
    variables = head.init(jax.random.key(0), features, False)
    whole = apply(variables, features).reshape(16, 12, 2)
    part = apply(variables, features[:, :12]).reshape(12, 12, 2)
    np.testing.assert_allclose(part[:6], whole[:6], atol=1e-6)
    assert np.abs(part[-1] - whole[11]).max() > 1e-3
