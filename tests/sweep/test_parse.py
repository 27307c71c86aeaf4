"""What sweep files say, and what they may not."""

import pytest

from cellrec_jax import errors
from cellrec_jax.sweep import parse


def test_a_file(sweep_file):
    sweep = parse.read(sweep_file)
    assert (sweep.name, sweep.title, sweep.x) == ("trial", "A trial", "kept")
    assert sweep.axes["kept"].numbers == (0.1, 1.0)
    assert list(sweep.rows) == ["plain", "bde"]
    plain, bde = sweep.rows.values()
    assert plain.overrides == {"data.format": "bcdata", "loss.calibration": "plain"}
    assert (plain.label, plain.axes, plain.paper) == ("plain", ("kept",), {"F1": 0.6})
    assert (bde.label, bde.axes, bde.paper) == ("BDE", (), {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = ", "no TOML"),
        ('metrics = ["F1"]', "lacks 'rows'"),
        ('metrics = []\n[rows.a]\nconfig = "c"', "one metric"),
        ('metrics = ["F1"]\n[rows.a]\nlabel = "c"', "rows.a lacks a config"),
        ('metrics = ["F1"]\n[rows.a]\nconfigs = "c"', "rows.a has 'configs'"),
        ('metrics = ["F1"]\nrow = 1\n[rows.a]\nconfig = "c"', "has 'row'"),
        ('metrics = ["F1"]\n[rows."../a"]\nconfig = "c"', "use letters"),
        ('metrics = ["F1"]\nx = "q"\n[rows.a]\nconfig = "c"', "no axis of numbers"),
        ('metrics = ["F1"]\n[rows.a]\nconfig = "c"\naxes = ["q"]', "has 'q'"),
        ('metrics = ["F1"]\n[axes.seed]\nkey="a"\nvalues=[1]\n[rows.a]', "taken"),
        ('metrics = ["F1"]\n[axes.q]\nkey="a"\n[rows.a]', "lacks 'values'"),
        (
            'metrics = ["F1"]\n[rows.a]\nconfig="c"\n[rows.b]\nconfig="c"\nlabel="a"',
            "two rows have one label",
        ),
        ('metrics = ["F1"]\nseeds = 3\n[rows.a]\nconfig = "c"', "trial.toml"),
    ],
)
def test_mistakes_name_the_file(tmp_path, text, message):
    path = tmp_path / "trial.toml"
    path.write_text(text)
    with pytest.raises(errors.ConfigError, match=r"trial\.toml: ") as caught:
        parse.read(path)
    assert message in str(caught.value)


def test_no_such_file(tmp_path):
    with pytest.raises(errors.ConfigError, match="No such file"):
        parse.read(tmp_path / "none.toml")
