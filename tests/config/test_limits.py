"""Impossible values are refused in one line that names the flag."""

import dataclasses

import pytest

from cellrec_jax import config as config_lib
from cellrec_jax import errors
from cellrec_jax.config.limits import check, option


def changed(**fields) -> config_lib.Experiment:
    """Defaults with `section__key=value` or `key=value` replaced."""
    sections: dict[str, dict] = {}
    plain = {}
    for name, value in fields.items():
        section, _, key = name.rpartition("__")
        (sections.setdefault(section, {}) if section else plain)[key] = value
    shared = config_lib.shared({**plain, **sections})
    return config_lib.Experiment("calibrated_rcnn", None, **shared)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"total_steps": 0}, "total_steps=0 must be more than 0"),
        ({"seed": -1}, "seed=-1 must be 0 or more"),
        ({"data__hed_jitter": 3.0}, "data.hed_jitter=3.0 must be in [0, 1)"),
        ({"data__crop_hw": (64, 900)}, "must fit into data.size_hw=800,800"),
        ({"data__crop_hw": (0, 64)}, "0,0 takes whole images"),
        ({"optim__drops": (3.0, 4.0)}, "optim.drops=3.0,4.0 must be in (0, 1): shares"),
        ({"optim__learning_rate": float("inf")}, "optim.learning_rate=inf must be"),
        ({"data__size_hw": (800,)}, "data.size_hw=(800,) must be height,width"),
        ({"data__crop_hw": ()}, "data.crop_hw=() must be height,width"),
        ({"data__synthetic_hw": (31, 64)}, "must be height,width of at least 32"),
        ({"data__keep_rate": 2.0}, "--config.data.keep_one=true"),
        ({"data__flip_labels": 1.5}, "data.flip_labels=1.5 must be in [0, 1]"),
        ({"data__jitter_px": float("nan")}, "data.jitter_px=nan must be"),
        ({"data__synthetic_kind": "ki67"}, "choose one of nuclei, membrane"),
        ({"data__num_folds": 1}, "at least 2"),
        ({"data__num_folds": 3, "data__fold": 3}, "data.fold=3 must be in 0..2"),
        ({"data__num_folds": 3, "data__test_ids": "0-3"}, "exclude each other"),
    ],
)
def test_impossible_values(fields, message):
    with pytest.raises(errors.ConfigError) as caught:
        changed(**fields)
    assert str(caught.value).startswith("--config.")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"data__keep_rate": 1e-3},
        {"data__flip_labels": 1.0, "data__jitter_px": 8.0},
        {"data__synthetic_kind": "membrane"},
        {"data__synthetic_kind": "cytoplasm"},
        {"data__num_folds": 2, "data__fold": 1},
        {"data__crop_hw": (0, 0)},
        {"eval__protocol": "nearest", "eval__beside": "max", "eval__strict": True},
        {"data__train_ids": "0-3", "data__test_ids": "4"},
    ],
)
def test_possible_values(fields):
    changed(**fields)


@dataclasses.dataclass(frozen=True)
class Options:
    rate: float = option(0.5, above=0, most=1, hint="a half is usual")
    sides: tuple[int, ...] = option((8, 4), least=2)
    kind: str = option("a", choices=("a", ""))
    free: float = -1.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rate": 0.0}, "x.rate=0.0 must be in (0, 1]: a half is usual"),
        ({"rate": 1.5}, "x.rate=1.5 must be in (0, 1]: a half is usual"),
        ({"sides": (8, 1)}, "x.sides=8,1 must be at least 2"),
        ({"kind": "b"}, "x.kind=b: choose one of a, ''"),
    ],
)
def test_the_text_is_made_from_the_limits(fields, message):
    check("x", Options())
    check("x", Options(rate=1.0, sides=(2,), kind="", free=float("nan")))
    with pytest.raises(errors.ConfigError) as caught:
        check("x", Options(**fields))
    assert str(caught.value) == f"--config.{message}"
