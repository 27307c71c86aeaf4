"""Names of slides in an output folder, and which files there are theirs."""

import json
import os
from pathlib import Path

import pytest

from cellrec_jax import errors
from cellrec_jax.predict.slide import naming


def _slide(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(path.as_posix().encode())
    return path


def _begin(output: Path, name: str, slide: Path) -> None:
    folder = output / ".slides" / name
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"file": [str(slide), 1, 2]}))


def test_links_and_relative_paths_are_one_slide(tmp_path, monkeypatch):
    first, second = (_slide(tmp_path / "in" / name) for name in ("a.svs", "b.svs"))
    link = tmp_path / "in" / "link.svs"
    link.symlink_to(first)
    monkeypatch.chdir(tmp_path)
    paths = [first, Path("in/a.svs"), second, link]
    names = naming.names_of(paths, tmp_path / "out")
    assert names == {first: "a.svs", second: "b.svs"}
    assert naming.names_of([link], tmp_path / "out") == {link: "link.svs"}


def test_a_slide_keeps_the_name_that_it_had_first(tmp_path):
    """New ones are relative to what they share, which hangs on what is given."""
    deep, other = _slide(tmp_path / "x/1/a.svs"), _slide(tmp_path / "x/2/b.svs")
    out = tmp_path / "out"
    assert naming.names_of([deep, other], out) == {deep: "1/a.svs", other: "2/b.svs"}
    _begin(out, "1/a.svs", deep)
    assert naming.names_of([deep], out) == {deep: "1/a.svs"}
    link = tmp_path / "c.svs"
    link.symlink_to(deep)
    assert naming.names_of([link], out) == {link: "1/a.svs"}


def test_two_slides_of_one_name_are_refused(tmp_path):
    deep, other = _slide(tmp_path / "1/a.svs"), _slide(tmp_path / "2/a.svs")
    _begin(tmp_path / "out", "a.svs", deep)
    with pytest.raises(errors.ConfigError, match=r"2/a\.svs: choose another --output"):
        naming.names_of([other], tmp_path / "out")


def test_files_of_others_are_not_replaced(tmp_path):
    for name in ("a.svs.geojson.txt", "a.svs2.csv", "b.svs.geojson", "a.geojson"):
        (tmp_path / name).touch()
    naming.check_free(tmp_path, ["a.svs"])
    for name in ("a.svs-12.geojson.gz", "a.svs.parquet", "a.svs.overlay.png"):
        (tmp_path / name).touch()
        with pytest.raises(errors.ConfigError, match=f"/{name} is there"):
            naming.check_free(tmp_path, ["a.svs"])
        _begin(tmp_path, "a.svs", tmp_path / "a.svs")
        naming.check_free(tmp_path, ["a.svs"])  # ours since it was begun
        (tmp_path / name).unlink()
        (tmp_path / ".slides/a.svs/plan.json").unlink()
        (tmp_path / ".slides/a.svs").rmdir()
    (tmp_path / "summary.csv").touch()
    with pytest.raises(errors.ConfigError, match=r"summary\.csv is there"):
        naming.check_free(tmp_path, [])
    (tmp_path / "predict.json").touch()
    naming.check_free(tmp_path, [])


def test_stamps_cover_all_files_of_a_slide(tmp_path):
    """A change of any of them is one of the slide."""
    slide = _slide(tmp_path / "m.mrxs")
    part = _slide(tmp_path / "m" / "Data0000.dat")
    listed = tmp_path / "l.ndpis"
    listed.write_text("[NanoZoomer Digital Pathology Image Set]\nImage0=one.ndpi\n")
    image = _slide(tmp_path / "one.ndpi")
    series = [_slide(tmp_path / "series" / f"{number}.dcm") for number in range(2)]
    for whole, changed in ((slide, part), (listed, image), (series[0], series[1])):
        before = naming.stamp(whole)
        os.utime(changed, ns=(0, 10**19))
        assert naming.stamp(whole) == [before[0], 10**19]
        changed.write_bytes(changed.read_bytes() + b"+")
        assert naming.stamp(whole)[0] == before[0] + 1
