"""Options of detection by a position heat map; the defaults are those of Fujii et al.

Distances are in px of the network's images: half of each at half resolution.
"""

import dataclasses

from cellrec_jax.config.limits import check, option, require
from cellrec_jax.losses.calibration import DOUBTS, Doubt
from cellrec_jax.methods.calibration_options import check_doubt
from cellrec_jax.methods.compute_options import ComputeOptions
from cellrec_jax.methods.refine_options import RefineOptions, check_patches

FORMS = ("masked", "plain", "constant", "bde", "recalibrated", "mean_teacher", "pu")
PEAK_RULES = ("relative", "absolute")
CUTS = ("candidates", "always", "never")


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Detector and peak rule."""

    width: int = option(64, above=0)
    """Channels of the U-Net at full resolution; 64 has 13,394,177 parameters."""
    norm: str = option("sync_batch", choices=("group", "layer", "sync_batch"))
    """sync_batch (the code's batch norm) or group."""
    resize: str = option("nearest", choices=("nearest", "bilinear_aligned"))
    """nearest (the code) or bilinear_aligned (Nishimura et al.)."""
    activation: str = option("linear", choices=("linear", "sigmoid"))
    """Of the output: linear (the code) or sigmoid (Nishimura et al.)."""
    peak_rule: str = option("relative", choices=PEAK_RULES)
    """relative: each image's own lowest and highest value become 0 and 1, as in the
    code, so that an image without cells has peaks too; absolute: heights as they are,
    so that an empty image may stay empty."""
    cut_negative: str = option("candidates", choices=CUTS)
    """Where heights below 0 become 0 before peaks are looked for: candidates (on
    training images between rounds only, as in the code), always or never. It moves the
    relative threshold: where background is far below 0, half of the range is low."""
    window_px: int = option(6, above=0)
    """A peak is the highest pixel up to this far away in y and x."""
    max_detections: int = option(1000, above=0)
    """Highest peaks of an image that are kept."""
    classifier: str = option("", choices=("", "alexnet", "small"))
    """A network of `nn.patch_net` that decides on each peak's patch (the comparison
    with Yang et al.): alexnet or small; "" lets the heat map decide."""
    patch_px: int = option(27, above=0)
    """Side of the classifier's patches; how they are read is set by `refine`."""

    def __post_init__(self) -> None:
        check("model", self)


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """What is painted, and how pixels without a label count."""

    form: str = option("masked", choices=FORMS)
    """masked: only discs around labels count. plain: all pixels, those without a label
    as background (Nishimura et al.). constant: plain, but these weigh constant_weight.
    bde, recalibrated: plain, but for peaks, or pixels, that may be cells (doubtful);
    constant is their control. mean_teacher: plain, but for the peaks of
    averaged weights. pu: the non-negative risk of pixels (Yang et al.), with activation
    sigmoid."""
    sigma_px: float = option(6.0, above=0)
    """Of the Gaussian at each cell."""
    radius_px: float = option(12.0, above=0)
    """Of the discs around labels: 2 sigma."""
    range_weight: float = option(0.0, least=0)
    """Of heights outside [0, 1] on any pixel, labelled or not: no target lies there.
    Not in the paper; see `losses.sparse_heatmap.outside_range`."""
    threshold: float = option(0.5, least=0, below=1)
    """mean_teacher, and doubtful=confident: height from which a pixel may be an
    unlabelled cell."""
    doubtful: str = option("weighted", choices=DOUBTS)
    """bde (peaks), recalibrated (pixels): which may be unlabelled cells: weighted (all,
    as far as their height says), top (the highest doubtful_share) or confident (above
    threshold: none where labels are sparse)."""
    doubtful_share: float = option(0.1, above=0, below=1)
    """top: share of a crop's peaks above 0 (bde), or of its pixels without a label
    (recalibrated)."""
    max_peaks: int = option(256, above=0)
    """bde, mean_teacher: the highest peaks of a crop that may be unlabelled cells."""
    constant_weight: float = option(0.4, least=0)
    """constant: of pixels away from labels."""
    recalibrated_weight: float = option(0.1, least=0)
    """recalibrated: of such pixels, which are pulled up instead of down."""
    burn_in: float = option(0.3, least=0, below=1)
    """mean_teacher: share of the steps with the masked loss, before the teacher is
    asked; needs optim.ema."""
    prior: float = option(0.0, least=0, below=1)
    """pu: share of the pixels that belong to cells, in (0, 1); 0 follows the share of
    pixels that the network takes for cells, as Yang et al."""

    def __post_init__(self) -> None:
        check("loss", self)
        acts = self.form in ("bde", "recalibrated")
        check_doubt(self, acts, f"form={self.form}")

    def doubt(self) -> Doubt:
        """Which peaks, or pixels, may be unlabelled cells."""
        return Doubt(self.doubtful, self.doubtful_share, self.threshold)


@dataclasses.dataclass(frozen=True)
class Options:
    """All options of the method."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
    refine: RefineOptions = dataclasses.field(default_factory=RefineOptions)
    compute: ComputeOptions = dataclasses.field(default_factory=ComputeOptions)

    def __post_init__(self) -> None:
        model, loss = self.model, self.loss
        require(
            loss.form != "pu" or model.activation == "sigmoid",
            "loss.form=pu is a risk of logits: set --config.model.activation=sigmoid",
        )
        require(
            not loss.range_weight or model.activation == "linear",
            f"loss.range_weight={loss.range_weight} does nothing: with "
            "model.activation=sigmoid no height is outside [0, 1]; set it to 0",
        )
        require(
            not loss.prior or loss.form == "pu",
            f"loss.prior={loss.prior} does nothing: loss.form={loss.form} has no "
            "prior; set it to 0, or --config.loss.form=pu (refine.prior is that of "
            "the patch classifier)",
        )
        require(
            not self.refine.rounds or loss.form == "masked",
            f"refine.rounds={self.refine.rounds} needs --config.loss.form=masked: "
            f"{loss.form} makes use of all that is not labelled by itself",
        )
        require(
            not model.classifier or self.refine.rank == "p_classification",
            f"refine.rank={self.refine.rank} has no classifier of peaks, but "
            f"model.classifier={model.classifier} asks one: leave one of them out",
        )
        require(
            not model.classifier or self.refine.patch_colors == "grey",
            f"refine.patch_colors={self.refine.patch_colors}: the classifier of the "
            "model (model.classifier) sees grey patches alone: leave it at grey",
        )
        section = "model" if model.classifier else "refine"
        check_patches(self.judging, section, judges=self.judges)

    @property
    def judges(self) -> bool:
        """Whether peaks get a classifier: in rounds, or as part of the model."""
        return self.refine.rounds > 0 or bool(self.model.classifier)

    @property
    def judging(self) -> RefineOptions:
        """Options of rounds; a classifier of the model's own sets its network."""
        model = self.model
        if not model.classifier:
            return self.refine
        return dataclasses.replace(
            self.refine, network=model.classifier, patch_px=model.patch_px
        )
