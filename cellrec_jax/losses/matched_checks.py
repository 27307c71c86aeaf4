"""Checks of the arguments of `losses.matched`: values where they are known."""

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import masking

_SHAPES = {
    "objectness_logits": "MS",
    "class_logits": "MK",
    "pred_yx": "M2",
    "proposal_mask": "M",
    "negative_scale": "M",
    "labels": "N",
    "true_yx": "N2",
    "proposal_idx": "N",
}


def check_arrays(**arrays: jax.Array | None) -> int:
    """Checks shapes, types and labels of what `matched_losses` takes.

    Args:
      **arrays: by the names of its arguments; None where left out.

    Returns:
      K, the number of classes.

    Raises:
      ValueError: see `matched.matched_losses`.
    """
    given = {name: array for name, array in arrays.items() if array is not None}
    sizes = _sizes(given)
    for name in ("labels", "proposal_idx"):
        if not jnp.issubdtype(given[name].dtype, jnp.integer):
            raise ValueError(f"{name} must be integers, not {given[name].dtype}")
    mask = given.get("proposal_mask")
    if mask is not None and mask.dtype != bool:
        raise ValueError(f"proposal_mask must be bool, not {mask.dtype}")
    joint = "class_logits" not in given
    num_classes = sizes["S"] - 1 if joint else sizes["K"]
    if num_classes < 1 or not (joint or sizes["S"] == 2):
        raise ValueError(
            "objectness_logits need 2 columns and class_logits K >= 1, or the former "
            f"K + 1 without the latter; they have {sizes['S']} and {sizes.get('K')}"
        )
    _check_labels(given["labels"], given["proposal_idx"], num_classes)
    return num_classes


def _sizes(arrays: dict[str, jax.Array]) -> dict[str, int]:
    """Sizes of the axes; the first array with a letter tells it to the others."""
    sizes = {"2": 2}
    for name, array in arrays.items():
        letters = _SHAPES[name]
        fits = array.ndim == len(letters)
        for letter, size in zip(letters, array.shape, strict=False):
            fits &= sizes.setdefault(letter, size) == size
        if not fits:
            wanted = ", ".join(str(sizes.get(letter, letter)) for letter in letters)
            raise ValueError(f"{name} is {array.shape}, should be [{wanted}]")
    return sizes


def _check_labels(labels: jax.Array, proposal_idx: jax.Array, num_classes: int) -> None:
    if not (masking.is_known(labels) and masking.is_known(proposal_idx)):
        return
    # NumPy, since JAX would trace these inside a jit that closes over them.
    known, matched = np.asarray(labels), np.asarray(proposal_idx) >= 0
    wrong = matched & ((known < 0) | (known >= num_classes))
    if wrong.any():
        cell = int(np.argmax(wrong))
        raise ValueError(
            f"label {known[cell]} of cell {cell} is not in 0..{num_classes - 1}"
        )
