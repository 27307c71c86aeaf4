"""How the command line names work directories."""

import pytest

from cellrec_jax import errors
from cellrec_jax.study import tables


def test_a_run_may_have_a_label_and_a_folder_a_sign_of_equality(tmp_path):
    """As those of sweeps with axes."""
    for name in ("kept=0.1/seed0", "kept=0.1/seed1", "plain"):
        (tmp_path / name).mkdir(parents=True)
    run = f"{tmp_path}/kept=0.1/seed0"
    assert tables.named([run]) == {run: [run]}
    found = tables.named([f"BDE={tmp_path}/kept=0.1/seed*", f"x={tmp_path}/plain"])
    assert found == {
        "BDE": [run, f"{tmp_path}/kept=0.1/seed1"],
        "x": [f"{tmp_path}/plain"],
    }
    with pytest.raises(errors.ConfigError, match="a=b: there is no such"):
        tables.named(["a=b"])
