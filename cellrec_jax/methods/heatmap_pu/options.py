"""Options of detection by a position heat map; the defaults are those of Fujii et al.

Distances are in px of the network's images: half of each at half resolution.
"""

import dataclasses

from cellrec_jax.config.limits import check, option, require
from cellrec_jax.losses.calibration import DOUBTS, Doubt
from cellrec_jax.methods.calibration_options import check_doubt
from cellrec_jax.methods.compute_options import ComputeOptions
from cellrec_jax.nn.patch_net import MIN_SIDE_PX

FORMS = ("masked", "plain", "constant", "bde", "recalibrated", "mean_teacher", "pu")
PEAK_RULES = ("relative", "absolute")
CUTS = ("candidates", "always", "never")


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Detector and peak rule."""

    width: int = option(64, above=0)
    """Channels of the U-Net at full resolution; 64 has 13,394,177 parameters."""
    norm: str = option("sync_batch", choices=("group", "sync_batch"))
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
class RefineOptions:
    """Rounds of pseudo labels.

    The defaults are those of Fujii et al. 2021 and their code, but for `rounds`,
    `seeds_per_round` and `solver`. Distances are in px of the network's images.
    """

    rounds: int = option(0, least=0)
    """Times that pseudo labels are added and the detector is trained anew; 0 is none
    (the paper takes 2)."""
    seeds_per_round: int = option(1, above=0)
    """Detectors trained in each round, with seeds of their own from seed *
    seeds_per_round on; the one that finds most peaks on the training images is kept
    (the paper's code takes 5). Without rounds or a classifier of peaks it is one."""
    warm_start: bool = False
    """Start each round's detector from the last one's weights, not anew."""
    carry_over: bool = True
    """Keep peaks of the last round that have no new peak within match_px."""
    candidate_threshold: float = option(0.0, least=0, below=1)
    """Least score of a peak that may become a label; 0 takes that of detections (the
    code), which leaves out the cells that the detector misses."""
    match_px: float = option(15.0, above=0)
    """Largest distance of a peak and the label that it matches."""
    network: str = option("alexnet", choices=("alexnet", "small"))
    """Feature extractor of patches: alexnet or small (see `nn.patch_net`)."""
    patch_px: int = option(27, above=0)
    """Side of a patch."""
    patch_step: int = option(1, above=0)
    """Side of the squares that a patch is read as, by their means; patch_px is a
    multiple of it. Not in the paper; for cells that are larger than its patches."""
    patch_border: str = option("shift", choices=("shift", "reflect"))
    """What a patch at the border of its image is: shift (moved inside, so that its peak
    is not in the middle; the code) or reflect (mirrored past the border)."""
    patch_values: str = option("share", choices=("share", "standard"))
    """share (of the image's largest value; the code) or standard (deviations from the
    image's mean, in standard deviations, so that images of unlike light compare)."""
    turns: bool = False
    """Learn each patch in any of its eight orientations, and rank by the mean features
    of all of them. Not in the paper; for few labels, or cells that lie in any
    direction."""
    epochs: int = option(200, above=0)
    """Of the feature extractor."""
    batch_size: int = option(4000, above=0)
    """Patches a step of the feature extractor."""
    learning_rate: float = option(1e-4, above=0)
    weight_decay: float = option(0.005, least=0)
    prior_rule: str = option("fixed", choices=("fixed", "penl1"))
    """fixed (all labelled and unlabeled_share of the unlabelled peaks, as a share of
    all peaks: the code) or penl1 (the share of cells among the unlabelled peaks,
    estimated; du Plessis et al. 2015)."""
    unlabeled_share: float = option(0.5, least=0, below=1)
    """Share of the unlabelled peaks that the fixed rule takes for cells."""
    prior: float = option(0.0, least=0, below=1)
    """Prior of the patch classifier's risk, in (0, 1), which is unbiased by the share
    of cells among the unlabelled peaks; 0 follows prior_rule."""
    estimator: str = option("clip", choices=("clip", "non_negative", "unbiased"))
    """clip (the code), non_negative or unbiased; see `losses.pu`."""
    surrogate: str = option("logistic", choices=("logistic", "sigmoid"))
    """logistic (the code) or sigmoid (Kiryo et al.); see `losses.pu`."""
    p: float = option(4.0, least=1)
    """P-classification: how much the top of the list counts, at least 1. The paper
    prints exp(f) for exp(p f), which ranks as p = 1 with sqrt(p) times the ridge."""
    ridge: float = option(0.1, least=0)
    solver: str = option("lbfgs", choices=("lbfgs", "sgd"))
    """lbfgs, or sgd as the code (which stops far from the optimum)."""
    moved_share: float = option(0.2, least=0, below=1)
    """Share of unlabelled peaks, best first, that joins the positives when negatives
    are ranked; 0 as the paper prints it."""
    top_share: float = option(0.05, least=0, below=1)
    """alpha: share of the unlabelled peaks that become pseudo-positive a round."""
    bottom_share: float = option(0.05, least=0, below=1)
    """beta: share of the unlabelled peaks that become pseudo-negative a round."""
    stop_below: float = option(0.0, least=0, below=1)
    """Where labels are withheld (data.threshold_share): fewer of the chosen peaks
    become cells, no more than are estimated to be left, and those of an estimated share
    of cells of this or more, and no more background than there are other peaks; without
    cells, rounds end. 0 takes all. Not in the paper; see `rounds.remaining`."""
    pooled: bool = True
    """Select among the peaks of all images together, else image by image."""
    pause: bool = False
    """Stop after each selection, for a person to edit the labels of the next round."""

    def __post_init__(self) -> None:
        check("refine", self)


@dataclasses.dataclass(frozen=True)
class Options:
    """All options of the method."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
    refine: RefineOptions = RefineOptions()
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
        key = "model.patch_px" if model.classifier else "refine.patch_px"
        patch_px, step = self.judging.patch_px, self.refine.patch_step
        require(
            patch_px % step == 0,
            f"refine.patch_step={step}: {key}={patch_px} must be a multiple "
            f"of it, such as {max(patch_px // step, MIN_SIDE_PX) * step}",
        )
        require(
            patch_px // step >= MIN_SIDE_PX or not self.judges,
            f"{key}={patch_px}: the classifier of patches needs at least "
            f"{MIN_SIDE_PX * step}",
        )

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
