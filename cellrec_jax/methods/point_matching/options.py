"""Options of recognition by matched points; the defaults are Shui et al.'s.

What the paper leaves open follows its authors' later public code (ResNet-50, constant
learning rate) where there is one. P2PNet, its baseline, is another choice of the same
options: `encoder`, `aggregation="fpn"`, `head="plain"`, `level=3`, `anchors="2x2"`, ...
"""

import dataclasses

from cellrec_jax import errors
from cellrec_jax.config.limits import check, option, require, words
from cellrec_jax.losses.calibration import DOUBTS, WEIGHTED, Doubt
from cellrec_jax.losses.matched import NORMALIZERS, PointLossOptions
from cellrec_jax.methods.calibration_options import CalibrationOptions, check_doubt
from cellrec_jax.methods.compute_options import ComputeOptions
from cellrec_jax.methods.encoder import NORMS, check_norm, norm_kind
from cellrec_jax.nn import backbones, point_net
from cellrec_jax.ops import anchors, matching


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Architecture, anchor points and decoding."""

    encoder: str = option("resnet50", choices=backbones.names())
    """Of `nn.backbones`: resnet18, 34, 50 or 101, vgg16 (P2PNet's); small or vgg_small
    (for two CPU cores)."""
    pretrained: str = ""
    """Weights with torchvision's names (.safetensors, .npz); "" trains from scratch."""
    norm: str = option("auto", choices=NORMS)
    """frozen_batch, sync_batch, group, or auto: frozen_batch with pretrained weights,
    group without."""
    channels: int = option(256, above=0)
    """Width of the aggregation and the heads."""
    aggregation: str = option("concat", choices=point_net.AGGREGATIONS)
    """concat (the paper's pyramidal aggregation), sum, fpn (P2PNet's) or last."""
    level: int = 5
    """log2 of the heads' stride: 5 is 32 px."""
    anchors: str = "five"
    """Anchor points of a feature cell: five, or RxC as 2x2; see `ops.anchors`."""
    origin: str = option("corner", choices=("corner", "center"))
    """Where images lie that are no whole number of feature cells: corner (padded at the
    bottom and the right) or center (on all sides alike, so that the grid of anchor
    points sticks out on all, as in the authors' later code)."""
    head: str = option("residual", choices=point_net.HEADS)
    """residual (two blocks and a 1x1 convolution) or plain (P2PNet's three 3x3)."""
    class_head: bool = True
    """A head of its own for classes; else one softmax over K classes and background."""
    score_rule: str = option("mass", choices=("mass", "argmax"))
    """What is a cell without a class head, besides the threshold of the probability of
    all classes together: mass (nothing more), or argmax (one class is likelier than
    background, as in the authors' later code). With a class head they are one."""
    offset_scale: float = option(1.0, above=0)
    """Px that an offset of 1 moves a point by; P2PNet takes 100."""
    max_detections: int = option(1000, above=0)
    """Best detections of an image that are kept."""

    def __post_init__(self) -> None:
        check("model", self)
        check_norm(self.norm, self.pretrained)
        backbone = backbones.BACKBONES[self.encoder]
        require(
            self.level in backbone.channels,
            f"model.level={self.level}: {self.encoder} has {words(backbone.channels)}",
        )
        require(
            not self.pretrained or backbone.torchvision,
            f"model.pretrained is for ResNets, not {self.encoder}: leave it empty",
        )
        try:
            anchors.points_per_cell(self.anchors)
        except ValueError as error:
            raise errors.ConfigError(f"--config.model.anchors: {error}") from error

    @property
    def norm_kind(self) -> str:
        """The kind of `nn.norm` that `norm` stands for."""
        return norm_kind(self.norm, self.pretrained)


@dataclasses.dataclass(frozen=True)
class LossOptions(CalibrationOptions):
    """Matching, the three losses, and calibration of detection: an extension.

    With one of objectness alone, C of `losses.calibration` is 2.
    """

    matcher: str = option("auto", choices=matching.BACKENDS)
    """host, device or auto; see `ops.matching`."""
    distance_cost: float = option(0.05, least=0)
    """alpha of Eq. 2, per px."""
    negative_weight: float = option(0.6, least=0)
    """beta of Eq. 4."""
    normalizer: str = option("proposals", choices=NORMALIZERS)
    """What Eq. 4 divides by: proposals (M), weights (their sum, as P2PNet), cells (as
    focal losses), or each (matched and unmatched proposals by their own number: for
    sparse labels)."""
    negative_ratio: float = option(0.0, least=0)
    """Unmatched proposals that count, drawn anew in each step, for each matched one of
    the image (where none is: as for one); 0 takes all. 3 is usual for detectors."""
    focal: float = option(0.0, least=0)
    """gamma of a focal detection loss (2 is usual, with normalizer=cells); 0 is cross
    entropy."""
    classification: str = option("gce", choices=("gce", "cross_entropy"))
    """gce (Eq. 5), or cross_entropy; one softmax with background has the latter."""
    q: float = option(0.4, above=0, most=1)
    """Of the generalised cross entropy, in (0, 1]."""
    gamma: float = option(0.1, least=0)
    """Weight of the L2 term of Eq. 5."""
    squared_norm: bool = False
    """Square the L2 term."""
    class_reduction: str = option("mean", choices=("mean", "sum"))
    """mean over cells, or sum as Eq. 6 is printed."""
    point_error: str = option("squared", choices=("squared", "norm"))
    """squared, or norm as Eq. 3 is printed."""
    regression_weight: float = option(2e-3, least=0)
    """lambda of Eq. 7."""
    doubtful: str = option("weighted", choices=DOUBTS)
    """bde: which proposals may be cells and have energy: weighted (all of them, by
    their scores), top (the best doubtful_share) or confident (above 0.5: none where
    labels are sparse)."""
    doubtful_share: float = option(0.1, above=0, below=1)
    """top: share of an image's proposals."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_doubt(self, self.calibration == "bde", f"calibration={self.calibration}")
        require(
            not self.focal or self.calibration in ("plain", *WEIGHTED),
            f"loss.focal={self.focal} and loss.calibration={self.calibration} are two "
            "losses: set one of them to 0 or plain",
        )

    def doubt(self) -> Doubt:
        """Which proposals may be cells."""
        return Doubt(self.doubtful, self.doubtful_share)

    def terms(self) -> PointLossOptions:
        """The part that `losses.points` reads."""
        return PointLossOptions(
            negative_weight=self.negative_weight,
            q=self.q,
            gamma=self.gamma,
            regression_weight=self.regression_weight,
            point_error=self.point_error,
            squared_norm=self.squared_norm,
            class_reduction=self.class_reduction,
            classification=self.classification,
            normalizer=self.normalizer,
        )


@dataclasses.dataclass(frozen=True)
class Options:
    """All options of the method."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
    compute: ComputeOptions = dataclasses.field(default_factory=ComputeOptions)

    def __post_init__(self) -> None:
        require(
            self.model.class_head or self.loss.classification != "gce",
            "loss.classification=gce needs a class head: set "
            "--config.model.class_head=true, or classification=cross_entropy",
        )
