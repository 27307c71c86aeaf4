"""Layers, dilations, shapes and one training step of DeepLabv3+."""

import jax
import jax.numpy as jnp
import pytest

from cellrec_jax.nn import backbones, deeplab


def _shapes(model, size_hw=(29, 38)):
    """Shapes of (outputs, variables), without computing anything."""
    image = jax.ShapeDtypeStruct((2, *size_hw, 3), jnp.float32)
    return jax.eval_shape(model.init_with_output, jax.random.key(0), image)


def _tiny(**options):
    return deeplab.DeepLabV3Plus(2, "tiny", channels=8, **options)


def _count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_parameter_counts_are_those_of_the_port():
    model = deeplab.DeepLabV3Plus(2, norm="sync_batch")
    params = _shapes(model)[1]["params"]
    assert _count(params["encoder"]["resnet"]) == 44_549_160 - 2_049_000
    assert _count(params["encoder"]["pyramid"]) == 15_535_104
    assert _count(params["decoder"]) == 1_304_162
    assert _count(params) == 59_339_426


def _dilations(model):
    """Dilations of the 3x3 convolutions, in the order of computation."""
    image = jax.ShapeDtypeStruct((1, 65, 81, 3), jnp.float32)
    jaxpr = jax.make_jaxpr(lambda image: model.init(jax.random.key(0), image))(image)
    return [
        equation.params["rhs_dilation"][0]
        for equation in _equations(jaxpr)
        if equation.primitive.name == "conv_general_dilated"
        and equation.invars[1].aval.shape[:2] == (3, 3)
    ]


def _equations(jaxpr):
    """Those of a graph, and of the functions with a gradient of their own in it."""
    for equation in jaxpr.eqns:
        inner = equation.params.get("call_jaxpr")
        yield from [equation] if inner is None else _equations(inner)


@pytest.mark.parametrize(
    ("output_stride", "layer3", "layer4", "pyramid"),
    [
        (32, [1] * 6, [1, 2, 4], [3, 6, 9]),
        (16, [1] * 6, [2, 4, 8], [6, 12, 18]),
        (8, [2] * 6, [4, 8, 16], [12, 24, 36]),
    ],
)
def test_dilations_replace_strides(output_stride, layer3, layer4, pyramid):
    model = deeplab.DeepLabV3Plus(
        2, "resnet50", channels=16, output_stride=output_stride, norm="frozen_batch"
    )
    before, decoder = [1] * 7, [1, 1]
    assert _dilations(model) == before + layer3 + layer4 + pyramid + decoder


@pytest.mark.parametrize(("output_stride", "strides"), [(8, (8, 8)), (16, (16, 16))])
def test_later_levels_keep_the_output_stride(output_stride, strides):
    model = backbones.make("resnet18", output_stride=output_stride)
    features, variables = _shapes(model, (65, 97))
    sizes_hw = [(-(-65 // s), -(-97 // s)) for s in (4, 8, *strides)]
    assert [x.shape[1:3] for x in features.values()] == sizes_hw
    assert variables == _shapes(backbones.make("resnet18"), (65, 97))[1]


def test_encoder_gives_a_map_to_each_of_several_decoders():
    (deep, fine), _ = _shapes(deeplab.Encoder("tiny", channels=8), (29, 38))
    # Padded to 33 x 49 px.
    assert (deep.shape, fine.shape) == ((2, 3, 4, 8), (2, 9, 13, 4))


def test_only_the_backbone_is_frozen():
    variables = _shapes(_tiny(norm="frozen_batch"))[1]
    assert set(variables["batch_stats"]) == {"encoder"}
    assert set(variables["batch_stats"]["encoder"]) == {"resnet"}


@pytest.mark.slow
def test_training_step_reaches_every_layer_and_moves_the_statistics(
    rng, check_training_step
):
    model = _tiny(norm="sync_batch")
    image = jnp.asarray(rng.normal(size=(2, 29, 38, 3)), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(0), image)
    check_training_step(model, variables, image)
