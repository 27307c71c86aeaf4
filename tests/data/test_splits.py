import dataclasses

from hypothesis import given
from hypothesis import strategies as st
import pytest

from cellrec_jax import errors
from cellrec_jax.config import DataConfig
from cellrec_jax.data import splits
from cellrec_jax.data.record import Source

NUMBERS = tuple(str(i) for i in range(12))
NESTED = ("test/1", "train/1", "train/2", "train/10")


@pytest.mark.parametrize(
    ("image_ids", "spec", "expected"),
    [
        (NUMBERS, "3", ("3",)),
        (NUMBERS, "0-2,11", ("0", "1", "2", "11")),
        (NUMBERS, " 9-10 , 2 ,", ("2", "9", "10")),  # the set's order, not the spec's
        (NUMBERS, "1-3,2-4", ("1", "2", "3", "4")),  # each once
        (NUMBERS, "1*", ("1", "10", "11")),
        (NUMBERS, "[0-2]", ("0", "1", "2")),
        (NESTED, "train/*", ("train/1", "train/2", "train/10")),
        (NESTED, "train/1,test/1", ("test/1", "train/1")),
        (("0-1", "0", "1"), "0-1", ("0-1",)),  # an id that looks like a range
        (("007", "008"), "7-8", ("007", "008")),
        (("\u00f6", "a"), "o\u0308", ("\u00f6",)),  # as macOS writes names
    ],
)
def test_select_ids(image_ids, spec, expected):
    assert splits.select_ids(image_ids, spec) == expected


@pytest.mark.parametrize(
    ("image_ids", "spec", "message"),
    [
        (NUMBERS, "12", r"data\.val_ids: '12' names no image.*e\.g\. '0-11'"),
        (NUMBERS, "8-15", "asks for 8 images but only 4 of them exist"),
        (NUMBERS, " , ", "data.val_ids is empty"),
        (NESTED, "0-3", r"e\.g\. 'test/\*'"),
        ((), "c", "the set has no images"),
    ],
)
def test_select_ids_explains_what_is_wrong(image_ids, spec, message):
    with pytest.raises(errors.DataError, match=message) as caught:
        splits.select_ids(image_ids, spec, key="data.val_ids")
    assert "\n" not in str(caught.value)


def test_check_disjoint():
    splits.check_disjoint(("0", "1"), ("2",), ("3",))
    splits.check_disjoint(("0",), (), ())
    with pytest.raises(errors.DataError, match=r"val_ids and data\.test_ids share 2"):
        splits.check_disjoint(("0",), ("2", "3", "4"), ("4", "3"))


def test_deal_goes_back_and_forth():
    # Counts 9 8 7 6 5 4 fall from image 0 to 5. Two folds in snake order get images
    # {0, 3, 4} (20 cells) and {1, 2, 5} (19), in either numbering.
    counts = {str(i): 9 - i for i in range(6)}
    folds = splits.deal(NUMBERS[:6], {}, counts, k=2, seed=0)
    assert set(folds) == {("0", "3", "4"), ("1", "2", "5")}


def test_deal_keeps_groups_whole():
    # Groups: p 2 + 3 = 5 cells, q 4, r 1 + 1 = 2, image "5" alone 1.
    # Sorted p q r 5; three folds in snake order: {p}, {q}, {r, 5}.
    ids = NUMBERS[:6]
    groups = {"0": "p", "1": "q", "2": "r", "3": "p", "4": "r", "5": ""}
    counts = {"0": 2, "1": 4, "2": 1, "3": 3, "4": 1, "5": 1}
    folds = splits.deal(ids, groups, counts, k=3, seed=1)
    assert set(folds) == {("0", "3"), ("1",), ("2", "4", "5")}
    # One by one, counts 4 3 2 1 1 1: {1, one of three}, {3, another}, {0, the last}.
    by_image = splits.deal(ids, groups, counts, k=3, seed=1, by_image=True)
    assert [len(fold) for fold in by_image] == [2, 2, 2]
    assert all(len({"0", "1", "3"} & set(fold)) == 1 for fold in by_image)


def test_a_group_may_be_named_like_an_image():
    folds = splits.deal(("0", "1", "2"), {"0": "2", "1": "2"}, {}, k=2, seed=0)
    assert set(folds) == {("0", "1"), ("2",)}


def test_seed_decides_ties_and_numbering():
    dealt = {splits.deal(NUMBERS, {}, {}, k=3, seed=seed) for seed in range(8)}
    assert len(dealt) > 4
    again = splits.deal(NUMBERS, {}, {}, k=3, seed=0)
    assert again == splits.deal(NUMBERS, {}, {}, k=3, seed=0)


@pytest.mark.parametrize(
    ("k", "by_image"), [(1, False), (0, False), (4, False), (9, True)]
)
def test_too_few_groups(k, by_image):
    groups = {i: "abc"[int(i) % 3] for i in NUMBERS[:8]}
    with pytest.raises(
        errors.ConfigError, match=rf"data\.num_folds is {k}, but there are"
    ):
        splits.deal(NUMBERS[:8], groups, {}, k, seed=0, by_image=by_image)


@given(
    counts=st.lists(st.integers(0, 300), min_size=6, max_size=30),
    k=st.integers(2, 6),
    seed=st.integers(0, 100),
    order=st.randoms(use_true_random=False),
)
def test_folds_partition_the_images_evenly(counts, k, seed, order):
    ids = tuple(str(i) for i in range(len(counts)))
    by_id = dict(zip(ids, counts, strict=True))
    tests = splits.deal(ids, {}, by_id, k, seed)
    assert sorted((i for test in tests for i in test), key=int) == list(ids)
    sizes = [len(test) for test in tests]
    assert max(sizes) - min(sizes) <= 1
    # In snake order two folds differ by no more than the largest image.
    cells = [sum(by_id[i] for i in test) for test in tests]
    assert max(cells) - min(cells) <= max(counts)
    shuffled = tuple(order.sample(ids, len(ids)))
    again = splits.deal(shuffled, {}, by_id, k, seed)
    assert [set(fold) for fold in again] == [set(test) for test in tests]


def test_the_folders_own_splits_are_taken():
    ids = ("train/1", "train/2", "Validation/1", "test/1", "extra/1")
    source = Source("any", ("cell",), ids, lambda _: None)
    split, notes = splits.split_ids(source, DataConfig(root="x"), 0, dict)
    assert split == [("train/1", "train/2"), ("Validation/1",), ("test/1",)]
    own, where = splits.own_splits(source, DataConfig(root="x"))
    assert [own[name] for name in ("train", "val", "test")] == split
    assert where == "its folders"
    plain = dataclasses.replace(source, image_ids=("train/1", "a"))
    assert splits.own_splits(plain, DataConfig(root="x")) is None
    assert len(notes) == 1
    assert "1 of 5 images are in no split of its folders" in notes[0]


def test_without_a_test_folder_validation_images_are_not_trained_on():
    ids = ("train/1", "train/2", "train/3", "val/1")
    source = Source("any", ("cell",), ids, lambda _: None)
    split, notes = splits.split_ids(source, DataConfig(root="x"), 0, dict)
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
        return splits.split_ids(source, config, 0, dict)

    found, notes = split(trainval="bacd", val="a", test="fx")
    assert found == [("b", "c", "d"), ("a",), ("f",)]
    assert "1 of 6 images are in no split of ImageSets/Main" in notes[0]
    assert split(train="cb")[0] == [("b", "c"), ("a",), ("f",)]
    other = dataclasses.replace(source, format="coco")
    assert "random split" in splits.split_ids(other, config, 0, dict)[1][0]


def test_too_few_images_all_train():
    source = Source("any", ("cell",), ("1", "2"), lambda _: None)
    split, notes = splits.split_ids(source, DataConfig(root="x"), 0, dict)
    assert split == [("1", "2"), (), ()]
    assert "too few to split" in notes[0]


def test_few_groups_still_validate():
    """Three groups, two folds, a tenth to validate: one group is what there is."""
    ids = tuple("abcdef")
    groups = dict(zip(ids, "112233", strict=True))
    source = Source("any", ("cell",), ids, lambda _: None, groups)
    counts = dict.fromkeys(ids, 1)
    for fold in (0, 1):
        config = DataConfig(root="x", num_folds=2, fold=fold, val_share=0.1)
        (train, val, test), _ = splits.split_ids(source, config, 0, counts.copy)
        assert {*train, *val, *test} == set(ids)
        assert not {groups[i] for i in test} & {groups[i] for i in train + val}
