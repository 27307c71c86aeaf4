"""Logged series of several runs, by what is handed to the axes; the command line."""

import json

from matplotlib.axes import Axes
import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.study import __main__ as main
from cellrec_jax.study import curves

NAME = "train/negative_weight"


def _leave(folder, *rows, rest=""):
    """A work directory with these (step, value) of the series, and other ones."""
    folder.mkdir(parents=True)
    lines = []
    for step, value in rows:
        row = {"step": step, NAME: value, "train/loss": 1.0, "time": "now"}
        lines += [json.dumps(row), json.dumps({"step": step, "eval/F1": None})]
    (folder / "metrics.jsonl").write_text("\n".join([*lines, rest]))
    return str(folder)


@pytest.fixture
def drawn(monkeypatch):
    """Label -> steps and values of each line that the axes got."""
    found = {}

    def plot(axes, steps, values, **options):
        if "label" in options:
            found[options["label"]] = (steps.tolist(), values.tolist())
        return own(axes, steps, values, **options)

    own = Axes.plot
    monkeypatch.setattr(Axes, "plot", plot)
    return found


def _run(out, *words, name=NAME):
    return main.run(["curves", "--name", name, "--out", str(out), *words])


def test_each_run_is_a_line_of_its_values(tmp_path, drawn):
    one = _leave(tmp_path / "a", (10, 1.0), (20, 0.5), (30, 0.25))
    other = _leave(tmp_path / "b", (5, 0.4), (10, None), (15, 0.2))
    out = tmp_path / "c.png"
    assert _run(out, f"BDE={one}", f"constant={other}") == 0
    assert drawn == {
        "BDE": ([10, 20, 30], [1.0, 0.5, 0.25]),
        "constant": ([5, 15], [0.4, 0.2]),
    }
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_resumed_run_has_the_values_that_were_logged_last(tmp_path, drawn):
    """It went on from step 15, otherwise than before, and was killed while writing."""
    rows = (10, 1.0), (20, 0.5), (30, 0.1), (18, 0.9), (28, 0.8)
    run = _leave(tmp_path / "a", *rows, rest='{"step": 38, "tra')
    _run(tmp_path / "c.png", f"a={run}")
    assert drawn == {"a": ([10, 18, 28], [1.0, 0.9, 0.8])}


def test_seeds_of_a_label_are_averaged_where_all_have_a_value(tmp_path, drawn):
    _leave(tmp_path / "seed0", (10, 1.0), (20, 0.5))
    _leave(tmp_path / "seed1", (10, 0.5), (20, 0.25), (30, 0.1))
    _run(tmp_path / "c.png", f"both={tmp_path}/seed*")
    assert drawn == {"both": ([10, 20], [0.75, 0.375])}
    _leave(tmp_path / "seed2", (11, 0.5))
    with pytest.raises(errors.ConfigError, match="both: 3 work directories"):
        _run(tmp_path / "c.png", f"both={tmp_path}/seed*")


def test_a_name_that_is_not_there_lists_those_that_are(tmp_path):
    """But not what is no number."""
    run = _leave(tmp_path / "a", (10, 1.0))
    for name in ("train/weight", "time", "eval/F1"):
        with pytest.raises(errors.ConfigError) as error:
            _run(tmp_path / "c.png", run, name=name)
        assert str(error.value).endswith(f"it has train/loss, {NAME}"), name
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.ConfigError, match=r"metrics\.jsonl is missing"):
        _run(tmp_path / "c.png", str(tmp_path / "empty"))
    assert not (tmp_path / "c.png").exists()


def test_the_crossing_by_hand():
    """Above by 2 and 1, below by 1 and 2: between 10 and 20, in the middle."""
    steps, level = np.array([0, 10, 20, 30]), np.full(4, 2.0)
    assert curves.crossing(steps, np.array([4.0, 3, 1, 0]), level) == 15.0
    assert curves.crossing(steps, np.array([4.0, 5, 1, 1]), level) == 17.5
    assert curves.crossing(steps, np.array([4.0, 2, 1, 1]), level) == 10.0


def test_series_that_do_not_cross_downwards():
    steps, level = np.array([0, 10, 20, 30]), np.full(4, 2.0)
    for first in ([4.0, 3, 3, 3], [1.0, 1, 1, 0], [0.0, 1, 3, 4], [2.0, 2, 2, 2]):
        assert curves.crossing(steps, np.array(first), level) is None, first


def test_a_short_dip_is_no_crossing():
    """Where it falls for good decides, although it was below once before."""
    first = np.array([5.0, 5, 1, 5, 5, 1, 1, 1])
    place = curves.crossing(np.arange(8), first, np.full(8, 2.0))
    assert place == 4.75


def test_noise_is_smoothed_away(rng):
    """The true crossing is at step 3,000 of 10,000."""
    steps = np.arange(20, 10_001, 20)
    first = 1 - (steps - 3000) / 20_000 + rng.normal(0, 0.05, len(steps))
    second = 1 + rng.normal(0, 0.05, len(steps))
    assert abs(curves.crossing(steps, first, second) - 3000) < 500


def test_noise_at_the_end_is_no_crossing():
    """Below for the last three of 100 values, which are smoothed over four."""
    first = np.full(100, 3.0)
    first[-3:] = 0.0
    assert curves.crossing(np.arange(100), first, np.full(100, 2.0)) is None
    first[-20:] = 0.0
    assert 78 < curves.crossing(np.arange(100), first, np.full(100, 2.0)) < 82


def _with_rate(folder, rate, *rows):
    run = _leave(folder, *rows)
    (folder / "config.json").write_text(json.dumps({"data": {"keep_rate": rate}}))
    return run


@pytest.fixture
def rates(tmp_path):
    """Runs of a method with a tenth of the annotations, two seeds, and with all."""
    _with_rate(tmp_path / "plain_a", 0.1, (0, 5.0), (10, 3.0), (20, 0.0))
    _with_rate(tmp_path / "plain_b", 0.1, (0, 3.0), (10, 3.0), (20, 2.0))
    _with_rate(tmp_path / "plain_c", 1.0, (0, 2.0), (10, 2.0), (20, 2.0), (30, 9.0))
    return f"plain={tmp_path}/plain_*"


def test_a_line_a_rate_and_where_they_cross(tmp_path, drawn, rates, capsys):
    other = _with_rate(tmp_path / "bde", 0.1, (0, 1.0), (10, 1.0))
    out = tmp_path / "c.png"
    assert _run(out, rates, f"BDE={other}") == 0
    assert drawn == {
        "10 %": ([0, 10], [1.0, 1.0]),  # of BDE, drawn last
        "100 %": ([0, 10, 20, 30], [2.0, 2.0, 2.0, 9.0]),
    }
    rows = curves.measure({"plain": [str(p) for p in tmp_path.glob("plain_*")]}, NAME)
    tenth = [row["value"] for row in rows if row["keep_rate"] == 0.1]
    assert tenth == [4.0, 3.0, 1.0]
    (found,) = curves.crossings(rows)
    assert (found["keep_rate"], found["than"]) == ("10 %", "100 %")
    assert found["crossing"] == 15
    assert (found["before"], found["after"]) == (1.5, -1.0)
    printed = capsys.readouterr().out
    assert "| plain | 10 % | 100 % | 15 | 1.500 | -1.000 |" in printed


def test_the_table_alone_draws_the_same(tmp_path, rates, capsys):
    out, again = tmp_path / "c.png", tmp_path / "again.png"
    _run(out, rates)
    printed = capsys.readouterr().out
    table = str(tmp_path / "c.csv")
    assert main.run(["curves", "--from", table, "--out", str(again)]) == 0
    assert again.read_bytes() == out.read_bytes()
    assert capsys.readouterr().out == printed
    with pytest.raises(errors.ConfigError, match="give --name SERIES"):
        main.run(["curves", str(tmp_path / "plain_a"), "--out", str(out)])
    with pytest.raises(errors.ConfigError, match=r"give FILE\.png"):
        _run(tmp_path / "c.csv", rates)
