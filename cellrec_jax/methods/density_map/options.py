"""Options of cell recognition by regressed maps; the defaults are Shui et al.'s.

The networks are the baselines of Table 1 of their paper: choose one by `network`.
"""

import dataclasses

from cellrec_jax import errors
from cellrec_jax.config import limits as validate
from cellrec_jax.nn import resnet
from cellrec_jax.ops import heatmaps

NETWORKS = ("fcrn_a", "fcrn_b", "unet", "res_unet", "deeplab")
TARGETS = ("stamp", "gaussian", "disc")
IOU_FORMS = ("product", "dice", "log", "min_max")


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Network and decoding."""

    network: str = "unet"
    """fcrn_a, fcrn_b, unet, res_unet or deeplab."""
    width: int = 0
    """Channels of the first block (of DeepLab's decoder); 0 is the published width."""
    backbone: str = "resnet101"
    """deeplab: the ResNet, or small for two CPU cores."""
    norm: str = "group"
    """group or sync_batch."""
    max_detections: int = 1000
    """Highest peaks of an image that are kept."""
    window_px: int = 1
    """A peak is the highest pixel up to this far away in y and x."""
    dtype: str = "float32"
    """Computation type: float32 or bfloat16."""

    def __post_init__(self) -> None:
        """Refuses impossible choices."""
        validate.require_choice("model.network", self.network, NETWORKS)
        validate.require_choice("model.backbone", self.backbone, tuple(resnet.STAGES))
        validate.require_choice("model.norm", self.norm, ("group", "sync_batch"))
        validate.require_choice("model.dtype", self.dtype, ("float32", "bfloat16"))
        if self.width < 0:
            raise errors.ConfigError(f"--config.model.width={self.width} is below 0")
        for key in ("max_detections", "window_px"):
            if getattr(self, key) < 1:
                raise errors.ConfigError(
                    f"--config.model.{key}={getattr(self, key)} must be at least 1"
                )


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """Reference maps and the loss."""

    target: str = "stamp"
    """stamp (7x7 px as printed), gaussian (all of it), or disc (a filled circle)."""
    sigma_px: float = 6.0
    """Of stamp and gaussian."""
    side_px: int = 7
    """Side of the stamp, odd."""
    radius_px: float = 10.0
    """Of the disc."""
    bce_weight: float = 0.8
    iou_weight: float = 0.2
    iou_form: str = "product"
    """product, dice, log or min_max; see `losses.heatmap`."""

    def __post_init__(self) -> None:
        """Refuses impossible choices."""
        validate.require_choice("loss.target", self.target, TARGETS)
        validate.require_choice("loss.iou_form", self.iou_form, IOU_FORMS)
        for key in ("sigma_px", "radius_px"):
            validate.require_positive(f"loss.{key}", getattr(self, key))
        for key in ("bce_weight", "iou_weight"):
            validate.require_not_negative(f"loss.{key}", getattr(self, key))
        if self.side_px < 1 or self.side_px % 2 == 0:
            raise errors.ConfigError(
                f"--config.loss.side_px={self.side_px} must be odd and at least 1"
            )

    def maps(self) -> heatmaps.MapOptions:
        """How cells are painted, unless as discs."""
        form = "stamp" if self.target == "stamp" else "gaussian"
        return heatmaps.MapOptions(
            form=form, sigma_px=self.sigma_px, side_px=self.side_px
        )


@dataclasses.dataclass(frozen=True)
class Options:
    """All options of the method."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
