from pathlib import Path

import numpy as np
import pytest

from cellrec_jax.data.classes import (
    IGNORED,
    LEFT_OUT,
    classes_from_values,
    merge_classes,
    read_label_map,
    suggest_mapping,
)
from cellrec_jax.data.record import Record, Repairs, Source
from cellrec_jax.errors import ConfigError, DataError


def _source() -> Source:
    masks = np.zeros((9, 12), np.int32)
    masks[0, :4] = [1, 2, 3, 4]
    record = Record(
        "a",
        np.zeros((9, 12, 3), np.uint8),
        np.array([(0.5, 0.5), (0.5, 1.5), (0.5, 2.5), (0.5, 3.5)], np.float32),
        np.array([0, 1, 2, 1], np.int32),
        masks=masks,
    )
    repairs = Repairs()
    return Source("test", ("RBC", "WBC", "dirt"), ("a",), lambda _: record, {}, repairs)


@pytest.mark.parametrize("mapping", ["", "  "])
def test_empty_mapping_is_as_is(mapping: str) -> None:
    source = _source()
    assert merge_classes(source, mapping) is source


@pytest.mark.parametrize(
    ("mapping", "names", "labels", "left_out"),
    [
        ("cell=RBC+WBC+dirt", ("cell",), [0, 0, 0, 0], 0),
        ("WBC=WBC,RBC=RBC", ("WBC", "RBC"), [1, 0, 0], 1),
        ("WBC, RBC", ("WBC", "RBC"), [1, 0, 0], 1),
        (" blood = RBC + WBC , dirt ", ("blood", "dirt"), [0, 0, 1, 0], 0),
        ("RBC=dirt", ("RBC",), [0], 3),
    ],
)
def test_merging(mapping: str, names: tuple, labels: list, left_out: int) -> None:
    source = merge_classes(_source(), mapping)
    record = source.load("a")
    assert source.class_names == names
    assert record.labels.tolist() == labels
    assert record.labels.dtype == np.int32
    assert source.repairs == ({LEFT_OUT: left_out} if left_out else {})


def test_ignored_classes_are_regions_around_their_cells() -> None:
    """Discs of 3 px around two cells: pixels whose middle is within 1.5 px of them."""
    source = merge_classes(_source(), "", ignored="WBC", size_px=3.0)
    record = source.load("a")
    assert source.class_names == ("RBC", "dirt")
    assert record.labels.tolist() == [0, 1]
    assert source.repairs == {IGNORED: 2}
    expected = np.zeros((9, 12), bool)
    expected[0, :5] = expected[1, [0, 1, 2, 3, 4]] = True
    np.testing.assert_array_equal(record.ignore, expected)


@pytest.mark.parametrize(
    ("mapping", "ignored", "message"),
    [("", "tumour", "ignore_classes names 'tumour'"), ("RBC,WBC", "WBC", "both name")],
)
def test_bad_ignored_classes(mapping: str, ignored: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        merge_classes(_source(), mapping, ignored)


def test_masks_follow_the_cells_left() -> None:
    record = merge_classes(_source(), "WBC").load("a")
    assert record.masks is not None
    assert record.points_yx.tolist() == [[0.5, 1.5], [0.5, 3.5]]
    assert record.masks[0, :4].tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("cell=RBC+tumour", r"'tumour', .* classes here: RBC, WBC, dirt"),
        ("RBC+WBC", "NEW=OLD"),
        ("a=RBC,a=WBC", "twice"),
        ("a=RBC,b=RBC", "twice"),
    ],
)
def test_bad_mappings(mapping: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        merge_classes(_source(), mapping)


def test_classes_from_values_are_naturally_sorted() -> None:
    classes = classes_from_values(["10", "2", "2"])
    assert classes.names == ("2", "10")
    assert classes.to_label("10", "a.csv line 1") == 1
    assert classes_from_values([]).names == ("cell",)
    with pytest.raises(DataError, match=r"a\.csv line 3: unknown class '7'.* 2, 10"):
        classes.to_label("7", "a.csv line 3")


def test_label_map(tmp_path: Path) -> None:
    path = tmp_path / "label_map.yaml"
    path.write_text(
        "# classes\n\n7: 'stroma cell'\n 1 : \"tumour\"  # main\n3: other: T#2\n",
        encoding="utf-8-sig",
    )
    classes = read_label_map(path)
    assert classes.names == ("tumour", "other: T#2", "stroma cell")
    assert [classes.to_label(v, "") for v in ("1", "3", "7", "tumour")] == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no class"),
        ("0: a\nb: 1\n", "line 2: write '0: name'"),
        ("0: a\n0: b\n", "line 2.*twice"),
    ],
)
def test_bad_label_maps(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "label_map.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_label_map(path)


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        (("a", "b"), ("cell",), "cell=a+b"),
        (("b", "a"), ("a", "b"), "a=a,b=b"),
        (("Neg", "Pos"), ("positive", "negative"), "positive=Pos,negative=Neg"),
        (("1", "2"), ("positive", "negative"), "positive=1,negative=2"),
        (("RBC", "WBC", "dirt"), ("wbc", "x"), "wbc=WBC,x=RBC"),
        (("cell",), ("positive", "negative"), ""),
    ],
)
def test_suggested_mappings_keep_classes_apart(
    found: tuple, wanted: tuple, expected: str
) -> None:
    assert suggest_mapping(found, wanted) == expected
