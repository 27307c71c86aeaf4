"""The detector's trained tensors in the order in which an image passes them."""

from typing import Any

import jax

from cellrec_jax.data.pixels.files import natural_key
from cellrec_jax.nn import norm as norms

_PARTS = ("resnet", "fpn", "rpn", "roi_head")
_HEADS = ("conv", "fc1", "fc2", "cls", "box")
_LEAVES = ("kernel", "bias")


def names(params: Any, trainable: Any) -> tuple[str, ...]:
    """Paths such as "resnet/layer1_0/conv1/kernel", in the order of the forward pass.

    Of what `trainable`, a tree of bool as `Traits.trainable` gives it, marks, norms
    left out: 80 of ResNet-50 with frozen norms and stem, as many as Li et al. 2021,
    section 5, call layers; a block's projection follows its convolutions.
    """
    norm, trained = named(norms.norm_mask(params)), named(trainable)
    chosen = [name for name in named(params) if trained[name] and not norm[name]]
    return tuple(sorted(chosen, key=_place))


def named(tree: Any) -> dict[str, Any]:
    """Path -> leaf of a tree of parameters."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def _place(name: str) -> tuple[Any, ...]:
    """What names are sorted by."""
    part, *modules, leaf = name.split("/")
    inside: tuple[Any, ...] = tuple(natural_key("/".join(modules)))
    if part == "fpn":  # coarse first; what is merged before what is made of it
        inside = (-int(modules[0][-1]), modules[0])
    elif part != "resnet":
        inside = (_HEADS.index(modules[0]),)
    return _PARTS.index(part), inside, _LEAVES.index(leaf)
