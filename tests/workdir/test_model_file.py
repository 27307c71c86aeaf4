"""Models in one file with a card: what is in comes out, damage is one line."""

import json

from etils import epath
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from cellrec_jax import errors
from cellrec_jax.workdir import model_file

META = {"config": {"method": "some"}, "class_names": [], "native_hw": [1, 1]}
META |= {"mpp": 0.0, "decode": {}}
CARD = {
    **{"name": "m", "what": "w", "classes": {}, "data": [], "scores": {}},
    **{"command": "c", "step": 3, "meta": META},
}
_WHOLE = {**CARD, "format": 1, "weights": {"sha256": "", "bytes": 1}}
PARAMS = {"b": {"kernel": np.float32([[1 / 3, -7e4], [2, 0]])}, "a": np.float32([1.1])}
STATE = {"mean": np.float32([1 / 3]), "count": np.int32(4)}
SPEC = jax.eval_shape(lambda: {"params": PARAMS, "model_state": STATE})


@pytest.fixture
def path(tmp_path):
    made = epath.Path(tmp_path) / "m.safetensors"
    model_file.write(made, CARD, PARAMS, STATE)
    return made


def test_weights_and_card_come_back(path):
    """Parameters to 1 of 2048; what float16 has not, and statistics, as they were."""
    card = model_file.read_card(path)
    assert {key: card[key] for key in CARD} == CARD
    assert card["weights"]["bytes"] == path.stat().length
    found = model_file.read(path, card, SPEC)
    assert jax.eval_shape(lambda: found) == SPEC
    np.testing.assert_array_equal(found["params"]["a"], np.float32(np.float16([1.1])))
    np.testing.assert_array_equal(found["params"]["b"]["kernel"], PARAMS["b"]["kernel"])
    np.testing.assert_array_equal(found["model_state"]["mean"], STATE["mean"])
    assert found["model_state"]["count"] == 4
    stored = safetensors.numpy.load(path.read_bytes())
    assert {name: str(array.dtype) for name, array in stored.items()} == {
        "params/a": "float16",
        "params/b/kernel": "float32",
        "model_state/mean": "float32",
        "model_state/count": "int32",
    }


def test_damage_is_one_line(path):
    card, content = model_file.read_card(path), path.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    for damaged in (content[:-1], flipped, b""):
        path.write_bytes(damaged)
        with pytest.raises(errors.CheckpointError, match="fetch both again") as caught:
            model_file.read(path, card, SPEC)
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(errors.CheckpointError, match="No such file"):
        model_file.read(path, card, SPEC)


def test_arrays_of_another_network_are_refused(path):
    card = model_file.read_card(path)
    longer = {**SPEC, "model_state": {**SPEC["model_state"], "mean": jnp.zeros(2)}}
    with pytest.raises(errors.CheckpointError, match="not those of some"):
        model_file.read(path, card, longer)
    with pytest.raises(errors.CheckpointError, match="not those of some"):
        model_file.read(path, card, {"params": SPEC["params"]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "no card"),
        ('{"format": 2}', "no card"),
        (json.dumps({**CARD, "format": 1}), "lacks weights"),
        (json.dumps({**_WHOLE, "meta": {"mpp": 0}}), "lacks meta.config, meta.class_"),
        (json.dumps({**_WHOLE, "meta": []}), "lacks an object as meta"),
        (json.dumps({**_WHOLE, "weights": {"bytes": 1}}), "lacks weights.sha256"),
    ],
)
def test_a_card_of_another_kind_is_refused(path, content, message):
    model_file.card_of(path).write_text(content)
    with pytest.raises(errors.CheckpointError, match=message):
        model_file.read_card(path)
    model_file.card_of(path).unlink()
    with pytest.raises(errors.CheckpointError, match="No such file"):
        model_file.read_card(path)


def test_nothing_is_written_over(path):
    card = model_file.card_of(path)
    for there, gone in ((path, card), (card, path)):
        there.write_text("mine")
        gone.unlink(missing_ok=True)
        with pytest.raises(errors.ConfigError, match=f"{there.name}: is there"):
            model_file.write(path, CARD, PARAMS, STATE)
        assert there.read_text() == "mine"
        assert not gone.exists()
