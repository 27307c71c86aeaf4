"""Splits that need no files; the others are tested in test_sets."""

from cellrec_jax.config import DataConfig
from cellrec_jax.data import partition
from cellrec_jax.data.record import Source


def test_the_folders_own_splits_are_taken():
    ids = ("train/1", "train/2", "validation/1", "test/1", "extra/1")
    source = Source("any", ("cell",), ids, lambda _: None)
    split, notes = partition.split_ids(source, DataConfig(root="x"), 0)
    assert split == [("train/1", "train/2"), ("validation/1",), ("test/1",)]
    assert notes == ()


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
