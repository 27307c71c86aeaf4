"""A folder of an adaptation goes on with what it was begun with alone."""

from types import SimpleNamespace

from etils import epath
import pytest

from cellrec_jax import errors
from cellrec_jax.adapt import kept
from cellrec_jax.adapt.rounds import Options
from cellrec_jax.predict import provenance


def test_another_value_is_refused_and_the_first_one_stays(tmp_path):
    output = epath.Path(tmp_path / "new")
    kept.require_same(output, {"tiles": 3, "mpp_for_all": False})
    kept.require_same(output, {"tiles": 3, "mpp_for_all": False})
    with pytest.raises(errors.ConfigError) as caught:
        kept.require_same(output, {"tiles": 2, "mpp_for_all": True})
    told = "mpp_for_all (off there, on now); tiles (3 there, 2 now)"
    assert told in str(caught.value)
    kept.require_same(output, {"tiles": 3, "mpp_for_all": False})


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / kept.FILE).write_text("{")
    with pytest.raises(errors.ConfigError, match=r"adapt.json cannot be read"):
        kept.require_same(epath.Path(tmp_path), {})


def test_more_rounds_are_the_same_and_other_pictures_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "of_model", lambda _: {"weights": "ab"})
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    first.write_bytes(b"1")
    second.write_bytes(b"22")
    model = SimpleNamespace()
    one = kept.made_with(model, [first], Options(rounds=1))
    assert one["weights"] == "ab"
    assert kept.made_with(model, [first], Options(rounds=2)) == one
    assert kept.made_with(model, [second], Options(rounds=1)) != one
    first.write_bytes(b"333")
    assert kept.made_with(model, [first], Options(rounds=1)) != one
