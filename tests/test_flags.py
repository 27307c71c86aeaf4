"""Flags and keys: split, and refused where the mode would pass over them."""

from pathlib import Path

import pytest

from cellrec_jax import errors, flags


def test_keys_are_split_from_flags():
    words = ["--config", "a:b", "--config.x=1=2", "--config.y.z", "3", "--workdir", "w"]
    found, pairs = flags.parse(words)
    assert (found.config, found.workdir, found.mode) == ("a:b", Path("w"), "train")
    assert pairs == {"x": "1=2", "y.z": "3"}


@pytest.mark.parametrize("flag", ["--workdir", "--output", "--init-from"])
def test_home_is_expanded_as_the_shell_does_not_after_an_equals_sign(flag, monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    mode = "predict" if flag == "--output" else "train"
    found, _ = flags.parse(["--mode", mode, f"{flag}=~/found"])
    name = flag.removeprefix("--").replace("-", "_")
    assert getattr(found, name) == Path("/somewhere/found")


@pytest.mark.parametrize("mpp", ["0.02", "0.25", "20", "0"])
def test_micrometres_that_an_image_may_have(mpp):
    assert flags.parse(["--mode", "predict", "--mpp", mpp])[0].mpp == float(mpp)


@pytest.mark.parametrize(
    ("mode", "words", "message"),
    [
        ("predict", ["--mpp", "-0.5"], "--mpp=-0.5: give micrometres per px, 0.02 to"),
        ("predict", ["--mpp", "nan"], "--mpp=nan"),
        ("predict", ["--mpp", "inf"], "--mpp=inf"),
        ("predict", ["--mpp", "250"], "if that is nm, --mpp=0.25"),
        ("predict", ["--mpp", "0.01"], "--mpp=0.01"),
        ("predict", ["--geometry", "ring"], "'point', 'box'"),
        ("predict", ["--threshold", "1"], "--threshold 1: give a score between 0 and"),
        ("evaluate", ["--threshold", "-0.1"], "--threshold -0.1"),
        ("evaluate", ["--threshold", "nan"], "--threshold nan"),
        ("train", ["--threshold", "0.3"], "--threshold: --mode train does not read"),
        ("evaluate", ["--all-scores"], "--all-scores: --mode evaluate does not read"),
        ("train", ["--geometry", "box"], "--geometry: --mode train does not read it"),
        ("train", ["--input", "x"], "--input: --mode train does not read it"),
        ("predict", ["--margin", "-1"], "--margin -1: give 0 px or more"),
        ("train", ["--output", "x"], "only evaluate, export and predict"),
        ("train", ["--mpp-trained", "1"], "only evaluate and predict"),
        ("train", ["--margin", "1"], "only predict"),
        ("export", ["--config.seed=1"], "--config.seed: --mode export reads none"),
        ("evaluate", ["--config", "x"], "--config: --mode evaluate does not"),
        ("evaluate", ["--config.loss.scope=both"], "--config.loss.scope: --mode evalu"),
        ("evaluate", ["--config.model.nms_iou=0"], "--config.model.nms_iou: --mode"),
        (
            "evaluate",
            ["--config.seed=1"],
            "reads only data.*, eval.*, log.* and predict.*",
        ),
        ("evaluate", ["--config.data.size_hw=9,9"], "--config.eval.resize=squeeze"),
        ("predict", ["--config", "x"], "--config: --mode predict does not"),
        ("predict", ["--mpp-trained", "nan"], "--mpp-trained=nan: give micrometres"),
        ("train", ["--mpp-trained", "0.5"], "--mpp-trained: --mode train does not"),
        ("predict", ["--config.data.root=x"], "reads only predict.*"),
    ],
)
def test_what_a_mode_does_not_read_is_refused(mode, words, message):
    with pytest.raises(errors.ConfigError) as caught:
        flags.parse(["--mode", mode, *words])
    assert message in str(caught.value)
