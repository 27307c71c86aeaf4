"""What images hold is found without their pixels, once, and kept in a file."""

import dataclasses
import os

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.config import DataConfig
from cellrec_jax.data import example, sets, survey
from cellrec_jax.data.pixels import images
from cellrec_jax.data.record import Record, Source, blank
from cellrec_jax.data.survey import Surveyor


@pytest.fixture
def folder(tmp_path):
    """Four images of one to four cells, the last of which lies outside."""
    for part in ("images", "labels"):
        (tmp_path / "set" / part).mkdir(parents=True)
    for number in range(4):
        pixels = np.full((20, 30, 3), number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "set" / "images" / f"{number}.png")
        rows = [f"{5 * i + 3},{4 * i + 2}" for i in range(number)] + ["99,3"]
        (tmp_path / "set" / "labels" / f"{number}.csv").write_text("\n".join(rows))
    return tmp_path / "set"


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the images that have been decoded."""
    names, decode = [], images._decode

    def spy(path, head):
        names.append(path.name)
        return decode(path, head)

    monkeypatch.setattr(images, "_decode", spy)
    return names


def _open(folder, file=None, **changes) -> sets.Sets:
    config = DataConfig(root=str(folder), size_hw=(20, 30), **changes)
    return sets.open_sets(config, 0, file)


def test_folds_and_counts_need_no_pixels_and_loading_decodes_once(folder, decoded):
    opened = _open(folder, num_folds=2, keep_rate=0.4)
    counted = sets.survey(opened.train)
    assert decoded == []
    loaded = sets.load_train(opened.train).survey
    assert sorted(decoded) == [f"{i}.png" for i in opened.train.image_ids]
    for one, other in zip(counted, loaded, strict=True):
        np.testing.assert_array_equal(one, other)
    assert counted.native_hw.tolist() == [[20, 30]] * len(opened.train.image_ids)


def test_repairs_of_an_image_count_once(folder):
    opened = _open(folder, num_folds=2)
    sets.load_train(opened.train)
    sets.load_eval(opened.test)
    assert list(opened.train.source.repairs.values()) == [4]


def test_what_is_known_is_not_read_again(folder, tmp_path):
    file = tmp_path / survey.FILE
    first = sets.survey(_open(folder, file, train_ids="*").train)
    reads = []

    def open_again(**changes):
        reads.clear()
        opened = _open(folder, file, train_ids="*", **changes)
        source = opened.train.source
        spied = dataclasses.replace(
            source, annotations=lambda i: reads.append(i) or source.annotations(i)
        )
        split = opened.train._replace(source=spied)
        return sets.survey(split), spied.repairs

    again, repairs = open_again()
    assert reads == []
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert list(repairs.values()) == [4]

    (folder / "labels" / "1.csv").write_text("1,1\n2,2\n")  # another size
    found, repairs = open_again()
    assert reads == ["1"]
    assert found.num_total == first.num_total + 1
    assert list(repairs.values()) == [3]

    image = folder / "images" / "3.png"
    os.utime(image, ns=(0, image.stat().st_mtime_ns + 1))  # another time
    open_again()
    assert reads == ["3"]

    open_again(keep_rate=0.5)  # other options
    assert reads == ["0", "1", "2", "3"]
    file.write_text("{")  # a damaged file
    open_again(keep_rate=0.5)
    assert reads == ["0", "1", "2", "3"]


def test_merged_classes_are_another_survey(bcdata_folder, tmp_path):
    file = tmp_path / survey.FILE
    totals = [
        sets.survey(_open(bcdata_folder, file, classes=classes).train).num_total
        for classes in ("a=positive+negative", "a=positive", "a=positive+negative")
    ]
    assert totals[0] == totals[2] > totals[1]


def test_images_that_are_not_files_are_not_kept_in_a_file(tmp_path):
    file = tmp_path / survey.FILE
    opened = sets.open_sets(DataConfig(synthetic_hw=(64, 64)), 0, file)
    sets.load_train(opened.train)
    assert not file.exists()


def test_a_folder_that_is_not_there_is_not_made(folder, tmp_path):
    sets.survey(_open(folder, tmp_path / "run" / survey.FILE).train)
    assert not (tmp_path / "run").exists()


def test_total_by_hand():
    """Cells of a foreign class are kept, but are of no class of the set."""

    def load(image_id: str) -> Record:
        labels = np.array([0, 1, 1, 2][: int(image_id)], np.int32)
        points_yx = np.arange(2 * len(labels), dtype=np.float32).reshape(-1, 2)
        size_hw = (10 + int(image_id), 40)
        return Record(image_id, blank(size_hw), points_yx, labels, mpp=0.5)

    source = Source("any", ("a", "b"), ("1", "4"), load)
    config = DataConfig(size_hw=(10, 40), max_cells=20)
    spec = dataclasses.replace(sets.evaluation_spec(config), training=True)
    entries = Surveyor().look(source, source.image_ids, spec)
    found = survey.total(list(entries.values()), 2, spec)
    assert found[:5] == (5, 5, 0, (2, 2), 8)
    assert found.native_hw.tolist() == [[11, 40], [14, 40]]
    assert found.mpp == 0.5
    few = dataclasses.replace(spec, max_cells=3)
    entries = Surveyor().look(source, source.image_ids, few)
    found = survey.total(list(entries.values()), 2, few)
    assert (found.num_kept, found.num_dropped, found.num_slots) == (4, 1, 3)


def test_what_nobody_gave_is_counted():
    """A predicted cell is one of its class, known background is of none."""
    record = Record(
        "a",
        np.zeros((20, 20, 3), np.uint8),
        np.array([[5, 5], [9, 9], [15, 15]], np.float32),
        np.array([0, 1, 1], np.int32),
        trust=np.array([1, 0.5, -1], np.float32),
    )
    source = Source("arrays", ("a", "b"), ("a",), lambda _: record)
    spec = example.ExampleSpec(size_hw=(20, 20))
    seen = survey.total([survey.Surveyor().add(source, record, spec)], 2, spec)
    assert seen.num_per_class == (1, 1)
    assert (seen.num_kept, seen.num_doubted) == (3, 2)
