"""Options of estimated masks; defaults are Qu et al. 2020 where they say a number.

Distances are in px of the network's images.
"""

import dataclasses
from typing import Any

from cellrec_jax.config.limits import check, option, require, text
from cellrec_jax.methods.compute_options import ComputeOptions
from cellrec_jax.nn import backbones
from cellrec_jax.nn.maps import NETWORKS

PARTS = ("masks", "detector", "self_training")


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Network and decoding."""

    part: str = option("masks", choices=PARTS)
    """masks; the others are its first stage, set by the run itself: the detector, and
    the same in a round of self-training."""
    network: str = option("res_unet", choices=NETWORKS)
    """fcrn_a, fcrn_b, unet, res_unet or deeplab, of both stages."""
    width: int = option(0, least=0)
    """Channels of the first block (of DeepLab's decoder); 0 is the published width."""
    backbone: str = option("resnet101", choices=backbones.names(dilates=True))
    """deeplab: the ResNet, or small for two CPU cores; see `nn.backbones`."""
    norm: str = option("group", choices=("group", "layer", "sync_batch"))
    """group or sync_batch."""
    max_detections: int = option(1000, above=0)
    """Most components of an image that are kept, and most of a class's masks."""
    least_area: int = option(20, above=0)
    """Of a mask that is a cell, px."""

    def __post_init__(self) -> None:
        """Refuses values outside their limits."""
        check("model", self)


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """What the segmentation learns from the two label maps."""

    voronoi_weight: float = option(0.5, least=0)
    """Of the cross entropy on points and the edges of their Voronoi polygons."""
    cluster_weight: float = option(0.5, least=0)
    """Of that on clusters of colour and distance."""
    crf_weight: float = option(1e-3, least=0)
    """Of the dense CRF loss; 0 leaves it out."""
    crf_from: float = option(100 / 120, least=0, below=1)
    """Share of `total_steps` from which it counts: the last 20 of 120 epochs."""
    crf_sigma_px: float = option(9.0, above=0)
    """Of its Gaussian of positions."""
    crf_sigma_rgb: float = option(0.2, above=0)
    """Of its Gaussian of colours in [0, 1]; 0.1 with a weight of 5e-3 for the other set
    of the paper's code."""
    crf_window_px: int = option(5, above=0, most=32)
    """Pairs are up to this far apart in y and x; ours, as a window of all that sigma
    reaches costs 13 times as much."""
    crf_stride: int = option(1, above=0)
    """Of the pairs in the window, each so manieth in y and x."""

    def __post_init__(self) -> None:
        """Refuses values outside their limits."""
        check("loss", self)
        require(
            self.voronoi_weight + self.cluster_weight > 0,
            "loss.voronoi_weight=0 and loss.cluster_weight=0 leave nothing to learn: "
            "give one of them a weight",
        )


@dataclasses.dataclass(frozen=True)
class DetectorOptions:
    """Stage one, for partial points: what is found joins the points."""

    rounds: int = option(3, least=0)
    """Of self-training, each with what the network before took for background."""
    steps: int = option(300, above=0)
    """Of each training; rounds + 1 are made."""
    radius_px: float = option(8.0, above=0)
    """Where a point's Gaussian, of a third of it, ends; 8 and 11 in the paper."""
    ring_factor: float = option(2.0, least=1)
    """Background is known up to this many radii from a point, all else is not."""
    cell_weight: float = option(10.0, above=0)
    """Of pixels inside the radius in the squared error."""
    background: float = option(0.1, above=0, below=1)
    """Pixels that the network before gives less are background."""
    threshold: float = option(0.35, above=0, below=1)
    """A cell is a part of the map above it."""
    least_area: int = option(12, above=0)
    """Of such a part, px."""
    most_area: int = option(200, above=0)
    """Of such a part, px."""

    def __post_init__(self) -> None:
        """Refuses values outside their limits."""
        check("detector", self)
        require(
            self.least_area <= self.most_area,
            f"detector.least_area={self.least_area} is more than detector.most_area="
            f"{self.most_area}",
        )


@dataclasses.dataclass(frozen=True)
class MaskOptions:
    """How points become label maps, on the host, once an image."""

    points: str = option("given", choices=("given", "found"))
    """given: the annotated points, of which none may be missing; found: stage one runs
    first, and its cells away from them join them."""
    disc_px: float = option(2.0, above=0)
    """Radius of a point."""
    num_clusters: int = option(3, least=2, most=8)
    """Of k-means: nuclei, background, and what is left out."""
    color_scale: float = option(10.0, above=0)
    """What colours in 0..255 are divided by for k-means."""
    far_px: float = option(20.0, above=0)
    """Distances to points are clipped here for k-means."""
    near_px: float = option(5.0, above=0)
    """Background is the cluster with the least share of its pixels this near; in the
    code the least number, which would favour a small cluster."""
    clear_px: float = option(10.0, least=0)
    """Nothing this near to a point is background by its colour."""
    least_px: int = option(30, least=0)
    """Smaller parts of a mask are removed."""
    dilate_px: int = option(5, least=0)
    """By how much it then grows, before its holes are filled."""
    erode_px: int = option(7, least=0)
    """By how much it then shrinks."""

    def __post_init__(self) -> None:
        """Refuses values outside their limits."""
        check("masks", self)


@dataclasses.dataclass(frozen=True)
class Options:
    """All options of the method."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
    detector: DetectorOptions = DetectorOptions()
    masks: MaskOptions = MaskOptions()
    compute: ComputeOptions = dataclasses.field(default_factory=ComputeOptions)

    def of_detector(self, number: int) -> "Options":
        """Those of stage one: of the first training, or of a round of self-training."""
        part = "self_training" if number else "detector"
        return Options(
            model=dataclasses.replace(self.model, part=part),
            detector=self.detector,
            compute=self.compute,
        )


def check_acts(options: Options, total_steps: int) -> None:
    """A `ConfigError` for options that were changed and do nothing.

    Not in `Options`: what a run was stored with may be loaded. A detector that trains
    for `total_steps`, as in presets, is not taken for a change.
    """
    if options.masks.points == "given":
        detector, way = options.detector, "--config.masks.points=found"
        if detector.steps == total_steps:
            detector = dataclasses.replace(detector, steps=DetectorOptions.steps)
        _require_defaults("detector", detector, "", f"masks.points=given: use {way}")
    if not options.loss.crf_weight:
        loss = dataclasses.replace(options.loss, crf_weight=LossOptions.crf_weight)
        _require_defaults("loss", loss, "crf_", "loss.crf_weight=0: give it a weight")


def _require_defaults(section: str, options: Any, start: str, cause: str) -> None:
    """Options of a section whose names start so must be at their defaults."""
    changed = [
        f"{section}.{field.name}={text(getattr(options, field.name))}"
        for field in dataclasses.fields(options)
        if field.name.startswith(start)
        and getattr(options, field.name) != field.default
    ]
    flags = ", --config.".join(changed)
    require(not changed, f"{flags}: without effect at {cause}, or leave that out")
