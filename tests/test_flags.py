"""Flags and keys: split, and refused where the mode would pass over them."""

from pathlib import Path

import pytest

from cellrec_jax import errors, flags


def test_keys_are_split_from_flags():
    words = ["--config", "a:b", "--config.x=1=2", "--config.y.z", "3", "--workdir", "w"]
    found, pairs = flags.parse(words)
    assert (found.config, found.workdir, found.mode) == ("a:b", Path("w"), "train")
    assert pairs == {"x": "1=2", "y.z": "3"}


@pytest.mark.parametrize(
    ("mode", "words", "message"),
    [
        ("train", ["--input", "x"], "--input: --mode train does not read it"),
        ("train", ["--mpp", "0.5"], "--mpp: --mode train does not read it"),
        ("train", ["--margin", "64"], "--margin: --mode train does not read it"),
        ("predict", ["--margin", "-1"], "--margin -1: give 0 px or more"),
        ("train", ["--output", "x"], "only evaluate and predict"),
        ("evaluate", ["--config", "x"], "--config: --mode evaluate does not"),
        ("evaluate", ["--init-from", "x"], "--init-from: --mode evaluate does not"),
        ("evaluate", ["--input", "x"], "--input: --mode evaluate does not"),
        ("evaluate", ["--mpp", "0.5"], "only predict"),
        ("evaluate", ["--config.loss.scope=both"], "--config.loss.scope: --mode evalu"),
        ("evaluate", ["--config.model.nms_iou=0"], "--config.model.nms_iou: --mode"),
        ("evaluate", ["--config.seed=1"], "reads only data.*, eval.* and log.*"),
        ("evaluate", ["--config.total_steps=1"], "--config.total_steps: --mode"),
        ("predict", ["--config", "x"], "--config: --mode predict does not"),
        ("predict", ["--init-from", "x"], "--init-from: --mode predict does not"),
        ("predict", ["--distributed", "auto"], "--distributed: --mode predict does"),
        ("predict", ["--config.data.root=x"], "takes no --config keys"),
    ],
)
def test_what_a_mode_does_not_read_is_refused(mode, words, message):
    with pytest.raises(errors.ConfigError) as caught:
        flags.parse(["--mode", mode, *words])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("train", ["--config.seed=1", "--init-from", "x", "--distributed", "auto"]),
        (
            "evaluate",
            ["--config.data.root=x", "--config.eval.iou=0.4", "--output", "x"],
        ),
        ("evaluate", ["--config.log.seconds=1"]),
        ("predict", ["--input", "x", "--output", "y", "--mpp", "0.5", "--margin", "9"]),
    ],
)
def test_what_a_mode_reads_is_taken(mode, words):
    assert flags.parse(["--mode", mode, *words])[0].mode == mode
