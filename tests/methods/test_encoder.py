from types import SimpleNamespace

import pytest

from cellrec_jax import errors
from cellrec_jax.methods import encoder
from cellrec_jax.nn import convert, norm


def test_auto_freezes_what_was_trained():
    assert encoder.norm_kind("auto", "") == "group"
    assert encoder.norm_kind("auto", "weights.npz") == "frozen_batch"
    assert encoder.norm_kind("sync_batch", "weights.npz") == "sync_batch"
    assert set(encoder.NORMS) == {"auto", *norm.KINDS}


def test_frozen_statistics_need_weights():
    encoder.check_norm("frozen_batch", "weights.npz")
    with pytest.raises(errors.ConfigError, match=r"model\.pretrained=FILE"):
        encoder.check_norm("frozen_batch", "")


@pytest.mark.parametrize("state", [{}, {"batch_stats": {"body": 3, "head": 4}}])
def test_fills_the_encoder_alone(monkeypatch, state):
    seen = []

    def load(*arguments):
        seen.append(arguments)
        return SimpleNamespace(params=10, batch_stats=30, report=("80 tensors",))

    monkeypatch.setattr(convert, "load_torchvision_resnet", load)
    params = {"body": 1, "head": 2}
    same = encoder.load_pretrained("", "body", params, state)
    assert same == (params, state, ())
    assert not seen
    found = encoder.load_pretrained("weights.npz", "body", params, state)
    assert seen == [("weights.npz", 1, 3 if state else {})]
    stats = {"batch_stats": {"body": 30, "head": 4}} if state else {}
    assert found == ({"body": 10, "head": 2}, stats, ("80 tensors",))
