"""Options of a main, a dynamic and a prior decoder; defaults are Zhang et al. 2022.

What their paper leaves open (radius, polygons, decoding) is ours. Distances are in px
of the network's images.
"""

import dataclasses

from cellrec_jax.config.limits import check, option, require, text
from cellrec_jax.losses.multitask import NORMS
from cellrec_jax.methods.compute_options import ComputeOptions
from cellrec_jax.nn import backbones, maps
from cellrec_jax.ops import heatmaps

IOU_FORMS = ("dice", "product", "log")


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Network and decoding."""

    network: str = option("deeplab", choices=maps.NETWORKS)
    """Whose encoder and decoders: fcrn_a, fcrn_b, unet, res_unet or deeplab."""
    width: int = option(0, least=0)
    """Channels of the first block (of DeepLab's decoders); 0 is the published width."""
    backbone: str = option("resnet101", choices=backbones.names(dilates=True))
    """deeplab: the ResNet, or small for two CPU cores; see `nn.backbones`."""
    output_stride: int = option(16, choices=(8, 16, 32))
    """deeplab: px of the image per px of the encoder's last map."""
    norm: str = option("group", choices=("group", "layer", "sync_batch"))
    """group or sync_batch."""
    max_detections: int = option(1000, above=0)
    """Highest peaks of an image that are kept."""
    window_px: int = option(1, above=0)
    """A peak is the highest pixel up to this far away in y and x."""

    def __post_init__(self) -> None:
        """Refuses values outside their limits."""
        check("model", self)


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """Targets and losses of the decoders."""

    radius_px: float = option(10.0, above=0)
    """Of the circles, and of the polygons before their factors."""
    bce_weight: float = option(0.8, least=0)
    """Of cross entropy in the main decoder's loss: alpha of Eq. 3."""
    iou_weight: float = option(0.2, least=0)
    """Of overlap in it: 1 - alpha."""
    iou_form: str = option("dice", choices=IOU_FORMS)
    """dice (soft Dice), product (IoU) or log (-ln IoU); see `losses.heatmap`."""
    dynamic_weight: float = option(1.0, least=0)
    """Of the dynamic decoder's loss, Eq. 4; 0 leaves the decoder out."""
    consistency_weight: float = option(0.5, least=0)
    """Of the difference of the main and the dynamic decoder, Eq. 5."""
    prior_weight: float = option(0.5, least=0)
    """Of the prior decoder's loss, Eq. 6; 0 leaves it and its network out."""
    prior_class: int = option(0, least=0)
    """Number of the class, from 0, whose map of the network trained first is the prior
    decoder's target: positive tumour cells."""
    norm: str = option("squared", choices=NORMS)
    """Of the differences in Eq. 4 to 6: squared or absolute."""
    literal: bool = False
    """Eq. 1, 2 and 6 as printed, which do not work (see `losses.multitask`)."""
    corners: tuple[int, int] = option((5, 12), least=5, most=64)
    """Least and largest number of a polygon's corners."""
    cell_factor: tuple[float, float] = option((0.6, 1.4), above=0)
    """Range of a polygon's size, in radius_px."""
    corner_factor: tuple[float, float] = option((0.8, 1.2), above=0)
    """Range of each corner's further factor."""
    angle_jitter: float = option(1.0, least=0, most=1)
    """How far corners turn from their place in a regular polygon; 1 is half way to the
    next."""

    def __post_init__(self) -> None:
        """Refuses values outside their limits, and ranges that are none."""
        check("loss", self)
        for name in ("corners", "cell_factor", "corner_factor"):
            pair = getattr(self, name)
            require(
                len(pair) == 2 and pair[0] <= pair[1],
                f"loss.{name}={text(pair)} must be two numbers, the smaller first",
            )
        require(
            not self.consistency_weight or self.dynamic_weight > 0,
            f"loss.consistency_weight={self.consistency_weight} does nothing: with "
            "loss.dynamic_weight=0 there is no dynamic decoder; set it to 0",
        )

    @property
    def polygons(self) -> heatmaps.PolygonOptions:
        """The law of the dynamic masks."""
        return heatmaps.PolygonOptions(
            self.radius_px,
            self.corners,
            self.cell_factor,
            self.corner_factor,
            self.angle_jitter,
        )


@dataclasses.dataclass(frozen=True)
class PriorOptions:
    """The network that is trained first, by cross entropy on circles alone."""

    steps: int = option(70, above=0)
    """When it stops: 10 epochs of 56 images, 8 a step, in the paper. At the run's
    learning rate, without warm-up or decay."""
    threshold: float = option(0.0, least=0, below=1)
    """Probability from which its target is 1, else 0; 0 takes the probability."""
    folder: str = ""
    """Where results are kept for other runs too, such as those of a sweep; else in
    the work directory alone. Each is found by its options and images."""

    def __post_init__(self) -> None:
        """Refuses values outside their limits."""
        check("prior", self)


@dataclasses.dataclass(frozen=True)
class Options:
    """All options of the method."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
    prior: PriorOptions = PriorOptions()
    compute: ComputeOptions = dataclasses.field(default_factory=ComputeOptions)

    @property
    def decoders(self) -> tuple[str, ...]:
        """Names of the decoders that are trained."""
        wanted = {
            "main": True,
            "dynamic": self.loss.dynamic_weight > 0,
            "prior": self.loss.prior_weight > 0,
        }
        return tuple(name for name in wanted if wanted[name])

    @property
    def circles_alone(self) -> "Options":
        """Those of the network that is trained first: what its result depends on."""
        loss = LossOptions(
            radius_px=self.loss.radius_px,
            bce_weight=1.0,
            iou_weight=0.0,
            dynamic_weight=0.0,
            consistency_weight=0.0,
            prior_weight=0.0,
            literal=self.loss.literal,
        )
        return Options(self.model, loss, compute=self.compute)
