"""Logged series of several runs, by what is handed to the axes; the command line."""

import json

from matplotlib.axes import Axes
import pytest

from cellrec_jax import errors
from cellrec_jax.study import __main__ as main

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
