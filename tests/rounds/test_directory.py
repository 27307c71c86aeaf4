"""Rounds belong to one configuration; more may be added, and given up again."""

import dataclasses
import functools

import pytest

from cellrec_jax import config, errors, methods
from cellrec_jax.data import sets
from cellrec_jax.data.record import Source
from cellrec_jax.rounds import directory as round_directory
from cellrec_jax.workdir import checkpoint, directory

STAGES = round_directory.STAGES
check = functools.partial(directory.check, stages=STAGES)
claim = functools.partial(directory.claim, stages=STAGES)
is_finished = functools.partial(directory.is_finished, stages=STAGES)


def _sets(train, test) -> sets.Sets:
    source = Source("any", ("cell",), (*train, *test), lambda _: None)
    named = (train, ("4",), test)
    return sets.Sets(*(sets.Split(source, ids, None) for ids in named), ())


def test_labels_of_rounds_belong_to_one_configuration(tiny_experiment, tmp_path):
    """Even before the first checkpoint, and to how detections are made."""
    labels = tmp_path / "labels" / "round_0.json"
    labels.parent.mkdir()
    claim(tiny_experiment, tmp_path, _sets(("0", "1"), ("2",)))
    labels.write_text("{}")
    check(tiny_experiment, tmp_path)
    with pytest.raises(errors.ConfigError, match=r"seed \(0 there, 1 now\)"):
        check(dataclasses.replace(tiny_experiment, seed=1), tmp_path)
    evaluation = dataclasses.replace(tiny_experiment.eval, threshold=0.25)
    other = dataclasses.replace(tiny_experiment, eval=evaluation)
    with pytest.raises(errors.ConfigError, match=r"eval.threshold .* 0.25 now"):
        check(other, tmp_path)
    with pytest.raises(errors.ConfigError, match="train images were others"):
        claim(tiny_experiment, tmp_path, _sets(("0",), ("2",)))


@pytest.fixture
def with_rounds(tiny_experiment):
    """Makes an experiment of so many rounds."""

    def make(number, **evaluation):
        return methods.freeze(
            {
                "method": "heatmap_pu",
                "total_steps": tiny_experiment.total_steps,
                "refine": {"rounds": number},
                "eval": evaluation,
            }
        )

    return make


@pytest.fixture
def two_rounds(with_rounds, tmp_path, monkeypatch):
    """A folder with two finished rounds, as far as `directory` looks."""
    claim(with_rounds(2), tmp_path, _sets(("0", "1"), ("2",)))
    step = with_rounds(2).total_steps
    (tmp_path / "checkpoints" / str(step)).mkdir(parents=True)
    (tmp_path / "labels").mkdir()
    for number in range(3):
        (tmp_path / "labels" / f"round_{number}.json").write_text("{}")
    (tmp_path / "results.json").write_text("{}")
    meta = {"config": config.to_json(with_rounds(2))}
    monkeypatch.setattr(checkpoint, "latest_meta", lambda _: meta)
    return tmp_path


def test_rounds_may_be_added(with_rounds, two_rounds):
    assert is_finished(two_rounds, with_rounds(2))
    check(with_rounds(4), two_rounds)
    assert not is_finished(two_rounds, with_rounds(4))
    claim(with_rounds(2), two_rounds, _sets(("0", "1"), ("2",)))
    assert (two_rounds / "results.json").exists()
    claim(with_rounds(4), two_rounds, _sets(("0", "1"), ("2",)))
    assert not (two_rounds / "results.json").exists()


def test_added_rounds_may_be_given_up_before_they_have_labels(with_rounds, two_rounds):
    claim(with_rounds(40), two_rounds, _sets(("0", "1"), ("2",)))
    check(with_rounds(2), two_rounds)
    (two_rounds / "labels" / "round_3.json").write_text("{}")
    check(with_rounds(3), two_rounds)
    for fewer in (0, 1, 2):
        with pytest.raises(errors.ConfigError, match=r"refine.rounds \(40 there"):
            check(with_rounds(fewer), two_rounds)


def test_added_rounds_make_detections_as_before(with_rounds, two_rounds):
    """Whatever way the finished ones have been evaluated in since."""
    other = with_rounds(2, threshold=0.25)
    check(other, two_rounds)
    claim(other, two_rounds, _sets(("0", "1"), ("2",)))
    check(with_rounds(4), two_rounds)
    with pytest.raises(errors.ConfigError, match=r"eval.threshold"):
        check(with_rounds(4, threshold=0.25), two_rounds)
    # Neither while they are being trained.
    claim(with_rounds(4), two_rounds, _sets(("0", "1"), ("2",)))
    with pytest.raises(errors.ConfigError, match=r"eval.threshold"):
        check(with_rounds(4, threshold=0.25), two_rounds)
