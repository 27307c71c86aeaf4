"""Files of images that changed since a run began: told; copies and touches are not."""

import os
from pathlib import Path
import shutil

from etils import epath
import h5py
import pytest

from cellrec_jax import errors, hosts, methods
from cellrec_jax.config import Experiment
from cellrec_jax.data import sets
from cellrec_jax.workdir import directory, image_files


@pytest.fixture
def root(bcdata_folder, tmp_path) -> Path:
    return shutil.copytree(bcdata_folder, tmp_path / "images")


@pytest.fixture
def experiment(tiny_experiment, root) -> Experiment:
    changes = {"data.root": str(root), "data.train_ids": "0-3"}
    changes |= {"data.val_ids": "4", "data.test_ids": "5"}
    return methods.changed(tiny_experiment, changes)


def _started(experiment: Experiment, workdir: Path) -> list[str]:
    """What a start or a resumed one says; there is a checkpoint from then on."""
    data = sets.open_sets(experiment.data, 0)
    place = epath.Path(workdir)
    directory.check(experiment, place)
    directory.claim(experiment, place, data)
    lines = image_files.changed_lines(place, data)
    (workdir / "checkpoints" / "2").mkdir(parents=True, exist_ok=True)
    return lines


def _move_a_point(root: Path, index: int) -> Path:
    """The same number of points, of bytes, and another place; the file."""
    for path in sorted(root.glob(f"annotations/*/{index}.h5")):
        size = path.stat().st_size
        with h5py.File(path, "r+") as file:
            points = file["coordinates"]
            if not len(points):
                continue
            points[0] = points[0] + 1
        assert path.stat().st_size == size
        return path
    raise AssertionError(f"image {index} has no cell")


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_changed_file_is_named_at_every_resume(experiment, root, tmp_path, split):
    index = {"train": 2, "val": 4, "test": 5}[split]
    workdir = tmp_path / "run"
    workdir.mkdir()
    assert not _started(experiment, workdir)
    file = _move_a_point(root, index)
    for _ in range(2):
        (line,) = _started(experiment, workdir)
        assert "1 files" in line
        assert str(file) in line


def test_an_image_of_another_size_is_named(experiment, root, tmp_path):
    workdir = tmp_path / "run"
    workdir.mkdir()
    _started(experiment, workdir)
    with (root / "images" / "1.png").open("ab") as file:
        file.write(b"x")
    (line,) = _started(experiment, workdir)
    assert str(root / "images" / "1.png") in line


def test_a_byte_in_the_middle_of_a_large_file_is_named(experiment, root, tmp_path):
    workdir = tmp_path / "run"
    workdir.mkdir()
    file = root / "images" / "1.png"
    before = file.read_bytes() + bytes(3_000_000)  # readers of PNG stop before it
    file.write_bytes(before)
    assert not _started(experiment, workdir)
    file.write_bytes(before[:1_500_000] + b"x" + before[1_500_001:])
    (line,) = _started(experiment, workdir)
    assert str(file) in line


def test_processes_that_see_other_files_are_refused(
    experiment, root, tmp_path, monkeypatch
):
    """The first process saw the folder as it was, this one sees it as it is."""
    data, place = sets.open_sets(experiment.data, 0), epath.Path(tmp_path / "run")
    digests: list[str] = []

    def gather(content: object) -> list[object]:
        if not isinstance(content, str):
            return [content]
        digests.append(content)
        return [digests[0], content]

    monkeypatch.setattr(hosts, "gather_json", gather)
    place.mkdir()
    directory.claim(experiment, place, data)
    with (root / "images" / "2.png").open("ab") as file:
        file.write(b"x")
    with pytest.raises(errors.ConfigError, match="process 1 has other images"):
        directory.claim(experiment, place, data)


def test_what_is_copied_or_touched_has_not_changed(experiment, root, tmp_path):
    workdir = tmp_path / "run"
    workdir.mkdir()
    _started(experiment, workdir)
    other = shutil.copytree(root, tmp_path / "other")
    shutil.rmtree(root)
    other.rename(root)
    for path in root.rglob("*"):
        os.utime(path, (1, 1))
    assert not _started(experiment, workdir)


def test_before_training_files_may_change(experiment, root, tmp_path):
    workdir = tmp_path / "run"
    workdir.mkdir()
    _started(experiment, workdir)
    shutil.rmtree(workdir / "checkpoints")
    _move_a_point(root, 0)
    assert not _started(experiment, workdir)
    assert not _started(experiment, workdir)


def test_files_are_read_again_only_where_their_time_is_another(
    experiment, root, tmp_path, monkeypatch
):
    workdir = tmp_path / "run"
    workdir.mkdir()
    _started(experiment, workdir)
    read: list[Path] = []
    checksum = image_files._checksum

    def noted(path: Path) -> int:
        read.append(path)
        return checksum(path)

    monkeypatch.setattr(image_files, "_checksum", noted)
    touched = root / "images" / "3.png"
    os.utime(touched)
    assert not _started(experiment, workdir)
    assert [Path(path) for path in read] == [touched]


def test_images_in_memory_have_no_files(tiny_experiment, tmp_path):
    data = sets.open_sets(tiny_experiment.data, 0)
    image_files.remember(epath.Path(tmp_path), data, begun=False)
    assert not image_files.changed_lines(epath.Path(tmp_path), data)
    assert not list(tmp_path.iterdir())


def test_copies_of_training_images_are_known_by_their_bytes(experiment, root, tmp_path):
    """Of images 0 to 3 that trained: copied, one changed by a byte; 5 was a test's."""
    workdir = tmp_path / "run"
    workdir.mkdir()
    _started(experiment, workdir)
    other = shutil.copytree(root, tmp_path / "copied")
    changed = other / "images" / "2.png"
    changed.write_bytes(changed.read_bytes() + b"x")
    moved = methods.changed(experiment, {"data.root": str(other)})
    data, place = sets.open_sets(moved.data, 0), epath.Path(workdir)
    ids = directory.trained_on(place)
    assert image_files.copies(place, ids, data.train) == ["0", "1", "3"]
    assert not image_files.copies(place, ids, data.test)
    (workdir / image_files.FILE).unlink()
    assert not image_files.copies(place, ids, data.train)
