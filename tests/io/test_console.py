"""What a log file shows."""

import time

from cellrec_jax.io import console


def test_track_yields_everything(capsys):
    assert list(console.Console(seconds=9).track("abc", "letters")) == ["a", "b", "c"]
    assert capsys.readouterr().out == ""
    list(console.Console(seconds=-1).track("ab", "letters"))
    assert capsys.readouterr().out.splitlines() == ["letters: 1/2", "letters: 2/2"]


def test_parts_of_items_are_progress(capsys):
    with console.Console(seconds=-1).parts(2, "images") as show:
        show(0.5, "a.png: tile 1/2")
        show(2, "")
    assert capsys.readouterr().out.splitlines() == [
        "images: 0/2 a.png: tile 1/2",
        "images: 2/2",
    ]


def test_names_that_are_not_utf8_are_shown_as_escapes(capsys):
    console.Console().line("a\udce9.png")
    assert capsys.readouterr().out == "a\\udce9.png\n"


def test_the_clock_keeps_the_first_step_apart():
    clock = console.Clock(10)
    time.sleep(0.05)
    for step in (11, 12):  # the second has only begun
        clock.tick(step)
        assert clock.pace is None
    for step in (13, 14):
        time.sleep(0.01)
        clock.tick(step)
    assert 20 < clock.pace.rate <= 100
    timing = clock.timing()
    assert timing["compile_s"] >= 0.05
    assert (timing["from_step"], timing["steps"]) == (10, 4)


def test_seconds_of_earlier_processes_count():
    clock = console.Clock(10, 100.0)
    assert 100.0 <= clock.seconds < 110.0
    timing = clock.timing()
    assert 100.0 <= timing["seconds"] < 110.0
    assert timing["compile_s"] < 10.0


def test_the_clock_tells_waiting_for_data_from_computing(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])

    def slow():
        for batch in "abcd":
            now[0] += 3.0
            yield batch

    clock = console.Clock(0)
    clock.step_at_peak = 0.5
    seen = []
    for step, batch in enumerate(clock.waiting(slow()), 1):
        seen.append(batch)
        now[0] += 1.0
        clock.tick(step)
    assert "".join(seen) == "abcd"
    assert clock.pace == console.Pace(rate=0.25, waited=0.75, reached=0.125)


def test_the_pace_is_in_the_line_of_a_step(capsys):
    with console.Console(seconds=-1).training(0, 20) as show:
        show(1, None, {})
        show(10, console.Pace(2.0, 0.004), {"loss": 0.5})
        show(20, console.Pace(2.0, 0.25, 0.41), {})
    assert capsys.readouterr().out.splitlines()[1:] == [
        "step 10/20  ETA 5 s  2.00 steps/s  loss 0.500",
        "step 20/20  ETA 0 s  2.00 steps/s  waits for data 25%  41% of peak",
    ]
