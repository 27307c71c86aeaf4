"""What each decoder's maps cost, of a batch's images: f32 [B]."""

from collections.abc import Callable, Mapping
import functools

import jax

from cellrec_jax import masking
from cellrec_jax.losses import multitask
from cellrec_jax.methods.multitask.options import LossOptions
from cellrec_jax.types import Batch, Metrics


def errors(norm: str) -> Callable[..., jax.Array]:
    """Of maps, targets and valid pixels: mean errors, see `multitask.map_error`."""
    return jax.vmap(functools.partial(multitask.map_error, norm=norm))


def of_main(
    logits: jax.Array, circles: jax.Array, valid: jax.Array, loss: LossOptions
) -> jax.Array:
    """Eq. 3, of logits and circles [B, H, W, K] where `valid` [B, H, W]."""
    one = functools.partial(
        multitask.main_loss,
        bce_weight=loss.bce_weight,
        iou_weight=loss.iou_weight,
        form=loss.iou_form,
        literal=loss.literal,
    )
    return jax.vmap(one)(logits, circles, valid)


def of_dynamic(
    probs: Mapping[str, jax.Array],
    polygons: jax.Array,
    valid: jax.Array,
    loss: LossOptions,
) -> dict[str, jax.Array]:
    """Eq. 4 and 5, of two decoders' maps and polygons [B, H, W, K]."""
    error = errors(loss.norm)
    return {
        "dynamic": error(probs["dynamic"], polygons, valid),
        "consistency": error(probs["main"], probs["dynamic"], valid),
    }


def of_prior(
    probs: jax.Array, target: jax.Array, valid: jax.Array, loss: LossOptions
) -> jax.Array:
    """Eq. 6, of a map and its target [B, H, W, 1]."""
    one = functools.partial(multitask.prior_error, norm=loss.norm, literal=loss.literal)
    return jax.vmap(one)(probs, target, valid)


def prior_metrics(
    target: jax.Array, circles: jax.Array, batch: Batch, loss: LossOptions
) -> Metrics:
    """The prior decoder's target in circles of its class, and beside them."""
    known = batch.valid & batch.image_mask[:, None, None]
    own = circles[..., loss.prior_class] > 0
    return {
        "prior_inside": masking.masked_sum_count(target[..., 0], known & own),
        "prior_outside": masking.masked_sum_count(target[..., 0], known & ~own),
    }
