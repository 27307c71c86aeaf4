"""What `matching.match` accepts: errors for bad arguments, masks for bad values."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import masking

LARGEST = 1e15
"""Magnitude up to which coordinates, scores and weights are taken: costs, which square
and multiply them, stay finite in float32."""


def check_shapes(proposals: Sequence[jax.Array], cells: Sequence[jax.Array]) -> None:
    """Checks shapes and dtypes, which are known under jit, too.

    Args:
      proposals: points_yx [B, M, 2], objectness [B, M], class_probs [B, M, K] and
        proposal_mask bool [B, M].
      cells: true_yx [B, N, 2], integer labels [B, N] and cell_mask bool [B, N].

    Raises:
      ValueError: naming the first that does not fit.
    """
    points_yx, objectness, class_probs, proposal_mask = proposals
    true_yx, labels, cell_mask = cells
    for name, array in {"objectness": objectness, "labels": labels}.items():
        if array.ndim != 2:
            raise ValueError(
                f"{name} is {array.shape}, should be [images, points]: matching takes "
                "a batch, so give one image a first axis of 1"
            )
    batch, num_proposals = objectness.shape
    num_cells = labels.shape[1]
    num_classes = class_probs.shape[-1] if class_probs.ndim == 3 else 1
    if num_classes == 0:
        raise ValueError(f"class_probs is {class_probs.shape}: no classes, give one")
    expected = {
        "points_yx": (points_yx, (batch, num_proposals, 2)),
        "class_probs": (class_probs, (batch, num_proposals, num_classes)),
        "proposal_mask": (proposal_mask, (batch, num_proposals)),
        "true_yx": (true_yx, (batch, num_cells, 2)),
        "labels": (labels, (batch, num_cells)),
        "cell_mask": (cell_mask, (batch, num_cells)),
    }
    for name, (array, shape) in expected.items():
        if array.shape != shape:
            raise ValueError(
                f"{name} is {array.shape}, should be {shape} to fit objectness "
                f"{objectness.shape} and labels {labels.shape}"
            )
    kinds = {
        "proposal_mask": (proposal_mask, np.bool_),
        "cell_mask": (cell_mask, np.bool_),
        "labels": (labels, np.integer),
    }
    for name, (array, kind) in kinds.items():
        if not jnp.issubdtype(array.dtype, kind):
            wanted = "bool" if kind is np.bool_ else "an integer type"
            raise ValueError(f"{name} is {array.dtype}, should be {wanted}: convert it")


def check_weights(weights: Mapping[str, float]) -> None:
    """Checks the weights of the cost.

    Args:
      weights: by name.

    Raises:
      ValueError: for a weight that is traced, or not within 0..`LARGEST`.
    """
    for name, value in weights.items():
        if not masking.is_known(value):
            raise ValueError(
                f"matching weight {name} is traced; weights are static: pass numbers, "
                "with jit as one of its static_argnames"
            )
        if not 0 <= float(value) <= LARGEST:
            raise ValueError(
                f"matching weight {name} is {value}; it must be >= 0 and at most "
                f"{LARGEST:.0e}"
            )


def check_values(proposals: Sequence[jax.Array], cells: Sequence[jax.Array]) -> None:
    """Checks the values of what is not masked; does nothing under jit.

    Args:
      proposals: as in `check_shapes`.
      cells: as in `check_shapes`.

    Raises:
      ValueError: for values that are not finite or beyond `LARGEST`, labels out of
        range, or an image with more cells than proposals.
    """
    if not all(map(masking.is_known, (*proposals, *cells))):
        return
    points_yx, objectness, class_probs, proposal_mask = map(np.asarray, proposals)
    true_yx, labels, cell_mask = map(np.asarray, cells)
    terms = {
        "proposal coordinates": (points_yx, proposal_mask),
        "objectness": (objectness[..., None], proposal_mask),
        "class probabilities": (class_probs, proposal_mask),
        "cell coordinates": (true_yx, cell_mask),
    }
    for name, (values, mask) in terms.items():
        real = (np.abs(values.astype(np.float64)) <= LARGEST).all(axis=-1)
        if (mask & ~real).any():
            image, row = np.argwhere(mask & ~real)[0]
            raise ValueError(
                f"{name} of image {image}, row {row} are not finite, or beyond "
                f"{LARGEST:.0e}"
            )
    num_classes = class_probs.shape[-1]
    bad = cell_mask & ((labels < 0) | (labels >= num_classes))
    if bad.any():
        image, row = np.argwhere(bad)[0]
        raise ValueError(
            f"label {labels[image, row]} of image {image}, cell {row} is not in "
            f"0..{num_classes - 1}"
        )
    _check_counts(proposal_mask, cell_mask)


def _check_counts(proposal_mask: np.ndarray, cell_mask: np.ndarray) -> None:
    num_proposals, num_cells = proposal_mask.sum(axis=1), cell_mask.sum(axis=1)
    too_many = num_cells > num_proposals
    if too_many.any():
        image = int(np.argmax(too_many))
        raise ValueError(
            f"image {image} has {num_cells[image]} cells but only "
            f"{num_proposals[image]} proposals: each cell needs one of its own; use "
            "denser anchor points"
        )


def drop_unreal(
    proposals: Sequence[jax.Array], cells: Sequence[jax.Array]
) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...]]:
    """Masks what is not finite, and zeros what is masked: it must not reach a sort.

    Args:
      proposals: as in `check_shapes`.
      cells: as in `check_shapes`.

    Returns:
      The same, as float32 up to `LARGEST`, int32 labels clipped to 0..K-1, and bool.
    """
    points_yx, objectness, class_probs = (
        jnp.asarray(x, jnp.float32) for x in proposals[:3]
    )
    true_yx, labels = jnp.asarray(cells[0], jnp.float32), jnp.asarray(cells[1])
    use = proposals[3] & (jnp.abs(objectness) <= LARGEST)
    use &= _all_real(points_yx) & _all_real(class_probs)
    real = cells[2] & _all_real(true_yx)
    clean = (
        jnp.where(use[..., None], points_yx, 0),
        jnp.where(use, objectness, 0),
        jnp.where(use[..., None], class_probs, 0),
        use,
    )
    labels = jnp.clip(labels.astype(jnp.int32), 0, class_probs.shape[-1] - 1)
    return clean, (jnp.where(real[..., None], true_yx, 0), labels, real)


def _all_real(values: jax.Array) -> jax.Array:
    return jnp.all(jnp.abs(values) <= LARGEST, axis=-1)  # False for NaN
