"""`cellrec report`: where the page goes, and exit codes."""

import pytest

from cellrec_jax import main


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text('{"method": "of later"}')
    return folder


def test_the_page_lies_in_the_work_directory_or_where_it_is_wanted(folder, capsys):
    assert main.run(["report", str(folder)]) == 0
    place = folder / "report.html"
    assert capsys.readouterr().out == f"{place}: open it in a browser\n"
    assert f"{folder.parent.name}/run" in place.read_text()
    other = folder.parent / "new" / "a.html"
    words = ["report", str(folder), "--output", str(other), "--anonymize"]
    assert main.run(words) == 0
    assert f"{folder.parent.name}/run" not in other.read_text()
    assert [one.name for one in other.parent.iterdir()] == ["a.html"]


def test_what_costs_which_exit_code(folder, capsys):
    assert main.run(["report", str(folder), str(folder)]) == 2
    assert main.run(["report", str(folder.parent)]) == 2
    assert main.run(["report", str(folder), "--output", str(folder)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "error: report needs one WORKDIR"
    assert said[1].startswith(f"error: {folder.parent}: holds no config.json")
    assert "a folder of that name is in the way" in said[2]
