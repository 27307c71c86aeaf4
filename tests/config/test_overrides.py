from ml_collections import ConfigDict
import pytest

from cellrec_jax import errors
from cellrec_jax.config import overrides


@pytest.fixture
def config() -> ConfigDict:
    return ConfigDict(
        {
            "method": "plain",
            "seed": 0,
            "batch_size": 1,
            "optim": {"learning_rate": 1e-3, "drops": (0.5, 0.75)},
            "data": {"flip": True, "size_hw": (800, 600), "names": ("a", "b")},
            "eval": {"radius_px": 12.0, "radius_um": 0.0, "jitter_px": 0.0},
            "model": {"head": {"width": 64}, "shares": ()},
        }
    ).lock()


def test_flatten():
    tree = {"a": 1, "b": {"c": (2, 3), "d": {"e": None}}, "empty": {}}
    assert overrides.flatten(tree) == {"a": 1, "b.c": (2, 3), "b.d.e": None}


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("method", "other", "other"),
        ("method", "", ""),
        ("seed", "-7", -7),
        ("optim.learning_rate", "3", 3.0),
        ("optim.learning_rate", "1e-4", 1e-4),
        ("data.flip", "false", False),
        ("data.flip", "0", False),
        ("data.flip", "True", True),
        ("data.size_hw", "40,60", (40, 60)),
        ("data.size_hw", "(40, 60)", (40, 60)),
        ("optim.drops", "0.9,", (0.9,)),
        ("optim.drops", "()", ()),
        ("data.names", "x, y", ("x", "y")),
        ("model.shares", "1,2.5", (1.0, 2.5)),
        ("model.head.width", "32", 32),
    ],
)
def test_values_take_the_type_of_the_present_one(config, key, text, expected):
    before = overrides.flatten(config.to_dict())
    overrides.override(config, key, text)
    after = overrides.flatten(config.to_dict())
    assert after == before | {key: expected}
    assert type(after[key]) is type(expected)
    if isinstance(expected, tuple):
        assert list(map(type, after[key])) == list(map(type, expected))


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("seed", "1.5", "--config.seed=1.5: expected a whole number, such as 0"),
        ("optim.learning_rate", "fast", "expected a number, such as 0.001"),
        ("data.flip", "maybe", "expected true or false, such as True"),
        (
            "data.size_hw",
            "40,wide",
            "--config.data.size_hw=40,wide: expected whole numbers separated by "
            "commas, such as 800,600",
        ),
        ("model.shares", "half", "numbers separated by commas, such as 0.5,2.0"),
    ],
)
def test_values_of_another_type(config, key, text, message):
    before = config.to_dict()
    with pytest.raises(errors.ConfigError) as caught:
        overrides.override(config, key, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert config.to_dict() == before


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("sed", "seed"),
        ("optim.batch_size", "batch_size"),
        ("data", "data.flip"),  # a section is no key
    ],
)
def test_unknown_keys_name_the_nearest(config, key, nearest):
    with pytest.raises(errors.ConfigError) as caught:
        overrides.override(config, key, "1")
    expected = f"--config.{key}: no such key; did you mean --config.{nearest}?"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    "key", ["eval.radius", "eval.radius_mm", "radius", "eval.radii"]
)
def test_unknown_keys_do_not_lead_to_another_unit(config, key):
    with pytest.raises(errors.ConfigError) as caught:
        overrides.override(config, key, "1")
    for part in ("eval.radius_px (pixels)", "eval.radius_um (micrometres)"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("key", "hint"),
    [("eval.jitter", "eval.jitter_px (pixels)?"), ("eval.radus_px", "eval.radius_px?")],
)
def test_units_are_named(config, key, hint):
    with pytest.raises(errors.ConfigError) as caught:
        overrides.override(config, key, "1")
    assert str(caught.value).endswith(f"did you mean --config.{hint}")
