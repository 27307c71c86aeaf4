import json

import pytest

from cellrec_jax import errors
from cellrec_jax.bench import table

MACHINE = {
    "platform": "gpu",
    "device": "Chip 9",
    "devices": 1,
    "cores": 2,
    "load": 0.1,
    "processor": "x86_64",
    "jax": "0.10.1",
    "python": "3.11.1",
}


def _row(scores, contestant, median_ms, ratio):
    return {
        "scores": scores,
        "direction": "forward",
        "contestant": contestant,
        "median_ms": median_ms,
        "against": "copy",
        "ratio": ratio,
    }


ROWS = [
    _row(100, "pu_risk", 0.2, 2.0),
    _row(100, "copy", 0.1, 1.0),
    _row(1000, "pu_risk", 0.5, None),  # the copy was left out
    _row(10000, "pu_risk", 0.5, 0.25),
    _row(10000, "copy", 2.0, 1.0),
]
TRAINED = {"preset": "paper", "steps_per_s": 12.5, "compile_s": 130.4, "peak_mib": None}
PREDICTED = {"row": "unet", "parameters": 839794, "median_ms": 1198.2, "ratio": 13.0}
RANKED = {"task": "rank", "what": "SGD", "unit": "row", "number": 1000, "call_s": 0.1}
CONTENT = {
    "machine": MACHINE,
    "results": {
        "pu": {"rows": ROWS},
        "nms": {"rows": [{"boxes": 5, "loop_ms": 1.0}]},  # another form: not shown
        "refine": {"rows": [RANKED]},
        "predict": {"rows": [PREDICTED]},
        "train": {"rows": [TRAINED]},
    },
}

EXPECTED = """\
**1 x Chip 9 (gpu), 2 cores x86_64, load 0.1, jax 0.10.1, Python 3.11.1**

| kernel | size | pass | ms a call, ratio |
| --- | --- | --- | --- |
| pu | scores 100 | forward | copy 0.1, pu_risk 0.2 (2 x) |
| pu | scores 10,000 | forward | pu_risk 0.5 (0.25 x), copy 2 |

| training | px | batch | steps/s | images/s | compile, s | peak memory, MiB |
| --- | --- | --- | --- | --- | --- | --- |
| paper | - | - | 12 | - | 130 | - |

| image in, points out | px | parameters | compile, s | ms | ratio |
| --- | --- | --- | --- | --- | --- |
| unet | - | 839,794 | - | 1,198 | 13 |

| stage of a round | of | number | unit | s | units/s | peak memory so far, MiB |
| --- | --- | --- | --- | --- | --- | --- |
| rank | SGD | 1,000 | row | 0.1 | - | - |"""


@pytest.fixture
def figures(tmp_path):
    path = tmp_path / "chip.json"
    path.write_text(json.dumps(CONTENT))
    return path


def test_smallest_and_largest_size_with_most_contestants():
    assert table.markdown([CONTENT]) == EXPECTED


def test_goals_and_every_text_are_shown():
    rows = [
        {
            "scene": scene,
            "proposals": proposals,
            "batch": batch,
            "direction": "forward",
            "contestant": "host",
            "median_ms": 1.0,
            "against": "host",
            "ratio": 1.0,
        }
        for scene in ("scattered", "crowded")
        for proposals in (1024, 5120, 10200)
        for batch in (1, 4)
    ]
    lines = table._kernel_lines("matching", rows)
    sizes = [line[1] for line in lines]
    shown = ("proposals 1,024, batch 1", "proposals 5,120, batch 4")
    shown = (*shown, "proposals 10,200, batch 4")
    assert sizes == [f"{s}, {size}" for s in ("scattered", "crowded") for size in shown]


def test_prints(figures, capsys):
    table.run([str(figures)])
    assert capsys.readouterr().out == EXPECTED + "\n"


def test_results_of_the_package_can_be_read(capsys):
    table.run([])
    out = capsys.readouterr().out
    assert out.count("**1 x cpu (cpu), 2 cores") == 10
    assert out.count("**4 x cpu (cpu), 2 cores") == 2  # collectives


def test_readme_is_changed_between_the_markers_only(figures, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("a\n<!-- bench -->\nold\n<!-- /bench -->\nb\n")
    arguments = [str(figures), "--readme", str(readme)]
    for _ in range(2):  # the second run changes nothing
        table.run(arguments)
        assert readme.read_text() == (
            f"a\n<!-- bench -->\n{EXPECTED}\n<!-- /bench -->\nb\n"
        )


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": []}'])
def test_other_files_are_named(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(errors.DataError, match=r"other\.json"):
        table.run([str(path)])


def test_no_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    with pytest.raises(errors.DataError, match="no figures"):
        table.run([])
