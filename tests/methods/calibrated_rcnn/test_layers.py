"""Names of trained tensors against the order in which modules are called."""

from flax import linen as nn
import jax
import jax.numpy as jnp
import pytest

from cellrec_jax.methods.calibrated_rcnn import layers
from cellrec_jax.nn import resnet, two_stage

WIDTHS = {"channels": 8, "rpn_channels": 8, "head_channels": 8, "num_anchors": 1}


def _names_and_calls(backbone, norm, min_level, frozen=False):
    """Names of tensors, and the paths of convolutions and dense layers as called."""
    network = two_stage.TwoStage(
        num_classes=2,
        backbone=backbone,
        norm=norm,
        min_level=min_level,
        merge="add",
        **WIDTHS,
    )
    called = []

    def note(call, args, kwargs, context):
        if isinstance(context.module, nn.Conv | nn.Dense):
            called.append("/".join(context.module.path))
        return call(*args, **kwargs)

    def draw():
        image, pooled = jnp.zeros((1, 64, 64, 3)), jnp.zeros((1, 1, 7, 7, 8))
        with nn.intercept_methods(note):
            return network.init(jax.random.key(0), image, pooled, method="both")

    params = jax.eval_shape(draw)["params"]
    trainable = jax.tree.map(lambda _: True, params)
    trainable["resnet"] = resnet.trainable_mask(params["resnet"], norm, frozen)
    return layers.names(params, trainable), list(dict.fromkeys(called))


@pytest.mark.parametrize(
    ("backbone", "min_level"), [("small", 2), ("resnet18", 3), ("resnet50", 2)]
)
def test_the_order_is_that_of_the_calls(backbone, min_level):
    names, called = _names_and_calls(backbone, "group", min_level)
    modules = list(dict.fromkeys(name.rpartition("/")[0] for name in names))
    assert modules == called
    biased = [m for m in modules if not m.startswith("resnet/")]
    assert len(names) == len(modules) + len(biased)
    leaves = [name for name in names if name.startswith("roi_head/fc1/")]
    assert leaves == ["roi_head/fc1/kernel", "roi_head/fc1/bias"]


def test_the_papers_number_of_layers():
    names, _ = _names_and_calls("resnet50", "frozen_batch", 2, frozen=True)
    assert len(names) == 80
    assert names[0] == "resnet/layer1_0/conv1/kernel"
    assert names[51:54] == (
        "resnet/layer4_2/conv3/kernel",
        "fpn/lateral5/kernel",
        "fpn/lateral5/bias",
    )
    assert names[-1] == "roi_head/box/bias"
    assert _names_and_calls("resnet50", "frozen_batch", 2)[0][1:] == names
