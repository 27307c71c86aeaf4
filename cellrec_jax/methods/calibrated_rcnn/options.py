"""Options of the calibrated two-stage detector; the defaults are the BDE paper's.

What it leaves open follows the TensorFlow FPN that it most likely used.
"""

import dataclasses

from cellrec_jax.config.limits import check, option, require
from cellrec_jax.losses import unmatched
from cellrec_jax.methods import encoder, refine_options
from cellrec_jax.methods.calibrated_rcnn.mining_options import (
    MiningOptions,
    check_mining,
)
from cellrec_jax.methods.calibration_options import CalibrationOptions, check_idle
from cellrec_jax.methods.compute_options import ComputeOptions
from cellrec_jax.nn import backbones


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Architecture, assignment and decoding."""

    backbone: str = option("resnet50", choices=backbones.names(levels=(2, 3, 4, 5)))
    """Of `nn.backbones`: resnet18, 34, 50 or 101, or small (for two CPU cores)."""
    pretrained: str = ""
    """Weights with torchvision's names (.safetensors, .npz); "" trains from scratch."""
    norm: str = option("auto", choices=encoder.NORMS)
    """frozen_batch, sync_batch, group, or auto: frozen_batch with pretrained weights,
    as the paper, and group without."""
    freeze_stem: bool = True
    """Keep the first convolution fixed where it is pretrained, as the paper does."""
    channels: int = option(256, above=0)
    """Width of the pyramid."""
    rpn_channels: int = option(512, above=0)
    """Width of the proposal head."""
    head_channels: int = option(1024, above=0)
    """Width of the second stage's two dense layers."""
    min_level: int = option(2, choices=(2, 3, 4, 5))
    """Finest pyramid level; 2 has stride 4."""
    merge: str = option("half", choices=("half", "add"))
    """half (0.5 up + 0.5 lateral, the paper's lineage) or add."""
    anchor_sizes: tuple[float, ...] = option((32.0, 64.0, 128.0, 256.0, 512.0), above=0)
    """Anchor side in px of each pyramid level."""
    anchor_ratios: tuple[float, ...] = option((0.5, 1.0, 2.0), above=0)
    """Height / width of the anchors."""
    rpn_positive_iou: float = option(0.7, least=0, most=1)
    rpn_negative_iou: float = option(0.3, least=0, most=1)
    rpn_batch: int = option(256, above=0)
    """Anchors sampled an image."""
    rpn_positive_fraction: float = option(0.5, least=0, most=1)
    pre_nms_train: int = option(12000, above=0)
    """Best proposals that enter suppression in training."""
    post_nms_train: int = option(2000, above=0)
    """Proposals kept in training."""
    pre_nms_test: int = option(6000, above=0)
    post_nms_test: int = option(1000, above=0)
    pre_nms_level: int = option(0, least=0)
    """Instead, the best of each pyramid level that enter suppression, in training and
    testing; 0 takes the best of all levels together, as the paper's lineage."""
    proposal_nms_iou: float = option(0.7, least=0, most=1)
    roi_batch: int = option(256, above=0)
    """RoIs sampled an image."""
    roi_positive_fraction: float = option(0.25, least=0, most=1)
    roi_positive_iou: float = option(0.5, least=0, most=1)
    """Overlap from which a RoI is a cell; less is background."""
    roi_add_truth: bool = False
    """Add annotated boxes to the proposals in training; the lineage does not."""
    roi_size: int = option(7, above=0)
    roi_samples: int = option(2, above=0)
    roi_pool: str = option("average", choices=("average", "max"))
    """average (RoIAlign) or max (crop-and-resize then max-pool, the lineage)."""
    roi_form: str = option("auto", choices=("auto", "einsum", "gather"))
    """einsum, gather or auto; see `ops.roi_align`."""
    nms_iou: float = option(0.3, least=0, most=1)
    """Overlap above which the lesser of two detections of a class is dropped."""
    max_detections: int = option(100, above=0)
    """Detections an image and class. Holds recall down in crowded images."""

    def __post_init__(self) -> None:
        check("model", self)
        encoder.check_norm(self.norm, self.pretrained)
        levels = 7 - self.min_level
        require(
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
class LossOptions(CalibrationOptions, MiningOptions):
    """Loss calibration, mining and the weights of the four terms."""

    calibration: str = option("bde", choices=unmatched.BOX_CALIBRATIONS)
    """plain, bde, constant, label_smoothing, proselflc, confidence_penalty;
    soft_sampling (unmatched boxes weigh by how near annotations are), recalibrated
    (those that are taken for cells are pulled up) or pu (they are unlabelled): see
    `losses.unmatched`, `calibrated_rcnn.risk`."""
    scope: str = option("second", choices=("second", "both"))
    """Where calibration applies: second (the paper) or both stages."""
    energy: str = option("density", choices=("density", "neighbors", "kernel", "score"))
    """density (Eq. 8); extensions: neighbors (nearest boxes only), kernel (one over a
    Gaussian kernel density), score (1 - the box's own probability of any cell: what is
    taken for a cell is not taught as background)."""
    energy_order: str = option("own", choices=unmatched.ORDERS)
    """bde: own; controls with the same weights at other boxes of the image that have
    no annotation: permuted (at random) or inverse (the densest has the largest)."""
    kernel_px: float = option(0.0, least=0)
    """kernel: standard deviation, px; 0 is half the median side of the image's boxes,
    of cells nearly, so that a neighbour one side away adds 0.14."""
    energy_boxes: str = option("decoded", choices=("decoded", "proposals"))
    """Boxes whose density counts: decoded second-stage boxes, or proposals."""
    literal: bool = False
    """bde: Eq. 9 as printed, where background boxes cost nothing."""
    soft_by: str = option("overlap", choices=("overlap", "distance"))
    """soft_sampling: overlap with an annotated box (the paper), or distance to one."""
    soft_least: float = option(unmatched.GOMPERTZ.a, least=0, most=1)
    """soft_sampling: weight far from all annotations."""
    soft_reach: float = option(2.0, above=0)
    """soft_sampling by distance: where that is reached, in sides of the annotated box;
    a half of the way is at 0.79 of it."""
    recalibrated_threshold: float = option(0.5, least=0, below=1)
    """recalibrated: probability of any cell above which a box is pulled up."""
    recalibrated_iou: float = option(0.1, above=0, most=1)
    """recalibrated: overlap with annotations below which that is done."""
    recalibrated_weight: float = option(0.1, least=0)
    """recalibrated: what these weigh."""
    prior: float = option(0.0, least=0, below=1)
    """pu: share of cells among sampled boxes without an annotation, in (0, 1); 0
    follows the share that the network takes for cells, up to a half."""
    rpn_sigma: float = option(3.0, above=0)
    """Corner of the first stage's smooth L1."""
    roi_sigma: float = option(1.0, above=0)
    """Corner of the second stage's smooth L1 (Eq. 4)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.calibration == "bde" or not self.literal,
            f"loss.literal is a reading of bde: with loss.calibration="
            f"{self.calibration} leave it out",
        )
        check_mining(self)
        self._check_idle()

    def _check_idle(self) -> None:
        """Refuses options of what was not chosen, with a `ConfigError`."""
        energies = self.calibration == "bde" and not self.literal
        wanted = "literal=false" if self.literal else "calibration=bde"
        kernel, score = self.energy == "kernel", self.energy == "score"
        soft = self.calibration == "soft_sampling"
        recalibrated = self.calibration == "recalibrated"
        acts = {
            "energy_order": (energies, wanted),
            "kernel_px": (energies and kernel, wanted if kernel else "energy=kernel"),
            "energy_boxes": (not score, "energy=density"),
            "soft_by": (soft, "calibration=soft_sampling"),
            "soft_least": (soft, "calibration=soft_sampling"),
            "soft_reach": (soft and self.soft_by == "distance", "soft_by=distance"),
            "recalibrated_threshold": (recalibrated, "calibration=recalibrated"),
            "recalibrated_iou": (recalibrated, "calibration=recalibrated"),
            "recalibrated_weight": (recalibrated, "calibration=recalibrated"),
            "prior": (self.calibration == "pu", "calibration=pu"),
        }
        check_idle(self, acts)

    def gompertz(self) -> unmatched.Gompertz:
        """Weights of soft sampling."""
        return unmatched.GOMPERTZ._replace(a=self.soft_least)


@dataclasses.dataclass(frozen=True)
class RefineOptions(refine_options.RefineOptions):
    """Rounds of pseudo labels: an extension; by default all detections are taken."""

    carry_over: bool = False
    """Keep peaks of the last round that have no new peak within match_px."""
    match_px: float = option(12.0, above=0)
    """Largest distance of a peak and the label that it matches."""
    rank: str = option("score", choices=refine_options.RANKS)
    """What tells which unlabelled peaks are surest: score (the detector's own) or
    p_classification (of the features of patches, by a classifier that is trained for
    it; Fujii et al. 2021)."""
    take: str = option("threshold", choices=refine_options.TAKES)
    """How many become labels: threshold (as many cells as score at or above the
    detector's own threshold, fitted as for any run, and bottom_share of the peaks below
    it, which only a lower candidate_threshold finds) or share (top_share and
    bottom_share of the unlabelled peaks; Fujii et al.). By score and threshold a round
    renews the labels that the last one took: what is not found any more is dropped."""
    patch_colors: str = option("all", choices=refine_options.COLORS)
    """What patches are read of: all (the channels, as stains tell cells apart) or grey
    (their mean)."""


@dataclasses.dataclass(frozen=True)
class Options:
    """All options of the method."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
    refine: RefineOptions = RefineOptions()
    compute: ComputeOptions = dataclasses.field(default_factory=ComputeOptions)

    def __post_init__(self) -> None:
        if self.refine.rounds and self.refine.rank == "p_classification":
            refine_options.check_patches(self.refine, "refine", judges=True)

    @property
    def judging(self) -> RefineOptions:
        """Options of rounds; peaks have no other classifier."""
        return self.refine
