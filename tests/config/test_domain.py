import pytest

from cellrec_jax import errors
from cellrec_jax.config import domain
from cellrec_jax.config.data import DataConfig

WITHOUT_TWO = ("scanner", "scale", "shapes", "crowding", "stroma", "lookalikes")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("all", domain.KNOBS),
        (" focus , scanner", ("scanner", "focus")),  # in the order in which they act
        ("all,-focus,-stains", WITHOUT_TWO),
        ("stains,-stains", ()),
        ("stains,-stains,stains", ("stains",)),
    ],
)
def test_names(text, expected):
    assert domain.knobs(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wide", "'wide' is no knob; give all"),
        ("-all", "'-all' is no knob"),
        ("-stroma", "write all,-stroma"),
        ("stains,-stroma", "takes away what is not there"),
    ],
)
def test_other_names(text, words):
    with pytest.raises(errors.ConfigError, match=words):
        domain.knobs(text)
    with pytest.raises(errors.ConfigError, match=r"--config\.data\.synthetic_domain"):
        DataConfig(synthetic_domain=text)


def test_of_nuclei_alone():
    DataConfig(synthetic_domain="all", synthetic_kind="nuclei")
    DataConfig(synthetic_domain="", synthetic_kind="hsc")
    with pytest.raises(errors.ConfigError, match="synthetic_kind=nuclei, not hsc"):
        DataConfig(synthetic_domain="all", synthetic_kind="hsc")
