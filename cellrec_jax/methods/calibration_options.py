"""Options of loss calibration, of all detectors whose proposals match annotations."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from cellrec_jax.config.limits import check, option, require
from cellrec_jax.losses.calibration import (
    CALIBRATIONS,
    DOUBT,
    WEIGHTED,
    Calibration,
    ProSelfLC,
)
from cellrec_jax.types import Progress

WARMED = (*WEIGHTED, "soft_sampling", "recalibrated")
"""Calibrations that may begin gently."""


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


def check_idle(loss: Any, acts: Mapping[str, tuple[bool, str]]) -> None:
    """Refuses fields that do nothing as chosen, with a `ConfigError`.

    Name of a field -> whether it acts, and what it would take; those at their default
    pass.
    """
    for field in dataclasses.fields(loss):
        ok, needed = acts.get(field.name, (True, ""))
        value = getattr(loss, field.name)
        require(
            ok or value == field.default,
            f"loss.{field.name}={value} does nothing without loss.{needed}: set that, "
            f"or leave it at {field.default}",
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
    warmup: float = option(0.0, least=0, most=1)
    """Share of the steps over which weights go from 1, linearly, to their own; of bde,
    constant, soft_sampling and recalibrated. 0 has them from the start."""
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
        require(
            not self.warmup or self.calibration in WARMED,
            f"loss.warmup={self.warmup} does nothing with loss.calibration="
            f"{self.calibration}: leave it at 0, or choose one of {', '.join(WARMED)}",
        )

    def warmth(self, progress: Progress) -> jax.Array:
        """How far weights are their own: 0 at the first step, from `warmup` on 1."""
        done = jnp.asarray(progress.step, jnp.float32)
        return jnp.minimum(done / (self.warmup * progress.total), 1.0)

    def calibrated(self, total_steps: int) -> Calibration:
        """The part `losses.calibration` reads; `total_steps` is the default of T."""
        schedule = ProSelfLC(
            self.proselflc_steps or total_steps,
            self.proselflc_steepness,
            self.proselflc_midpoint,
            self.proselflc_detach,
        )
        return Calibration(self.calibration, self.epsilon, schedule)
