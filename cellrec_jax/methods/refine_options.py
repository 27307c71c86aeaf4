"""Options of rounds of pseudo labels, of all detectors that train in rounds."""

import dataclasses

from cellrec_jax.config.limits import check, option, require
from cellrec_jax.nn.patch_net import MIN_SIDE_PX

RANKS = ("p_classification", "score")
TAKES = ("share", "threshold")
COLORS = ("grey", "all")
BACKGROUND = 1
"""Label of a point that is known to be no cell, beside the one class of cells."""


@dataclasses.dataclass(frozen=True)
class RefineOptions:
    """Rounds of pseudo labels.

    The defaults are those of Fujii et al. 2021 and their code, but for `rounds`,
    `seeds_per_round` and `solver`. Distances are in px of the network's images. A peak
    is what the detector finds: a detection, or one that scores less.
    """

    rounds: int = option(0, least=0)
    """Times that pseudo labels are added and the detector is trained anew; 0 is none
    (the paper takes 2)."""
    first_share: float = option(1.0, above=0, most=1)
    """Share of total_steps that detectors before the last round train for: fewer keep
    them from learning by heart that unlabelled cells are background. Not in the
    paper."""
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
    rank: str = option("p_classification", choices=RANKS)
    """What tells which unlabelled peaks are surest: p_classification (of the features
    of patches, by a classifier that is trained for it; the paper) or score (the
    detector's own; nothing else is trained)."""
    take: str = option("share", choices=TAKES)
    """How many become labels: share (top_share and bottom_share of the unlabelled
    peaks; the paper) or threshold (as many cells as score at or above the detector's
    own threshold, fitted as for any run, and bottom_share of the peaks below it, which
    only a lower candidate_threshold finds). By score and threshold a round renews the
    labels that the last one took: what is not found any more is dropped."""
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
    patch_colors: str = option("grey", choices=COLORS)
    """grey (the mean of the channels; the code) or all (the channels themselves, for
    stains that tell cells from background)."""
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
        if self.rounds and self.take == "threshold":
            self._check_threshold()

    @property
    def renews(self) -> bool:
        """Whether only given labels stay, and all others are taken anew each round."""
        return self.rank == "score" and self.take == "threshold"

    def _check_threshold(self) -> None:
        """Refuses options that do nothing where a threshold tells how many."""
        default = type(self).top_share
        require(
            self.top_share == default,
            f"refine.top_share={self.top_share} does nothing with refine.take="
            f"threshold: leave it at {default}, or set --config.refine.take=share",
        )
        require(
            self.pooled,
            "refine.pooled=false does nothing with refine.take=threshold, which is the "
            "same for all images: leave it out",
        )
        require(
            not (self.renews and self.carry_over),
            "refine.carry_over=true does nothing where labels are renewed "
            "(refine.rank=score, refine.take=threshold): set it to false",
        )
        require(
            self.renews or self.candidate_threshold > 0,
            "refine.rank=p_classification chooses nothing with refine.take=threshold "
            "among peaks that are all above it: find more, by "
            "--config.refine.candidate_threshold=0.01",
        )


def check_patches(options: RefineOptions, section: str, *, judges: bool) -> None:
    """Refuses sides of patches that cannot be read (ConfigError).

    `section` names that of `patch_px`; without a classifier that `judges`, it may be
    any multiple of patch_step.
    """
    key, step = f"{section}.patch_px", options.patch_step
    require(
        options.patch_px % step == 0,
        f"refine.patch_step={step}: {key}={options.patch_px} must be a multiple "
        f"of it, such as {max(options.patch_px // step, MIN_SIDE_PX) * step}",
    )
    require(
        options.patch_px // step >= MIN_SIDE_PX or not judges,
        f"{key}={options.patch_px}: the classifier of patches needs at least "
        f"{MIN_SIDE_PX * step}",
    )
