import pytest

from cellrec_jax import errors


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (errors.ConfigError, 2),
        (errors.DataError, 2),
        (errors.CheckpointError, 2),
        (errors.RunError, 1),
    ],
)
def test_exit_codes(kind, exit_code):
    with pytest.raises(errors.UserError, match="the message") as caught:
        raise kind("the message")
    assert caught.value.exit_code == exit_code
