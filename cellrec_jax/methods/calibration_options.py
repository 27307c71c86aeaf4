"""Options of loss calibration, of all detectors whose proposals match annotations."""

import dataclasses
from typing import Any

from cellrec_jax.config.limits import check, option, require
from cellrec_jax.losses.calibration import CALIBRATIONS, DOUBT, Calibration, ProSelfLC


def check_doubt(loss: Any, acts: bool, choice: str) -> None:
    """Refuses `doubtful` and its share where they do nothing, with a `ConfigError`."""
    require(
        acts or loss.doubtful == DOUBT.rule,
        f"loss.doubtful={loss.doubtful} does nothing with loss.{choice}: leave it at "
        f"{DOUBT.rule}",
    )
    require(
        loss.doubtful == "top" or loss.doubtful_share == DOUBT.share,
        f"loss.doubtful_share={loss.doubtful_share} does nothing with loss.doubtful="
        f"{loss.doubtful}: set that to top, or leave the share at {DOUBT.share}",
    )


@dataclasses.dataclass(frozen=True)
class CalibrationOptions:
    """What sparse annotations do to the loss of proposals; see `losses.calibration`."""

    calibration: str = option("plain", choices=CALIBRATIONS)
    """plain, bde (density energy weighs proposals without an annotation), constant
    (constant_weight does, to compare with), label_smoothing, proselflc or
    confidence_penalty."""
    constant_weight: float = option(0.4, least=0)
    """constant: what proposals without an annotation weigh; 0.4 is about the mean
    energy of many places."""
    density_form: str = option("auto", choices=("auto", "dense", "sorted"))
    """dense, sorted or auto; see `losses.density`."""
    epsilon: float = option(0.1, least=0, below=1)
    """Of label smoothing and the confidence penalty; the paper gives none."""
    proselflc_steps: int = option(0, least=0)
    """T of ProSelfLC; 0 is total_steps."""
    proselflc_steepness: float = option(16.0, above=0)
    proselflc_midpoint: float = option(0.5, least=0, most=1)
    proselflc_detach: bool = False

    def __post_init__(self) -> None:
        check("loss", self)

    def calibrated(self, total_steps: int) -> Calibration:
        """The part `losses.calibration` reads; `total_steps` is the default of T."""
        schedule = ProSelfLC(
            self.proselflc_steps or total_steps,
            self.proselflc_steepness,
            self.proselflc_midpoint,
            self.proselflc_detach,
        )
        return Calibration(self.calibration, self.epsilon, schedule)
