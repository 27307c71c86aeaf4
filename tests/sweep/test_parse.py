"""What sweep files say, and what they may not."""

import pytest

from cellrec_jax import errors
from cellrec_jax.sweep import parse, plan


def test_a_file(sweep_file):
    sweep = parse.read(sweep_file)
    assert (sweep.name, sweep.title, sweep.x) == ("trial", "A trial", "kept")
    assert sweep.axes["kept"].numbers == (0.1, 1.0)
    assert list(sweep.rows) == ["plain", "bde"]
    plain, bde = sweep.rows.values()
    assert plain.overrides == {"data.format": "bcdata", "loss.calibration": "plain"}
    assert (plain.label, plain.axes, plain.paper) == ("plain", ("kept",), {"F1": 0.6})
    assert (bde.label, bde.axes, bde.paper) == ("BDE", (), {})
    assert sweep.pairs == ()


def test_the_papers_values_may_follow_the_only_axis(tmp_path):
    path = tmp_path / "trial.toml"
    path.write_text(
        """
        metrics = ["F1", "AP"]
        axes.q = { key = "a", values = [0.1, 1] }
        rows.a = { config = "c", paper = { F1 = [1, 0.5], AP = 0.2 } }
        """
    )
    sweep = parse.read(path)
    assert sweep.rows["a"].paper == {"F1": (1.0, 0.5), "AP": 0.2}
    found = [plan.printed(sweep, "a", {"q": q}, "F1") for q in ("1", "0.1")]
    assert found == [0.5, 1.0]
    assert plan.printed(sweep, "a", {"q": "1"}, "AP") == 0.2
    assert plan.printed(sweep, "a", {"q": "1"}, "recall") is None


def test_pairs(tmp_path):
    path = tmp_path / "trial.toml"
    path.write_text(
        """
        metrics = ["F1"]
        axes.q = { key = "a", values = [1, 2] }
        rows.a = { config = "c" }
        rows.b = { config = "c", label = "d", axes = [] }
        [[pairs]]
        row = "a"
        against = "b"
        metric = "F1@12px/positive"
        """
    )
    assert parse.read(path).pairs == (parse.Pair("a", "b", "F1@12px/positive"),)
    text = path.read_text()
    for old, new, message in (
        ('against = "b"', 'against = "x"', "pairs.against = 'x'; the rows are a, b"),
        ('metric = "F1@12px/positive"', 'metric = "AP"', "pairs.metric = 'AP': give"),
        ('against = "b"', "", "pairs lacks 'against'"),
        ('row = "a"', 'row = "b"', "compares 'b' with itself"),
    ):
        path.write_text(text.replace(old, new))
        with pytest.raises(errors.ConfigError, match=message):
            parse.read(path)
    swapped = text.replace('row = "a"', 'row = "b"')
    path.write_text(swapped.replace('against = "b"', 'against = "a"'))
    with pytest.raises(errors.ConfigError, match="'a' has the axis q, 'b' not"):
        parse.read(path)


def test_weights_to_start_from(tmp_path):
    path = tmp_path / "trial.toml"
    path.write_text(
        """
        metrics = ["F1"]
        rows.a = { config = "c" }
        rows.b = { config = "c", init_from = "ki67" }
        """
    )
    found = [run.init_from for run in plan.expand(parse.read(path), {})]
    assert found == ["", "ki67"]


def test_choices_named_by_numbers_are_an_axis_of_numbers(tmp_path):
    path = tmp_path / "trial.toml"
    path.write_text(
        """
        metrics = ["F1"]
        rows.a = { config = "c" }
        [axes.images.choices]
        1 = { ids = "0" }
        16 = { ids = "0-15" }
        """
    )
    sweep = parse.read(path)
    assert (sweep.x, sweep.axes["images"].numbers) == ("images", (1.0, 16.0))
    assert sweep.axes["images"].choices["16"] == {"ids": "0-15"}
    path.write_text(path.read_text().replace("16 =", "all ="))
    assert parse.read(path).axes["images"].numbers == ()


def test_rows_that_share_no_axis_have_no_common_x(tmp_path):
    """An axis of several keys has numbers, too."""
    path = tmp_path / "trial.toml"
    path.write_text(
        """
        metrics = ["F1"]
        axes.p = { key = "a", values = [1.0, 2.0] }
        axes.share = { key = ["b", "c"], values = [0.1, 1] }
        rows.exponent = { config = "c", axes = ["p"] }
        rows.shares = { config = "c", axes = ["share"] }
        """
    )
    sweep = parse.read(path)
    assert sweep.x == ""
    assert sweep.axes["share"].numbers == (0.1, 1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = ", "no TOML"),
        ('metrics = ["F1"]', "lacks 'rows'"),
        ('metrics = ["F1"]\n[rows.a]\nlabel = "c"', "rows.a lacks 'config'"),
        ('metrics = ["F1"]\n[rows."../a"]\nconfig = "c"', "use letters"),
        ('metrics = ["F1"]\nx = "q"\n[rows.a]\nconfig = "c"', "no axis of numbers"),
        (
            'metrics = ["F1"]\n[rows.a]\nconfig="c"\n[rows.b]\nconfig="c"\nlabel="a"',
            "two rows have one label",
        ),
    ],
)
def test_mistakes_name_the_file(tmp_path, text, message):
    path = tmp_path / "trial.toml"
    path.write_text(text)
    with pytest.raises(errors.ConfigError, match=r"trial\.toml: ") as caught:
        parse.read(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("title = 3", "title = 3: give a text"),
        ('metrics = ["F1", "F1"]', "metrics has 'F1' twice"),
        ("axes.q = { values = [1] }", "axes.q lacks 'key'"),
        ('axes.q = { key = "a", values = "ab" }', "axes.q.values = 'ab': give a list"),
        ('axes.q = { key = "a", values = [1, 1] }', "axes.q.values has '1' twice"),
        (
            'rows.a = { config = "c", init_from = "" }',
            "rows.a.init_from is empty: leave it out",
        ),
        (
            'rows.a = { config = "c", paper.F1 = "1" }',
            "rows.a.paper.F1 = '1': give a number",
        ),
        (
            'rows.a = { config = "c", paper.F1 = [1, 2] }',
            "rows.a.paper.F1 has 2 numbers: give one for each value of the row's only",
        ),
        (
            'rows.a = { config = "c", paper.F1 = ["1"] }',
            "rows.a.paper.F1 = '1': give a number",
        ),
    ],
)
def test_mistakes_name_the_place(tmp_path, line, message):
    """The line takes its key's place in a file that is right."""
    right = {"metrics": 'metrics = ["F1"]', "rows": "rows.b.config = 'c'"}
    right[line.partition(" ")[0]] = line
    path = tmp_path / "trial.toml"
    path.write_text("\n".join(right.values()))
    with pytest.raises(errors.ConfigError) as caught:
        parse.read(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_an_axis_is_crossed_once(tmp_path):
    path = tmp_path / "trial.toml"
    path.write_text(
        """
        metrics = ["F1"]
        axes.q = { key = "a", values = [1, 2] }
        rows.a = { config = "c", axes = ["q", "q"] }
        """
    )
    with pytest.raises(errors.ConfigError, match=r"rows\.a\.axes has 'q' twice"):
        parse.read(path)
