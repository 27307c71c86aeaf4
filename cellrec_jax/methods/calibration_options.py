"""Options of loss calibration, of all detectors whose proposals match annotations."""

import dataclasses

from cellrec_jax.config import limits as validate
from cellrec_jax.losses.calibration import CALIBRATIONS, Calibration, ProSelfLC


@dataclasses.dataclass(frozen=True)
class CalibrationOptions:
    """What sparse annotations do to the loss of proposals; see `losses.calibration`."""

    calibration: str = "plain"
    """plain, bde (proposals that are predicted as cells without an annotation cost less
    where such are dense), label_smoothing, proselflc or confidence_penalty."""
    density_form: str = "auto"
    """dense, sorted or auto; see `losses.density`."""
    epsilon: float = 0.1
    """Of label smoothing and the confidence penalty; the paper gives none."""
    proselflc_steps: int = 0
    """T of ProSelfLC; 0 is total_steps."""
    proselflc_steepness: float = 16.0
    proselflc_midpoint: float = 0.5
    proselflc_detach: bool = False

    def __post_init__(self) -> None:
        """Refuses unknown choices."""
        validate.require_choice("loss.calibration", self.calibration, CALIBRATIONS)
        validate.require_choice(
            "loss.density_form", self.density_form, ("auto", "dense", "sorted")
        )
        validate.require_share("loss.epsilon", self.epsilon, one=False)
        validate.require_not_negative("loss.proselflc_steps", self.proselflc_steps)
        validate.require_positive("loss.proselflc_steepness", self.proselflc_steepness)
        validate.require_share("loss.proselflc_midpoint", self.proselflc_midpoint)

    def calibrated(self, total_steps: int) -> Calibration:
        """The part that `losses.calibration` reads.

        Args:
          total_steps: T of ProSelfLC unless the options give one.
        """
        schedule = ProSelfLC(
            self.proselflc_steps or total_steps,
            self.proselflc_steepness,
            self.proselflc_midpoint,
            self.proselflc_detach,
        )
        return Calibration(self.calibration, self.epsilon, schedule)
