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


def test_the_clock_keeps_the_first_step_apart():
    clock = console.Clock(10)
    time.sleep(0.05)
    clock.tick(11)
    assert clock.rate is None
    for step in (12, 13):
        time.sleep(0.01)
        clock.tick(step)
    assert 20 < clock.rate <= 100
    timing = clock.timing()
    assert timing["compile_s"] >= 0.05
    assert (timing["from_step"], timing["steps"]) == (10, 3)


def test_seconds_of_earlier_processes_count():
    clock = console.Clock(10, 100.0)
    assert 100.0 <= clock.seconds < 110.0
    timing = clock.timing()
    assert 100.0 <= timing["seconds"] < 110.0
    assert timing["compile_s"] < 10.0
