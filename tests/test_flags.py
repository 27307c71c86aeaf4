"""Verbs, flags and keys: split, told, refused where a verb would pass over them."""

from pathlib import Path
import re
import shlex

import pytest

from cellrec_jax import errors, flags
from cellrec_jax.verbs import VERBS


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
        ("predict", ["--geometry", "ring"], "point, box"),
        ("predict", ["--threshold", "1"], "--threshold 1: give a score between 0 and"),
        ("evaluate", ["--threshold", "-0.1"], "--threshold -0.1"),
        ("evaluate", ["--threshold", "nan"], "--threshold nan"),
        ("train", ["--threshold", "0.3"], "--threshold: --mode train does not read"),
        ("evaluate", ["--all-scores"], "--all-scores: --mode evaluate does not read"),
        ("train", ["--geometry", "box"], "--geometry: --mode train does not read it"),
        ("train", ["--input", "x"], "--input: --mode train does not read it"),
        ("predict", ["--margin", "-1"], "--margin -1: give 0 px or more"),
        (
            "train",
            ["--output", "x"],
            "only adapt, check, convert, corrections, evaluate, export, predict",
        ),
        ("train", ["--mpp-trained", "1"], "only evaluate, export and predict"),
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


def test_a_verb_is_the_mode_and_its_words_may_stand_anywhere():
    rest = ["--threshold", "0.5", "b.png", "--config.predict.batch=2"]
    found, pairs = flags.parse(["predict", "a.png", "--workdir", "w", *rest])
    assert (found.mode, found.called) == ("predict", "predict")
    assert found.words == ["a.png", "b.png"]
    assert (found.threshold, pairs) == (0.5, {"predict.batch": "2"})
    other, _ = flags.parse(["--mode", "predict", "a.png", "--workdir", "w", *rest])
    assert vars(other) == {**vars(found), "called": "--mode predict"}
    twice, _ = flags.parse(["export", "--mode", "export"])
    assert (twice.mode, twice.called) == ("export", "export")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "--mode", "train"], "predict, or --mode train: give one"),
        (["tarin", "--config", "x"], "tarin: no such verb; did you mean train"),
        (["images/"], "images/: no such verb; there are train, evaluate, predict"),
        (["--workdir", "w", "export"], "the verb comes first: cellrec export"),
        (["export", "a.png"], "unrecognized arguments: a.png"),
        (["doctor", "--bogus"], "unrecognized arguments: --bogus"),
        (
            ["doctor", "--workdir", "w"],
            "only adapt, check, evaluate, export, predict, score and train",
        ),
        (
            ["predict", "--json"],
            "--json: predict does not read it, only check, doctor and",
        ),
        (["doctor", "--config.seed=1"], "--config.seed: doctor reads none; leave it"),
        (["predict", "--config.seed=1"], "predict reads only predict.*; the rest is"),
    ],
)
def test_words_that_fit_no_verb_are_refused(words, message):
    with pytest.raises(errors.ConfigError) as caught:
        flags.parse(words)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", VERBS)
def test_help_of_a_verb_has_the_flags_that_it_reads_and_no_others(name, capsys):
    texts = []
    for words in ([name, "--help"], ["--mode", name, "-h"]):
        with pytest.raises(SystemExit) as ended:
            flags.parse(words)
        assert not ended.value.code
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    own = {key for key, verbs in flags.read_by().items() if name in verbs}
    shown = re.findall(r"^  --([\w.-]+)", texts[0], re.MULTILINE)
    shown = [key.replace("-", "_") for key in shown]
    assert len(set(shown)) == len(shown)
    common = {"multihost", "cache", "debug"}
    assert set(shown) - own <= common
    assert own <= set(shown)
    assert ("multihost" in shown) == VERBS[name].has_several


@pytest.mark.parametrize("name", VERBS)
def test_examples_are_command_lines(name):
    assert VERBS[name].examples
    for example in VERBS[name].examples:
        program, *words = shlex.split(example)
        found, _ = flags.parse(words)
        assert (program, found.mode) == ("cellrec", name)
        assert example in flags.help_text(name)
    assert VERBS[name].examples[0] in flags.help_text()


def test_flags_of_one_name_take_values_of_one_kind():
    """One parser takes those of all verbs."""
    known = {}
    for verb in VERBS.values():
        for flag in verb.flags:
            options = {k: v for k, v in flag.options.items() if k != "metavar"}
            assert known.setdefault(flag.name, options) == options


def test_nothing_at_all_is_answered_with_help(capsys):
    with pytest.raises(SystemExit) as ended:
        flags.parse([])
    assert ended.value.code == 2
    assert capsys.readouterr().err == flags.help_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--density-um", "x"], "--density-um x: give a number"),
        (["--tissue", "no"], "--tissue no: choose from on, off"),
        (["--margin", "1.5"], "--margin 1.5: give 0 px or more"),
        (["--overlay-px", "0"], "--overlay-px 0: give 64"),
    ],
)
def test_values_of_another_kind_are_told_in_words(words, told):
    with pytest.raises(errors.ConfigError) as error:
        flags.parse(["predict", "a.svs", *words])
    assert str(error.value).startswith(told)
