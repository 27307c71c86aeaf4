"""A folder is opened in spite of single files that are no use."""

import pytest

from cellrec_jax import errors
from cellrec_jax.check import opened
from tests.check import fakes


def _faults(root, format="auto"):
    with opened.opened(root, format) as found:
        ids = found.source.image_ids
        assert all(len(found.source.load(one).labels) == 24 for one in ids)
        faults = {(one.rule, one.image) for one in found.findings}
    return ids, faults, found.findings


def test_a_whole_folder_is_read_itself(tmp_path):
    fakes.write_set(tmp_path, "ab")
    ids, faults, _ = _faults(tmp_path)
    assert ids == ("a", "b")
    assert faults == set()


def test_files_without_partner(tmp_path):
    fakes.write_set(tmp_path, "abcdefg")
    for name in "cdef":
        (tmp_path / "labels" / f"{name}.csv").unlink()
    (tmp_path / "images" / "g.png").unlink()
    ids, faults, findings = _faults(tmp_path)
    assert ids == ("a", "b")
    lonely = [("unpaired", f"images/{name}.png") for name in "cdef"]
    assert faults == {*lonely, ("unpaired", "labels/g.csv")}
    texts = {one.image: one.text for one in findings}
    assert texts["images/c.png"] == "has no annotations"
    assert texts["labels/g.csv"] == "has no image of its name"


def test_damaged_annotations(tmp_path):
    """Each is told; that its image has lost its annotations is no further fault."""
    fakes.write_set(tmp_path, "abcd")
    for name in "bd":
        fakes.write_table(tmp_path, name, [("7", "seven", "tumour")])
    ids, faults, findings = _faults(tmp_path)
    assert ids == ("a", "c")
    assert faults == {("unreadable", f"labels/{name}.csv") for name in "bd"}
    place = tmp_path / "labels" / "b.csv"
    assert findings[0].text.startswith(f"{place} line 2: 'seven' is not a number")


def test_both_and_within_folders(tmp_path):
    fakes.write_set(tmp_path, ["train/1", "train/2", "val/1", "val/2"])
    (tmp_path / "labels" / "val" / "1.csv").unlink()
    fakes.write_table(tmp_path, "train/1", [("x", "y", "z")])
    ids, faults, _ = _faults(tmp_path)
    assert ids == ("train/2", "val/2")
    assert faults == {
        ("unpaired", "images/val/1.png"),
        ("unreadable", "labels/train/1.csv"),
    }


def test_a_single_bad_file_among_xml(tmp_path):
    """A name that ends another one is not the one that is meant."""
    for name in ("1", "11"):
        fakes.write_image(tmp_path, name, fakes.picture(int(name)))
    box = "<xmin>5</xmin><ymin>6</ymin><xmax>25</xmax><ymax>36</ymax>"
    cell = f"<object><name>cell</name><bndbox>{box}</bndbox></object>"
    folder = tmp_path / "Annotations"
    folder.mkdir()
    (folder / "1.xml").write_text(f"<annotation>{cell * 24}</annotation>")
    (folder / "11.xml").write_text(f"<annotation>{cell}")
    with opened.opened(tmp_path) as found:
        assert found.source.image_ids == ("1",)
        (one,) = found.findings
    assert (one.rule, one.image) == ("unreadable", "Annotations/11.xml")


def test_nothing_left_is_the_first_error(tmp_path):
    fakes.write_set(tmp_path, "a")
    fakes.write_table(tmp_path, "a", [("x", "y", "z")])
    with (
        pytest.raises(errors.DataError, match=r"a\.csv line 2: 'x' is not a number"),
        opened.opened(tmp_path),
    ):
        pass


def test_what_is_of_no_single_file_is_raised(tmp_path):
    (tmp_path / "notes.md").touch()
    with (
        pytest.raises(errors.DataError, match="laid out in no known way"),
        opened.opened(tmp_path),
    ):
        pass
    with (
        pytest.raises(errors.DataError, match="does not exist"),
        opened.opened("/no/x"),
    ):
        pass


def test_files_stay_as_they_were(tmp_path):
    fakes.write_set(tmp_path, "ab")
    (tmp_path / "labels" / "a.csv").unlink()
    before = sorted(tmp_path.rglob("*"))
    with opened.opened(tmp_path) as found:
        assert found.source.image_ids == ("b",)
    assert sorted(tmp_path.rglob("*")) == before
