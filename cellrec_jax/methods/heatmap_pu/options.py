"""Options of detection by a position heat map; the defaults are those of Fujii et al.

Distances are in px of the network's images. Frames at half resolution need half of
each: sigma 3, radius 6, window 3.
"""

import dataclasses

from cellrec_jax.config import limits as validate

FORMS = ("masked", "plain", "bde", "recalibrated", "mean_teacher", "pu")
PEAK_RULES = ("relative", "absolute")
CUTS = ("candidates", "always", "never")


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Detector and peak rule."""

    width: int = 64
    """Channels of the U-Net at full resolution; 64 has 13,394,177 parameters."""
    norm: str = "sync_batch"
    """sync_batch (the code's batch norm) or group."""
    resize: str = "nearest"
    """nearest (the code) or bilinear_aligned (Nishimura et al.)."""
    activation: str = "linear"
    """Of the output: linear (the code) or sigmoid (Nishimura et al.)."""
    peak_rule: str = "relative"
    """relative: each image's own lowest and highest value become 0 and 1, as in the
    code, so that an image without cells has peaks too; absolute: heights as they are,
    so that an empty image may stay empty."""
    cut_negative: str = "candidates"
    """Where heights below 0 become 0 before peaks are looked for: candidates (on
    training images between rounds only, as in the code), always or never. It moves the
    relative threshold: where background is far below 0, half of the range is low."""
    window_px: int = 6
    """A peak is the highest pixel up to this far away in y and x."""
    max_detections: int = 1000
    """Highest peaks of an image that are kept."""
    classifier: str = ""
    """A network of `nn.patch_net` that decides on each peak's patch (the comparison
    with Yang et al.): alexnet or small; "" lets the heat map decide."""
    patch_px: int = 27
    """Side of the classifier's patches."""
    dtype: str = "float32"
    """Computation type: float32 or bfloat16."""

    def __post_init__(self) -> None:
        """Refuses impossible choices."""
        validate.require_choice("model.norm", self.norm, ("group", "sync_batch"))
        validate.require_choice(
            "model.resize", self.resize, ("nearest", "bilinear_aligned")
        )
        validate.require_choice(
            "model.activation", self.activation, ("linear", "sigmoid")
        )
        validate.require_choice("model.peak_rule", self.peak_rule, PEAK_RULES)
        validate.require_choice("model.cut_negative", self.cut_negative, CUTS)
        validate.require_choice(
            "model.classifier", self.classifier, ("", "alexnet", "small")
        )
        validate.require_choice("model.dtype", self.dtype, ("float32", "bfloat16"))
        for key in ("width", "window_px", "max_detections", "patch_px"):
            validate.require_positive(f"model.{key}", getattr(self, key))


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """What is painted, and how pixels without a label count."""

    form: str = "masked"
    """masked: only discs around labels count. plain: all pixels, those without a label
    as background (Nishimura et al.). bde, recalibrated, mean_teacher: plain, but
    gentler where cells may be unlabelled; see `losses.sparse_heatmap`. pu: the
    non-negative risk of pixels (Yang et al.), with activation sigmoid."""
    sigma_px: float = 6.0
    """Of the Gaussian at each cell."""
    radius_px: float = 12.0
    """Of the discs around labels: 2 sigma."""
    range_weight: float = 0.0
    """Of heights outside [0, 1] on any pixel, labelled or not: no target lies there.
    Not in the paper; see `losses.sparse_heatmap.outside_range`."""
    threshold: float = 0.5
    """bde, recalibrated, mean_teacher: height from which a pixel may be an unlabelled
    cell."""
    max_peaks: int = 256
    """bde, mean_teacher: the highest peaks of a crop that may be unlabelled cells."""
    recalibrated_weight: float = 0.1
    """recalibrated: of such pixels, which are pulled up instead of down."""
    burn_in: float = 0.3
    """mean_teacher: share of the steps with the masked loss, before the teacher is
    asked; needs optim.ema."""
    prior: float = 0.0
    """pu: share of the pixels that belong to cells, in (0, 1); 0 follows the share of
    pixels that the network takes for cells, as Yang et al."""

    def __post_init__(self) -> None:
        """Refuses impossible choices."""
        validate.require_choice("loss.form", self.form, FORMS)
        for key in ("sigma_px", "radius_px", "max_peaks"):
            validate.require_positive(f"loss.{key}", getattr(self, key))
        for key in ("range_weight", "recalibrated_weight"):
            validate.require_not_negative(f"loss.{key}", getattr(self, key))
        for key in ("threshold", "burn_in", "prior"):
            validate.require_share(f"loss.{key}", getattr(self, key), one=False)


@dataclasses.dataclass(frozen=True)
class Options:
    """All options of the method."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()

    def __post_init__(self) -> None:
        """Refuses combinations that contradict each other or do nothing."""
        model, loss = self.model, self.loss
        validate.require(
            loss.form != "pu" or model.activation == "sigmoid",
            "loss.form=pu is a risk of logits: set --config.model.activation=sigmoid",
        )
        validate.require(
            not loss.range_weight or model.activation == "linear",
            f"loss.range_weight={loss.range_weight} does nothing: with "
            "model.activation=sigmoid no height is outside [0, 1]; set it to 0",
        )
        validate.require(
            not loss.prior or loss.form == "pu",
            f"loss.prior={loss.prior} does nothing: loss.form={loss.form} has no "
            "prior; set it to 0, or --config.loss.form=pu (refine.prior is that of "
            "the patch classifier)",
        )
