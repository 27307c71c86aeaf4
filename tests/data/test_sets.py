"""Which images train, validate and test, and what is kept of their annotations."""

import dataclasses
import itertools
import shutil
import subprocess
import sys

import numpy as np
import pytest

from cellrec_jax import errors, geometry
from cellrec_jax.config import DataConfig
from cellrec_jax.data import arrays, sets
from cellrec_jax.data import record as record_lib
from cellrec_jax.data.synthetic import membrane as synthetic_membrane
from cellrec_jax.data.synthetic import source as synthetic

SMALL = DataConfig(
    synthetic_train=5,
    synthetic_val=1,
    synthetic_test=2,
    synthetic_hw=(64, 96),
    size_hw=(64, 96),
    classes="tumour=positive+negative",
)


def _folder(root, **changes) -> DataConfig:
    return dataclasses.replace(SMALL, root=str(root), **changes)


def test_generated_images_are_split_by_their_counts():
    opened = sets.open_sets(SMALL, 0)
    assert [len(s.image_ids) for s in opened[:3]] == [5, 1, 2]
    assert opened.train.source.class_names == ("tumour",)
    assert opened.train.spec.training
    assert not opened.test.spec.training


def test_named_ids_and_overlap(bcdata_folder):
    config = _folder(bcdata_folder, train_ids="0-3", test_ids="4,5")
    opened = sets.open_sets(config, 0)
    assert opened.train.image_ids == ("0", "1", "2", "3")
    assert opened.val.image_ids == ()
    assert opened.test.image_ids == ("4", "5")
    with pytest.raises(errors.DataError, match="share 1 images"):
        sets.open_sets(dataclasses.replace(config, test_ids="3"), 0)
    with pytest.raises(errors.DataError, match=r"data\.train_ids"):
        sets.open_sets(_folder(bcdata_folder, test_ids="3"), 0)


def test_a_random_split_is_disjoint_complete_and_repeatable(bcdata_folder):
    opened = sets.open_sets(_folder(bcdata_folder), 3)
    ids = [i for split in opened[:3] for i in split.image_ids]
    assert sorted(ids) == list("012345")
    assert all(split.image_ids for split in opened[:3])
    assert sets.open_sets(_folder(bcdata_folder), 3)[:3] != opened  # other objects
    again = sets.open_sets(_folder(bcdata_folder), 3)
    assert [s.image_ids for s in again[:3]] == [s.image_ids for s in opened[:3]]
    assert "splits.json" in opened.notes[0]


def test_folds_cover_everything_once(bcdata_folder):
    tests = []
    for fold in range(3):
        config = _folder(bcdata_folder, num_folds=3, fold=fold, val_share=0.5)
        opened = sets.open_sets(config, 0)
        train, val, test = (set(s.image_ids) for s in opened[:3])
        assert train | val | test == set("012345")
        assert val
        tests += test
        assert "fold 0" in opened.notes[0]
    assert sorted(tests) == list("012345")


def test_only_training_loses_annotations():
    opened = sets.open_sets(dataclasses.replace(SMALL, keep_rate=0.2), 0)
    train = sets.load_train(opened.train)
    counts = [len(opened.train.source.load(i).labels) for i in opened.train.image_ids]
    assert train.survey.num_total == sum(counts)
    assert train.survey.num_kept == sum(int(np.ceil(0.2 * n)) for n in counts)
    slots = train.images.labels.shape[1]
    assert slots == train.survey.num_slots == 8
    test = sets.load_eval(opened.test)
    whole = [len(opened.test.source.load(i).labels) for i in opened.test.image_ids]
    assert test.images.points_mask.sum(axis=1).tolist() == whole
    assert sets.survey(opened.train)._replace(native_hw=0) == train.survey._replace(
        native_hw=0
    )


def test_the_pixel_size_is_the_files_or_else_the_configured_one(bcdata_folder):
    """Generated images know theirs; a BCData folder does not."""
    for split, expected in (
        (sets.open_sets(dataclasses.replace(SMALL, mpp=0.3), 0).test, synthetic.MPP),
        (sets.open_sets(_folder(bcdata_folder), 0).test, 0.0),
        (sets.open_sets(_folder(bcdata_folder, mpp=0.3), 0).test, 0.3),
    ):
        assert sets.load_eval(split).mpp == expected
        assert sets.survey(split).mpp == expected


def test_generated_membranes_have_four_classes():
    config = dataclasses.replace(SMALL, synthetic_kind="membrane", classes="")
    opened = sets.open_sets(config, 0)
    assert opened.train.source.class_names == synthetic_membrane.CLASS_NAMES
    assert opened.train.spec.num_classes == 4
    assert sets.load_train(opened.train).images.labels.max() >= 2


def test_only_training_is_corrupted():
    clean = dataclasses.replace(SMALL, classes="", keep_rate=0.5)
    wrong = dataclasses.replace(
        clean, flip_labels=0.4, jitter_px=3.0, corrupt_seed=2, resize="pad"
    )
    opened, other = sets.open_sets(wrong, 0), sets.open_sets(clean, 0)
    images, expected = (sets.load_train(one.train).images for one in (opened, other))
    mask = expected.points_mask
    np.testing.assert_array_equal(images.points_mask, mask)  # the same cells stay
    moved = np.hypot(*(images.points_yx - expected.points_yx)[mask].T)
    assert 0 < moved.max() <= 3.01
    flipped = (images.labels != expected.labels)[mask]
    assert 0.1 < flipped.mean() < 0.7
    centers = geometry.box_centers(images.boxes_yxyx)
    free = mask & ((images.points_yx > 16) & (images.points_yx < 48)).all(axis=-1)
    np.testing.assert_allclose(centers[free], images.points_yx[free], atol=1e-4)
    for split, plain in ((opened.test, other.test), (opened.val, other.val)):
        for part, same in zip(
            sets.load_eval(split).images, sets.load_eval(plain).images, strict=True
        ):
            np.testing.assert_array_equal(part, same)


def test_flips_need_another_class():
    opened = sets.open_sets(dataclasses.replace(SMALL, flip_labels=0.1), 0)
    with pytest.raises(errors.ConfigError, match="no other class"):
        sets.load_train(opened.train)


def test_keep_one_keeps_one_an_image():
    opened = sets.open_sets(dataclasses.replace(SMALL, keep_one=True), 0)
    images = sets.load_train(opened.train).images
    assert images.points_mask.sum(axis=1).tolist() == [1] * 5


KEPT = """
import sys
from cellrec_jax.config import DataConfig
from cellrec_jax.data import sets
config = DataConfig(root=sys.argv[1], keep_rate=0.3, train_ids="0-5")
images = sets.load_train(sets.open_sets(config, 0).train).images
print(images.points_yx[images.points_mask].tobytes().hex())
"""


def test_kept_cells_are_equal_in_other_processes(bcdata_folder):
    command = [sys.executable, "-c", KEPT, str(bcdata_folder)]
    outputs = {
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    }
    config = DataConfig(root=str(bcdata_folder), keep_rate=0.3, train_ids="0-5")
    images = sets.load_train(sets.open_sets(config, 0).train).images
    here = images.points_yx[images.points_mask].tobytes().hex()
    assert outputs == {here + "\n"}


def test_an_unknown_class_or_no_cells_is_one_line(bcdata_folder):
    with pytest.raises(errors.ConfigError, match="positive"):
        sets.open_sets(_folder(bcdata_folder, classes="tumour=postive"), 0)
    empty = arrays.from_arrays(
        [np.zeros((8, 9, 3), np.uint8)], [np.zeros((0, 2), np.float32)]
    )
    split = sets.Split(empty, empty.image_ids, sets.evaluation_spec(SMALL))
    with pytest.raises(errors.DataError, match="has an annotated cell"):
        sets.load_train(split)


def test_evaluation_of_a_whole_folder(bcdata_folder):
    config = _folder(bcdata_folder)
    assert len(sets.open_for_evaluation(config, 0, whole=True).image_ids) == 6
    named = dataclasses.replace(config, test_ids="2")
    assert sets.open_for_evaluation(named, 0, whole=True).image_ids == ("2",)
    assert sets.open_for_evaluation(SMALL, 0, whole=False).image_ids == ("6", "7")


def test_an_empty_split_has_no_evaluation_set():
    opened = sets.open_sets(SMALL, 0)
    assert sets.load_eval(opened.val._replace(image_ids=())) is None


@pytest.mark.parametrize("folds", [0, 2])
def test_images_without_cells_are_left_out_on_request(bcdata_folder, tmp_path, folds):
    h5py = pytest.importorskip("h5py")
    root = shutil.copytree(bcdata_folder, tmp_path / "set")
    for kind, index in itertools.product(("positive", "negative"), (2, 4)):
        with h5py.File(root / "annotations" / kind / f"{index}.h5", "w") as file:
            file["coordinates"] = np.zeros((0, 2), np.int64)
    for only_annotated, left in ((False, "012345"), (True, "0135")):
        config = _folder(root, num_folds=folds, only_annotated=only_annotated)
        opened = sets.open_sets(config, 0)
        ids = [i for split in opened[:3] for i in split.image_ids]
        assert sorted(ids) == list(left)
        told = [note for note in opened.notes if "2 of 6 images" in note]
        assert len(told) == only_annotated
    named = dataclasses.replace(config, num_folds=0, train_ids="0-1", test_ids="2")
    with pytest.raises(errors.DataError, match=r"data\.test_ids"):
        sets.open_sets(named, 0)


def test_a_set_without_any_cell_is_refused(bcdata_folder, monkeypatch):
    source = sets.open_source(_folder(bcdata_folder))
    empty = record_lib.changed(source, _without_cells)
    monkeypatch.setattr(sets, "open_source", lambda _: empty)
    with pytest.raises(errors.DataError, match="none of 6 images"):
        sets.open_sets(_folder(bcdata_folder, only_annotated=True), 0)


def _without_cells(one: record_lib.Record) -> record_lib.Record:
    return dataclasses.replace(
        one, points_yx=one.points_yx[:0], labels=one.labels[:0], boxes_yxyx=None
    )
