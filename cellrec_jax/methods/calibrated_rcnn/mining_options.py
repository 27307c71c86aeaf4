"""Options of mining: which boxes of a second look at the image become labels."""

import dataclasses
from typing import Any

from cellrec_jax.config.limits import option, require

MININGS = ("none", "co_mining", "pseudo_positive", "teacher")
RULES = ("recall", "lee_liu", "precision", "score")
NEGATIVES = ("as_is", "doubted", "focal_iou")


@dataclasses.dataclass(frozen=True)
class MiningOptions:
    """What a second look at each training image, flipped, adds to its annotations."""

    mining: str = option("none", choices=MININGS)
    """none. co_mining: detections of the network itself on the flipped image are labels
    (Wang et al. 2021). teacher: those of its averaged weights are, which needs
    optim.ema (Wang et al. 2023). pseudo_positive: proposals that both views are sure of
    are no negatives (Suri et al. 2023). See `mining` for what differs."""
    mining_rule: str = option("recall", choices=RULES)
    """How the least score of what is taken is found, from the last steps: recall (the
    highest at which the share mining_at of the annotated cells is found), lee_liu (what
    maximises the square of that share over the number of detections), precision
    (logistic calibration: mining_at is the share of right boxes) or score (mining_at
    itself). Annotated cells were trained on, so their share is too high a recall."""
    mining_at: float = option(0.8, above=0, below=1)
    """Level of mining_rule; lee_liu has none."""
    mining_burn_in: float = option(0.3, least=0, below=1)
    """Share of the steps before the second look begins."""
    mining_boxes: int = option(128, above=0)
    """Most boxes of an image that are looked at, best first."""
    mining_weight: float = option(1.0, above=0, most=1)
    """co_mining, teacher: of the loss of what is matched to a box that was taken."""
    mining_negatives: str = option("as_is", choices=NEGATIVES)
    """co_mining, teacher: how unmatched boxes weigh, times loss.calibration, where
    loss.scope says: as_is (1), doubted (less, the more they overlap a detection short
    of the threshold, and the nearer that is to it) or focal_iou (Wang et al. 2023:
    half, and more, the more they overlap a label)."""
    mining_consistency: float = option(1.0, least=0)
    """pseudo_positive: weight of the squared difference of both views' class
    probabilities, where proposals were taken."""


DEFAULT = MiningOptions()
_ACTS = {
    "mining_rule": ("co_mining", "pseudo_positive", "teacher"),
    "mining_at": ("co_mining", "pseudo_positive", "teacher"),
    "mining_burn_in": ("co_mining", "pseudo_positive", "teacher"),
    "mining_boxes": ("co_mining", "pseudo_positive", "teacher"),
    "mining_weight": ("co_mining", "teacher"),
    "mining_negatives": ("co_mining", "teacher"),
    "mining_consistency": ("pseudo_positive",),
}
"""Option -> where it does something."""


def check_mining(loss: Any) -> None:
    """Refuses options of mining that do nothing, with a `ConfigError`."""
    for name, minings in _ACTS.items():
        value, default = getattr(loss, name), getattr(DEFAULT, name)
        require(
            loss.mining in minings or value == default,
            f"loss.{name}={value} does nothing with loss.mining={loss.mining}: leave "
            f"it at {default}",
        )
    require(
        loss.mining_rule != "lee_liu" or loss.mining_at == DEFAULT.mining_at,
        f"loss.mining_at={loss.mining_at} does nothing with loss.mining_rule=lee_liu: "
        f"leave it at {DEFAULT.mining_at}",
    )
