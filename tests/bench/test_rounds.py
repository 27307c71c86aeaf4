import pytest

from cellrec_jax import config_files, methods
from cellrec_jax.bench import rounds
from cellrec_jax.bench.report import Settings


@pytest.mark.slow
def test_stages_and_the_rest_are_all_seconds():
    experiment = methods.freeze(config_files.load(rounds.CONFIG))
    tiny = methods.changed(
        experiment,
        {
            "total_steps": 2,
            "batch_size": 4,  # divides over the devices of tests
            "data.size_hw": (64, 64),
            "data.synthetic_hw": (128, 128),
            "data.synthetic_train": 4,
            "data.synthetic_test": 1,
            "refine.epochs": 1,
            "refine.rounds": 1,
        },
    )
    found = rounds.measure(tiny)
    seconds = {row["stage"]: row["seconds"] for row in found.rows}
    assert list(seconds) == [*rounds._STAGES.values(), "all else"]
    assert min(seconds.values()) >= 0
    assert seconds["training detectors"] > 0
    assert sum(row["percent"] for row in found.rows) == pytest.approx(100)
    (note,) = found.notes
    assert note.startswith(f"{sum(seconds.values()):.0f} s in all; F1 by round ")
    assert note.count(",") == 1  # two rounds


def test_steps_of_the_command_line(monkeypatch):
    measured, said = [], []
    monkeypatch.setattr(rounds, "measure", measured.append)
    rounds.run(Settings(), said.append)
    rounds.run(Settings(steps=7), said.append)
    assert [one.total_steps for one in measured] == [150, 7]
    assert said[1] == "rounds: c2c12_pseudo:demo, 7 steps a detector"
