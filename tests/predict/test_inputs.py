"""What is predicted of a folder, and what is told of the rest."""

import os

import pytest

from cellrec_jax import errors
from cellrec_jax.predict import inputs


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def names(found, folder):
    return [path.relative_to(folder).as_posix() for path in found.paths]


def test_images_are_found_in_natural_order(tmp_path):
    touch(tmp_path, "10.png", "2.PNG", "sub/a.jpg", ".hidden.png", "__MACOSX/b.png")
    found = inputs.look(str(tmp_path))
    assert names(found, tmp_path) == ["2.PNG", "10.png", "sub/a.jpg"]
    assert found.notes == ()
    assert inputs.find_inputs(str(tmp_path)) == list(found.paths)
    assert names(inputs.look(str(tmp_path / "*.png")), tmp_path) == ["10.png"]
    assert names(inputs.look(str(tmp_path / "**/*.jpg")), tmp_path) == ["sub/a.jpg"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("slide.qpdata", "export annotations as GeoJSON"),
        ("slide.svs.density.tif", "earlier predictions"),
        ("film.gif", "not of a kind"),
        ("notes", "not of a kind"),
        ("a.png.overlay.png", "earlier predictions"),
    ],
)
def test_what_is_passed_over_is_named(tmp_path, name, told):
    touch(tmp_path, "a.png", name)
    for pattern in (tmp_path, tmp_path / "*"):
        found = inputs.look(str(pattern))
        assert names(found, tmp_path) == ["a.png"]
        (note,) = found.notes
        assert name in note
        assert told in note


def test_several_words_are_as_a_shell_makes_them_of_a_pattern(tmp_path):
    """Each image once; no results of earlier calls; a file is taken at its word."""
    touch(tmp_path, "b.png", "b.png.overlay.png", "summary.csv", "sub/10.png")
    touch(tmp_path, "sub/9.png", "slide.svs", "notes/a.txt")
    words = [*map(str, sorted(tmp_path.iterdir())), f"{tmp_path}/sub/../b.png"]
    found = inputs.look(*words)
    own = ["b.png", "slide.svs", "sub/9.png", "sub/10.png"]
    assert names(found, tmp_path) == own
    text = " ".join(found.notes)
    assert "earlier predictions: b.png.overlay.png, summary.csv" in text
    assert "folders without images: notes" in text
    for wrong in ("none.png", "*.jpg"):
        with pytest.raises(errors.DataError, match=r"--input .*(none.png|\*.jpg): "):
            inputs.look(str(tmp_path / "b.png"), str(tmp_path / wrong))
    with pytest.raises(errors.DataError, match="and 1 more: no images there"):
        inputs.look(str(tmp_path / "notes"), str(tmp_path / "summary.csv"))


def test_words_of_several_places_have_names_below_one(tmp_path, monkeypatch):
    touch(tmp_path, "in/a.png", "other/b.png")
    monkeypatch.chdir(tmp_path / "in")
    found = inputs.look("a.png", "../other/b.png")
    assert names(found, tmp_path) == ["in/a.png", "other/b.png"]


def test_own_results_are_one_line(tmp_path):
    own = ["a.png.overlay.png", "a.png.geojson", "detections.csv", "predict.jsonl"]
    touch(tmp_path, "a.png", *own, "mine.geojson")
    own_note, other_note = sorted(inputs.look(str(tmp_path)).notes, reverse=True)
    assert "earlier predictions" in own_note
    assert "4, by ending" in own_note
    assert other_note.endswith(": mine.geojson")


def test_links_are_named(tmp_path):
    touch(tmp_path, "in/a.png", "store/b.png")
    os.symlink(tmp_path / "store", tmp_path / "in/batch2")
    os.symlink(tmp_path / "nothing", tmp_path / "in/gone.png")
    os.symlink(tmp_path / "store/b.png", tmp_path / "in/linked.png")
    found = inputs.look(str(tmp_path / "in"))
    assert names(found, tmp_path / "in") == ["a.png", "linked.png"]
    text = " ".join(found.notes)
    assert "batch2" in text
    assert "gone.png" in text


def test_folders_that_a_pattern_matches_are_named(tmp_path):
    touch(tmp_path, "a.png", "sub/b.png")
    found = inputs.look(str(tmp_path / "*"))
    assert names(found, tmp_path) == ["a.png"]
    assert "sub" in found.notes[0]
    assert not inputs.look(str(tmp_path / "**")).notes


def test_figures_of_a_work_directory_are_no_images(tmp_path):
    touch(tmp_path, "a.png", "run/config.json", "run/figures/loss.png", "figures/b.png")
    found = inputs.look(str(tmp_path))
    assert names(found, tmp_path) == ["a.png", "figures/b.png"]
    assert any("work directory" in note for note in found.notes)


def test_what_is_named_is_meant(tmp_path):
    """A single file and a spelled ending; but *.png does not mean overlays."""
    touch(tmp_path, "a.svs", "b.gif", "c.overlay.png", "d.png")
    for name in ("a.svs", "c.overlay.png"):
        assert names(inputs.look(str(tmp_path / name)), tmp_path) == [name]
    assert names(inputs.look(str(tmp_path / "*.gif")), tmp_path) == ["b.gif"]
    assert names(inputs.look(str(tmp_path / "*.png")), tmp_path) == ["d.png"]
    drawn = inputs.look(str(tmp_path / "*.overlay.png"))
    assert names(drawn, tmp_path) == ["c.overlay.png"]


def test_without_images_the_rest_is_named(tmp_path):
    touch(tmp_path, "a.gif")
    with pytest.raises(errors.DataError, match=r"--input .*no images.*a\.gif"):
        inputs.look(str(tmp_path))
    with pytest.raises(errors.DataError, match="no images there"):
        inputs.look(str(tmp_path / "*.tif"))


@pytest.mark.parametrize(
    ("name", "text"), [("a.tif", ""), ("a.svs", "slides"), ("a.heic", "TIFF or PNG")]
)
def test_files_of_other_kinds_are_not_damaged(tmp_path, name, text):
    found = inputs.unread_format(tmp_path / name)
    assert text in found
    assert bool(found) == bool(text)
