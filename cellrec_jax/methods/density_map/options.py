"""Options of cell recognition by regressed maps; defaults are Shui et al. 2022."""

import dataclasses

from cellrec_jax.config.limits import check, option, require
from cellrec_jax.methods.compute_options import ComputeOptions
from cellrec_jax.nn import backbones
from cellrec_jax.nn.maps import NETWORKS
from cellrec_jax.ops import heatmaps

FORMS = ("bce_iou", "squared")
TARGETS = ("stamp", "gaussian", "disc")
IOU_FORMS = ("product", "dice", "log", "min_max")


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Network and decoding."""

    network: str = option("unet", choices=NETWORKS)
    """fcrn_a, fcrn_b, unet, res_unet or deeplab."""
    width: int = option(0, least=0)
    """Channels of the first block (of DeepLab's decoder); 0 is the published width."""
    backbone: str = option("resnet101", choices=backbones.names(dilates=True))
    """deeplab: the ResNet, or small for two CPU cores; see `nn.backbones`."""
    norm: str = option("group", choices=("group", "layer", "sync_batch"))
    """group or sync_batch."""
    max_detections: int = option(1000, above=0)
    """Highest peaks of an image that are kept."""
    window_px: int = option(1, above=0)
    """A peak is the highest pixel up to this far away in y and x."""

    def __post_init__(self) -> None:
        check("model", self)


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """Reference maps and the loss."""

    form: str = option("bce_iou", choices=FORMS)
    """bce_iou, of sigmoids; or squared, of linear outputs against height times the
    reference maps, as FCRN was published."""
    height: float = option(100.0, above=0)
    """Of squared: outputs over it are the maps whose peaks are cells. 100 is meant for
    momentum at 1e-2; outputs get there slowly with Adam at 1e-3."""
    target: str = option("stamp", choices=TARGETS)
    """stamp (7x7 px as printed), gaussian (all of it), or disc (a filled circle)."""
    sigma_px: float = option(6.0, above=0)
    """Of stamp and gaussian."""
    side_px: int = option(7, least=1)
    """Side of the stamp, odd."""
    radius_px: float = option(10.0, above=0)
    """Of the disc."""
    bce_weight: float = option(0.8, least=0)
    """Of bce_iou: cross entropy."""
    iou_weight: float = option(0.2, least=0)
    """Of bce_iou: overlap."""
    iou_form: str = option("product", choices=IOU_FORMS)
    """Of bce_iou: product, dice, log or min_max; see `losses.heatmap`."""

    def __post_init__(self) -> None:
        check("loss", self)
        require(self.side_px % 2 == 1, f"loss.side_px={self.side_px} must be odd")

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
    compute: ComputeOptions = dataclasses.field(default_factory=ComputeOptions)
