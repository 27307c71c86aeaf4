"""Splits that need no files; the others are tested in test_sets."""

import dataclasses

from cellrec_jax.config import DataConfig
from cellrec_jax.data import partition
from cellrec_jax.data.record import Source


def test_the_folders_own_splits_are_taken():
    ids = ("train/1", "train/2", "validation/1", "test/1", "extra/1")
    source = Source("any", ("cell",), ids, lambda _: None)
    split, notes = partition.split_ids(source, DataConfig(root="x"), 0)
    assert split == [("train/1", "train/2"), ("validation/1",), ("test/1",)]
    assert len(notes) == 1
    assert "1 of 5 images are in no split of its folders" in notes[0]


def test_without_a_test_folder_validation_images_are_not_trained_on():
    ids = ("train/1", "train/2", "train/3", "val/1")
    source = Source("any", ("cell",), ids, lambda _: None)
    split, notes = partition.split_ids(source, DataConfig(root="x"), 0)
    assert split == [("train/1", "train/2", "train/3"), ("val/1",), ()]
    assert len(notes) == 1
    assert "no test split" in notes[0]


def test_the_lists_of_a_voc_set_are_taken(tmp_path):
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    config = DataConfig(root=str(tmp_path))
    source = Source("voc", ("cell",), tuple("abcdef"), lambda _: None)

    def split(**names):
        for name, ids in names.items():
            (lists / f"{name}.txt").write_text("\n".join(ids))
        return partition.split_ids(source, config, 0)

    found, notes = split(trainval="bacd", val="a", test="fx")
    assert found == [("b", "c", "d"), ("a",), ("f",)]
    assert "1 of 6 images are in no split of ImageSets/Main" in notes[0]
    assert split(train="cb")[0] == [("b", "c"), ("a",), ("f",)]
    other = dataclasses.replace(source, format="coco")
    assert "random split" in partition.split_ids(other, config, 0)[1][0]


def test_too_few_images_all_train():
    source = Source("any", ("cell",), ("1", "2"), lambda _: None)
    split, notes = partition.split_ids(source, DataConfig(root="x"), 0)
    assert split == [("1", "2"), (), ()]
    assert "too few to split" in notes[0]


def test_few_groups_still_validate():
    """Three groups, two folds, a tenth to validate: one group is what there is."""
    ids = tuple("abcdef")
    groups = dict(zip(ids, "112233", strict=True))

    class _Cells:
        points_yx = (0,)

    source = Source("any", ("cell",), ids, lambda _: _Cells, groups)
    for fold in (0, 1):
        config = DataConfig(root="x", num_folds=2, fold=fold, val_share=0.1)
        (train, val, test), _ = partition.split_ids(source, config, 0)
        assert {*train, *val, *test} == set(ids)
        assert not {groups[i] for i in test} & {groups[i] for i in train + val}
