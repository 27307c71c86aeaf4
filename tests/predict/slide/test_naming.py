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


def _dicom(path: Path, series: str, other: str = "9.9") -> Path:
    """The head of a file of a series, which says of another one before."""

    def element(group: int, number: int, text: str) -> bytes:
        tag = group.to_bytes(2, "little") + number.to_bytes(2, "little")
        value = text.encode() + b"\0" * (len(text) % 2)
        return tag + b"UI" + len(value).to_bytes(2, "little") + value

    path.parent.mkdir(exist_ok=True)
    path.write_bytes(
        bytes(128)
        + b"DICM"
        + element(0x0020, 0x000E, other)
        + element(0x0008, 0x0018, f"1.2.{path.stem}")
        + element(0x0020, 0x000D, "1.2.3")
        + element(0x0020, 0x000E, series)
        + bytes(50)
    )
    return path


def test_a_dicom_series_is_one_slide(tmp_path):
    """Its files lie in one folder, maybe beside those of another."""
    here = tmp_path / "in"
    first = [_dicom(here / f"{number}.dcm", "1.2.3.40") for number in (0, 1)]
    second = [_dicom(here / f"{number}.dcm", "1.2.3.4") for number in (2, 3)]
    elsewhere = _dicom(tmp_path / "copy" / "0.dcm", "1.2.3.40")
    unknown = [_slide(here / f"{name}.dcm") for name in "ab"]
    given = [*first, *second, elsewhere, *unknown]
    found = naming.names_of(given, tmp_path / "out")
    assert list(found) == [first[0], second[0], elsewhere, *unknown]
    assert found[first[0]] == "in/0.dcm"


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


def test_parts_of_slides_are_no_inputs_of_their_own(tmp_path):
    for name in ("s.jpg", "other.jpg", "1.ndpi", "2.ndpi"):
        _slide(tmp_path / name)
    vms, ndpis = tmp_path / "s.vms", tmp_path / "s.ndpis"
    vms.write_text("[Virtual Microscope Specimen]\nImageFile=s.jpg\n")
    ndpis.write_text("[Set]\nNoImages=2\nImage0=1.ndpi\nImage1=2.ndpi\n")

    def kept(*names):
        paths, notes = naming.without_parts([tmp_path / name for name in names])
        return [path.name for path in paths], notes

    assert kept("other.jpg", "s.jpg") == (["other.jpg", "s.jpg"], ())
    names, (note,) = kept("other.jpg", "s.jpg", "s.vms")
    assert names == ["other.jpg", "s.vms"]
    assert "s.jpg" in note
    assert kept("1.ndpi", "s.ndpis")[0] == ["1.ndpi", "s.ndpis"]  # not all are there
    assert kept("1.ndpi", "2.ndpi", "s.ndpis")[0] == ["1.ndpi", "2.ndpi"]
