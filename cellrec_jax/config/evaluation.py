"""What is measured, and when."""

import dataclasses

from cellrec_jax.config.limits import check, option, require, text

PROTOCOLS = ("max", "hungarian", "nearest", "greedy_score")
"""Of matching, see `metrics.matching`."""
VIEWS = (1, 2, 4, 8)
"""Numbers of views, see `predict.views`."""
RULES = ("auto", "f1", "lee_liu", "known_share")
"""Of thresholds, see `metrics.partial`."""


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """What is measured, and when."""

    every: int = option(0, least=0)
    """Steps between evaluations on the validation images; 0: only at the end."""
    radius_px: float = option(12.0, above=0)
    """A detection within this distance of a cell is right; px of the image on disk."""
    radius_um: float = option(0.0, least=0)
    """The same in micrometres, instead of radius_px; 0 is off."""
    threshold: float = option(0.0, least=0, below=1)
    """Least score of a detection of any class; 0 fits it on the validation images."""
    threshold_rule: str = option("auto", choices=RULES)
    """What a fitted threshold maximises: f1 (where all cells are annotated), lee_liu
    (recall^2 / number of detections) or known_share (F1 as the share of the cells that
    is annotated has it), for labels that are a random part of the cells; auto takes f1
    unless they are."""
    shared_threshold: bool = False
    """Fit one threshold of all classes, by detection whatever the class, in place of
    one for each: for methods whose score says cell or not, and for rare classes."""
    min_distances: tuple[float, ...] = option((0.0,), least=0)
    """Least distances of two detections that are tried on the validation images, px of
    the image on disk; 0 keeps all."""
    min_distances_um: tuple[float, ...] = option((), least=0)
    """The same in micrometres, instead of min_distances; none is off."""
    views: int = option(1, choices=VIEWS)
    """As how many images each is seen, turned and mirrored, whose cells are joined:
    takes as many times as long, of each of view_scales. Whole slides are seen once."""
    view_scales: tuple[float, ...] = option((1.0,), least=0.25, most=4)
    """Px of these images per px of the image as the network usually sees it, each scale
    once."""
    protocol: str = option("max", choices=PROTOCOLS)
    """Which pairs within the radius count: max (as many as can be), hungarian (by least
    distance, then the radius), nearest or greedy_score; see `metrics.matching`."""
    strict: bool = False
    """A pair counts below the radius, not at it."""
    resize: str = option("auto", choices=("auto", "squeeze"))
    """auto (images of the training images' size as those, others at their scale,
    mirrored or in tiles, as --mode predict) or squeeze (all as the training images,
    whatever their size, so that cells change size)."""
    beside: str = option("", choices=("", *PROTOCOLS))
    """A second protocol, reported beside the first as NAME(protocol)@radius; empty is
    none."""
    radii_px: tuple[float, ...] = option((), above=0)
    """Radii at which F1 of each class is reported too (`tables.radii` of results.json,
    figures/radii.png), rising, px of the image on disk; none is off."""
    empty_is_one: bool = False
    """An image without cells and detections of a class has F1 1 there, not none."""
    iou: float = option(0.5, least=0, below=1)
    """Overlap above which a box is right (AP)."""
    voc_plus_one: bool = False
    """Measure boxes as VOC did, one pixel wider."""
    weights: str = option("last", choices=("last", "best"))
    """Report on the last weights (the paper) or the best on validation images."""
    bootstrap: int = option(1000, least=0)
    """Resamples of the images behind each interval."""
    overlay_score: float = option(0.6, least=0, below=1)
    """Least score drawn, 0.6 as in the paper's figures; 0 is the fitted threshold."""
    overlays: int = option(4, least=0)
    """Test images drawn."""

    @property
    def has_views(self) -> bool:
        """Whether images are seen otherwise than once, as they are."""
        return self.views > 1 or self.view_scales != (1.0,)

    def once(self) -> "EvalConfig":
        """The same, of images that are seen once, as they are."""
        return dataclasses.replace(self, views=1, view_scales=(1.0,))

    def __post_init__(self) -> None:
        check("eval", self)
        require(
            list(self.radii_px) == sorted(set(self.radii_px)),
            f"eval.radii_px={text(self.radii_px)} must rise",
        )
        require(
            len(self.min_distances) > 0,
            "eval.min_distances is empty: 0 alone keeps all detections",
        )
        require(
            len(self.view_scales) > 0,
            "eval.view_scales is empty: 1 alone sees images as they are",
        )
        require(
            len(self.view_scales) == len(set(self.view_scales)),
            f"eval.view_scales={text(self.view_scales)} has a scale twice, which would "
            "count twice: give each once",
        )
