import contextlib
import errno
import os
from pathlib import Path
import time

from etils import epath
import pytest

from cellrec_jax import errors
from cellrec_jax.io import atomic


def test_the_file_appears_whole_and_alone(tmp_path):
    target = tmp_path / "new" / "folder" / "a.csv"
    with atomic.atomic_path(target) as temporary:
        temporary.write_text("hello")
        assert temporary.parent == target.parent
        assert temporary.suffix == ".csv"
        assert not target.exists()
    assert target.read_text() == "hello"
    assert os.listdir(target.parent) == ["a.csv"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, errors.DataError])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    target = tmp_path / "a.csv"
    target.write_text("old")

    def write_half():
        with atomic.atomic_path(target) as temporary:
            temporary.write_text("half")
            raise failure("stop")

    with pytest.raises(failure):
        write_half()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.csv"]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "can be written to"),
        (errno.EIO, "try again"),
    ],
)
def test_os_errors_become_one_clear_line(tmp_path, number, advice):
    target = tmp_path / "a.csv"
    with pytest.raises(errors.RunError) as caught, atomic.atomic_path(target):
        raise OSError(number, os.strerror(number))
    message = str(caught.value)
    assert str(target) in message
    assert os.strerror(number) in message
    assert advice in message
    assert "\n" not in message
    assert os.listdir(tmp_path) == []


def test_a_pending_path_leaves_errors_of_others_as_they_are(tmp_path):
    failure = FileNotFoundError("slide.svs")

    def write_half():
        with atomic.pending_path(tmp_path / "a.csv") as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(FileNotFoundError) as caught:
        write_half()
    assert caught.value is failure
    assert os.listdir(tmp_path) == []
    (tmp_path / "a.csv").mkdir()
    with (
        pytest.raises(errors.RunError, match="folder of that name"),
        atomic.pending_path(tmp_path / "a.csv") as temporary,
    ):
        temporary.write_text("whole")


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.RunError, match="a file is in the way"):
        atomic.write_bytes(tmp_path / "file" / "a.csv", b"x")


def test_a_folder_where_the_file_should_be(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(errors.RunError, match="folder of that name"):
        atomic.write_bytes(tmp_path / "a.csv", b"x")


def test_long_names_fit(tmp_path):
    target = tmp_path / ("n" * 251 + ".csv")
    atomic.write_bytes(target, b"x")
    assert target.read_bytes() == b"x"


def test_object_stores_get_whole_files(monkeypatch):
    """Written beside, then copied: a store shows a file once it is whole."""
    stored = {}

    def copy(source, target, overwrite):
        assert overwrite
        stored[str(target)] = Path(source).read_bytes()

    kind = type(epath.Path())
    monkeypatch.setattr(kind, "copy", copy)
    monkeypatch.setattr(kind, "mkdir", lambda *_, **__: None)
    atomic.write_bytes("gs://bucket/run/config.json", b"{}")
    assert stored == {"gs://bucket/run/config.json": b"{}"}


def test_a_folder_appears_whole_and_alone(tmp_path):
    target = tmp_path / "new" / "folder"
    with atomic.atomic_folder(target) as temporary:
        (temporary / "a").write_text("hello")
        assert not target.exists()
    assert (target / "a").read_text() == "hello"
    assert os.listdir(target.parent) == ["folder"]


def test_a_folder_that_is_not_empty_stays(tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(errors.RunError) as caught, atomic.atomic_folder(target) as new:
        (new / "a").write_text("hello")
    assert str(target) in str(caught.value)
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(target) == ["old"]


def test_only_old_folders_of_its_kind_are_removed(tmp_path):
    """A day old or more: a younger one may be written to by another process."""
    old, young = (_temporary_name(tmp_path) for _ in range(2))
    folders = {old: 25, young: 23, f"{old}x": 25, "other": 25}
    for one, hours in folders.items():
        (tmp_path / one / "checkpoints").mkdir(parents=True)
        then = time.time() - 3600 * hours
        os.utime(tmp_path / one, (then, then))
    atomic.remove_old_folders(epath.Path(tmp_path))
    atomic.remove_old_folders(epath.Path(tmp_path / "none"))
    assert set(os.listdir(tmp_path)) == folders.keys() - {old}


def _temporary_name(folder):
    with contextlib.suppress(KeyError), atomic.atomic_folder(folder / "x") as part:
        raise KeyError(part.name)
    return part.name


def test_what_killed_processes_left_is_deleted_by_its_name_and_age(tmp_path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    name = f".tmp-{'0a' * 16}"
    left = [tmp_path / f"{name}.json", deep / f"{name}.png", tmp_path / "a" / name]
    left[-1].mkdir()
    for path in (*left[:2], left[2] / "inside", deep / ".tmp-of-others.json"):
        path.touch()
    folder = epath.Path(tmp_path)
    atomic.remove_left(folder, below=True)
    assert all(path.exists() for path in left)  # they are young
    os.utime(left[1], (1, 1))
    atomic.remove_left(folder, below=True)
    assert [path.exists() for path in left] == [True, False, True]
    atomic.remove_left(folder, older_s=0)
    assert [path.exists() for path in left] == [False, False, True]
    atomic.remove_left(folder, below=True, older_s=0)
    assert [path.name for path in deep.iterdir()] == [".tmp-of-others.json"]
    assert list((tmp_path / "a").iterdir()) == [deep]
