"""Options that contradict each other or do nothing are refused, with the key."""

import pytest

from cellrec_jax import errors, methods
from cellrec_jax.methods.heatmap_pu.options import LossOptions, ModelOptions, Options


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LossOptions(form="other"), r"loss\.form=other: choose one of masked"),
        (lambda: LossOptions(doubtful="top"), r"doubtful=top does nothing with .*form"),
    ],
)
def test_impossible_values(make, message):
    with pytest.raises(errors.ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("activation", "loss", "message"),
    [
        ("linear", {"form": "pu"}, r"set --config\.model\.activation=sigmoid"),
        ("sigmoid", {"range_weight": 2.0}, r"loss\.range_weight=2\.0 does nothing"),
        ("linear", {"prior": 0.3}, r"loss\.prior=0\.3 does nothing: loss\.form=masked"),
        (
            "sigmoid",
            {"form": "plain", "prior": 0.3},
            r"loss\.prior=0\.3 does nothing: loss\.form=plain",
        ),
    ],
)
def test_combinations_that_do_nothing(activation, loss, message):
    with pytest.raises(errors.ConfigError, match=message):
        Options(ModelOptions(activation=activation), LossOptions(**loss))


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("linear", {"range_weight": 2.0}),
        ("linear", {"form": "plain", "range_weight": 2.0}),
        ("sigmoid", {"form": "pu", "prior": 0.3}),
    ],
)
def test_combinations_that_do_something(activation, loss):
    options = Options(ModelOptions(activation=activation), LossOptions(**loss))
    assert options.loss == LossOptions(**loss)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"loss": {"form": "plain"}, "refine": {"rounds": 1}},
            r"refine\.rounds=1 needs .*loss\.form=masked",
        ),
        (
            {"refine": {"rounds": 1, "patch_px": 27, "patch_step": 2}},
            r"patch_step=2: refine\.patch_px=27 .* 26",
        ),
        (
            {"refine": {"rounds": 1, "patch_px": 24, "patch_step": 2}},
            r"refine\.patch_px=24.* at least 26",
        ),
        (
            {"model": {"classifier": "small", "patch_px": 12}},
            r"model\.patch_px=12.* at least 13",
        ),
        (
            {"model": {"classifier": "small"}, "refine": {"patch_step": 2}},
            r"patch_step=2: model\.patch_px=27 .* 26",
        ),
        (
            {"model": {"classifier": "small"}, "refine": {"rank": "score"}},
            r"refine\.rank=score has no classifier .* model\.classifier=small asks",
        ),
        (
            {"model": {"classifier": "small"}, "refine": {"patch_colors": "all"}},
            r"refine\.patch_colors=all: .* leave it at grey",
        ),
    ],
)
def test_rounds_that_cannot_be(sections, message):
    with pytest.raises(errors.ConfigError, match=message):
        methods.freeze({"method": "heatmap_pu", **sections})
