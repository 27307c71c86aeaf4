"""Options that several detectors share: a gentle beginning, and what does nothing."""

import dataclasses

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.config.limits import option
from cellrec_jax.methods import calibration_options
from cellrec_jax.methods.calibration_options import CalibrationOptions
from cellrec_jax.types import Progress


def test_weights_are_their_own_after_a_share_of_the_steps():
    options = CalibrationOptions("constant", warmup=0.25)
    found = [float(options.warmth(Progress(step, 400))) for step in (0, 50, 100, 399)]
    np.testing.assert_allclose(found, [0, 0.5, 1, 1])


@pytest.mark.parametrize("name", ["plain", "label_smoothing", "proselflc"])
def test_what_has_no_weights_does_not_warm_up(name):
    with pytest.raises(errors.ConfigError, match=rf"warmup=0.1.*calibration={name}"):
        CalibrationOptions(name, warmup=0.1)


@dataclasses.dataclass(frozen=True)
class Loss:
    kind: str = "a"
    width: float = option(2.0, above=0)


def test_an_option_that_does_nothing_is_refused_but_at_its_default():
    acts = {"width": (False, "kind=b")}
    calibration_options.check_idle(Loss(), acts)
    calibration_options.check_idle(Loss(width=3.0), {"width": (True, "kind=b")})
    with pytest.raises(errors.ConfigError, match=r"width=3.0 .* loss.kind=b"):
        calibration_options.check_idle(Loss(width=3.0), acts)
