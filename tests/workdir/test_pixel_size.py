"""A pixel size that is given for a trained model is kept, and never overrules."""

import pytest

from cellrec_jax import errors
from cellrec_jax.workdir import pixel_size


def test_it_is_kept_for_a_model_that_has_none(tmp_path):
    meta = {"mpp": 0.0, "step": 3}
    assert pixel_size.updated(meta, tmp_path) == meta
    pixel_size.keep(tmp_path, 0.25, 0.0)
    assert pixel_size.updated(meta, tmp_path) == {"mpp": 0.25, "step": 3}
    assert pixel_size.updated({"mpp": 0.5}, tmp_path) == {"mpp": 0.5}


@pytest.mark.parametrize(
    ("mpp", "trained", "says"),
    [(25.0, 0.0, "0.02 to 20"), (float("nan"), 0.0, "0.02"), (0.25, 0.5, "has 0.5 um")],
)
def test_what_cannot_be_is_refused(tmp_path, mpp, trained, says):
    with pytest.raises(errors.ConfigError, match=f"--mpp-trained.*{says}"):
        pixel_size.keep(tmp_path, mpp, trained)
    assert not list(tmp_path.iterdir())
