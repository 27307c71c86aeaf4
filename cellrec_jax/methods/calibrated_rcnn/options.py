"""Options of the calibrated two-stage detector; the defaults are the BDE paper's.

What the paper leaves open follows the TensorFlow FPN implementation that it most
likely used (its "80 layers" are that code's 80 trainable tensors).
"""

import dataclasses

from cellrec_jax.config import limits as validate
from cellrec_jax.methods import encoder
from cellrec_jax.methods.calibration_options import CalibrationOptions
from cellrec_jax.nn import resnet

_COUNTS = (
    *("channels", "rpn_channels", "head_channels", "anchor_sizes", "anchor_ratios"),
    *("rpn_batch", "pre_nms_train", "post_nms_train", "pre_nms_test", "post_nms_test"),
    *("roi_batch", "roi_size", "roi_samples", "roi_canonical", "box_scales"),
    "max_detections",
)
_SHARES = (
    *("rpn_positive_iou", "rpn_negative_iou", "rpn_positive_fraction"),
    *("proposal_nms_iou", "roi_positive_fraction", "roi_positive_iou", "nms_iou"),
    "anchor_offset",
)


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Architecture, assignment and decoding."""

    backbone: str = "resnet50"
    """resnet18, 34, 50 or 101; small (for two CPU cores) or tiny (for tests)."""
    pretrained: str = ""
    """Weights with torchvision's names (.safetensors, .npz); "" trains from scratch."""
    norm: str = "auto"
    """frozen_batch, sync_batch, group, or auto: frozen_batch with pretrained weights,
    as the paper, and group without."""
    freeze_stem: bool = True
    """Keep the first convolution fixed where it is pretrained, as the paper does."""
    channels: int = 256
    """Width of the pyramid."""
    rpn_channels: int = 512
    """Width of the proposal head."""
    head_channels: int = 1024
    """Width of the second stage's two dense layers."""
    min_level: int = 2
    """Finest pyramid level; 2 has stride 4."""
    merge: str = "half"
    """half (0.5 up + 0.5 lateral, the paper's lineage) or add."""
    dtype: str = "float32"
    """Computation type: float32 or bfloat16."""
    remat: bool = False
    """Recompute backbone activations to save memory."""
    anchor_sizes: tuple[float, ...] = (32.0, 64.0, 128.0, 256.0, 512.0)
    """Anchor side in px of each pyramid level."""
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Height / width of the anchors."""
    anchor_offset: float = 0.0
    """Where in a cell anchors sit: 0 its corner (the lineage), 0.5 its middle."""
    rpn_positive_iou: float = 0.7
    rpn_negative_iou: float = 0.3
    rpn_batch: int = 256
    """Anchors sampled an image."""
    rpn_positive_fraction: float = 0.5
    pre_nms_train: int = 12000
    """Best proposals that enter suppression in training."""
    post_nms_train: int = 2000
    """Proposals kept in training."""
    pre_nms_test: int = 6000
    post_nms_test: int = 1000
    proposal_nms_iou: float = 0.7
    roi_batch: int = 256
    """RoIs sampled an image."""
    roi_positive_fraction: float = 0.25
    roi_positive_iou: float = 0.5
    """Overlap from which a RoI is a cell; less is background."""
    roi_add_truth: bool = False
    """Add annotated boxes to the proposals in training; the lineage does not."""
    roi_size: int = 7
    roi_samples: int = 2
    roi_pool: str = "average"
    """average (RoIAlign) or max (crop-and-resize then max-pool, the lineage)."""
    roi_form: str = "auto"
    """einsum, gather or auto; see `ops.roi_align`."""
    roi_canonical: float = 224.0
    """Box side that is pooled from level 4."""
    box_scales: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    """Scales of the second stage's box targets."""
    nms_iou: float = 0.3
    """Overlap above which the lesser of two detections of a class is dropped."""
    max_detections: int = 100
    """Detections an image and class. Holds recall down in crowded images."""

    def __post_init__(self) -> None:
        """Refuses impossible combinations."""
        validate.require_choice("model.backbone", self.backbone, tuple(resnet.STAGES))
        encoder.check_norm(self.norm, self.pretrained)
        validate.require_choice("model.merge", self.merge, ("half", "add"))
        validate.require_choice("model.dtype", self.dtype, ("float32", "bfloat16"))
        validate.require_choice("model.roi_pool", self.roi_pool, ("average", "max"))
        validate.require_choice(
            "model.roi_form", self.roi_form, ("auto", "einsum", "gather")
        )
        for key in _COUNTS:
            validate.require_positive(f"model.{key}", getattr(self, key))
        for key in _SHARES:
            validate.require_share(f"model.{key}", getattr(self, key))
        validate.require(
            2 <= self.min_level <= 5,
            f"model.min_level={self.min_level}: choose 2, 3, 4 or 5",
        )
        levels = 7 - self.min_level
        validate.require(
            len(self.anchor_sizes) == levels,
            f"model.anchor_sizes has {len(self.anchor_sizes)} sizes for {levels} "
            f"pyramid levels ({self.min_level} to 6): give one a level",
        )

    @property
    def norm_kind(self) -> str:
        """The kind of `nn.norm` that `norm` stands for."""
        return encoder.norm_kind(self.norm, self.pretrained)

    @property
    def stem_is_frozen(self) -> bool:
        """Whether the stem stays as it is: never one of random weights."""
        return self.freeze_stem and bool(self.pretrained)


@dataclasses.dataclass(frozen=True)
class LossOptions(CalibrationOptions):
    """Loss calibration and the weights of the four terms."""

    calibration: str = "bde"
    """plain, bde, label_smoothing, proselflc or confidence_penalty."""
    scope: str = "second"
    """Where calibration applies: second (the paper) or both stages."""
    energy: str = "density"
    """density (Eq. 8), or neighbors (nearest boxes only: an extension)."""
    energy_boxes: str = "decoded"
    """Boxes whose density counts: decoded second-stage boxes, or proposals."""
    literal: bool = False
    """bde: Eq. 9 as printed, where background boxes cost nothing."""
    rpn_sigma: float = 3.0
    """Corner of the first stage's smooth L1."""
    roi_sigma: float = 1.0
    """Corner of the second stage's smooth L1 (Eq. 4)."""
    rpn_cls_weight: float = 1.0
    rpn_box_weight: float = 1.0
    roi_cls_weight: float = 1.0
    roi_box_weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuses unknown choices."""
        super().__post_init__()
        validate.require_choice("loss.scope", self.scope, ("second", "both"))
        validate.require_choice("loss.energy", self.energy, ("density", "neighbors"))
        validate.require_choice(
            "loss.energy_boxes", self.energy_boxes, ("decoded", "proposals")
        )
        for key in ("rpn_sigma", "roi_sigma"):
            validate.require_positive(f"loss.{key}", getattr(self, key))
        for stage in ("rpn_cls", "rpn_box", "roi_cls", "roi_box"):
            key = f"{stage}_weight"
            validate.require_not_negative(f"loss.{key}", getattr(self, key))
        validate.require(
            self.calibration == "bde" or not self.literal,
            f"loss.literal is a reading of bde: with loss.calibration="
            f"{self.calibration} leave it out",
        )


@dataclasses.dataclass(frozen=True)
class Options:
    """All options of the method."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
