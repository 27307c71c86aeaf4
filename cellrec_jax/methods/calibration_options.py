"""Options of loss calibration, of all detectors whose proposals match annotations."""

import dataclasses

from cellrec_jax.config.limits import check, option
from cellrec_jax.losses.calibration import CALIBRATIONS, Calibration, ProSelfLC


@dataclasses.dataclass(frozen=True)
class CalibrationOptions:
    """What sparse annotations do to the loss of proposals; see `losses.calibration`."""

    calibration: str = option("plain", choices=CALIBRATIONS)
    """plain, bde (weighs proposals that are predicted as cells without an annotation;
    with sparse labels all weights are 1), label_smoothing, proselflc or
    confidence_penalty."""
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
