"""What a log file shows."""

import time

from cellrec_jax.io import console


def test_lines_where_there_is_no_terminal(capsys):
    screen = console.Console(seconds=0.0)
    with screen.training(0, 3) as report:
        report(1, None, {})
        time.sleep(0.01)
        report(2, 2.0, {"loss": 1.5, "loss/roi_cls": 0.25, "energy": 0.3})
        report(3, 2.0, {"loss": 1.0})
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "compiling the first step ..."
    assert out[1] == "step 2/3  ETA 0 s  2.00 steps/s  loss 1.500  roi_cls 0.250"
    assert out[2].startswith("step 3/3")


def test_track_yields_everything(capsys):
    assert list(console.Console(seconds=9).track("abc", "letters")) == ["a", "b", "c"]
    assert capsys.readouterr().out == ""
    list(console.Console(seconds=-1).track("ab", "letters"))
    assert capsys.readouterr().out.splitlines() == ["letters: 1/2", "letters: 2/2"]


def test_quiet_prints_nothing(capsys):
    console.Console(quiet=True).line("hello [bold]")
    assert capsys.readouterr().out == ""
    console.Console().line("hello [bold]")
    assert capsys.readouterr().out == "hello [bold]\n"
