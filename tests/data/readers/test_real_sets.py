"""Real sets, where they are: names, counts and shapes as their authors give them."""

from collections import Counter
import os
from pathlib import Path
import tarfile

import numpy as np
import pytest

from cellrec_jax.data.readers import (
    find_format,
    instance_masks,
    label_images,
    open_source,
    voc,
)
from cellrec_jax.data.readers.clean import BOXES_DEGENERATE
from cellrec_jax.data.readers.dot_maps import MERGED_DOTS
from cellrec_jax.data.record import Source
from cellrec_jax.errors import DataError

_ROOT = Path(
    os.environ.get("CELLREC_REAL_DATA")
    or Path(__file__).resolve().parents[3] / "../shared/data"
)


def _root(name: str) -> Path:
    if not (_ROOT / name).is_dir():
        pytest.skip(f"{name} is not in {_ROOT}; set CELLREC_REAL_DATA")
    return _ROOT / name


def _count(source: Source) -> Counter[str]:
    counts: Counter[str] = Counter()
    for image_id in source.image_ids:
        seen = source.annotations(image_id)
        record = source.load(image_id)
        np.testing.assert_array_equal(seen.points_yx, record.points_yx)
        np.testing.assert_array_equal(seen.labels, record.labels)
        assert seen.image.shape == record.image.shape
        assert all(file.is_file() for file in source.files(image_id))
        assert record.image.dtype == np.uint8
        assert record.points_yx.dtype == np.float32
        assert (record.points_yx % 0.5 == 0).all()
        counts.update(source.class_names[label] for label in record.labels)
    return counts


@pytest.mark.parametrize("format_name", ["bcdata", "json_points"])
def test_bcdata(format_name: str) -> None:
    source = open_source(_root("A_bcdata26"), format_name)
    assert source.image_ids == tuple(map(str, range(26)))
    assert _count(source) == {"positive": 1371, "negative": 1648}
    assert not source.repairs


def test_bcdata_in_both_formats_is_the_same() -> None:
    from_h5 = open_source(_root("A_bcdata26"), "bcdata").load("7")
    from_json = open_source(_root("A_bcdata26"), "json_points").load("7")
    cells = [
        sorted(zip(record.labels, *record.points_yx.T, strict=True))
        for record in (from_h5, from_json)
    ]
    assert cells[0] == cells[1]


def test_bcdata_has_two_candidates() -> None:
    with pytest.raises(DataError, match="bcdata and as json_points"):
        open_source(_root("A_bcdata26"))


def test_bone_marrow_dot_maps() -> None:
    # 2,334 dots; three pairs touch and count once
    source = open_source(_root("B_bmgraz11"))
    assert source.format == "dot_maps"
    assert len(source.image_ids) == 6
    assert _count(source) == {"cell": 2334 - 3}
    assert source.repairs == {MERGED_DOTS: 3}


def test_nucls_csv() -> None:
    source = open_source(_root("B_nucls15"))
    assert source.format == "csv_points"
    assert source.image_ids[:2] == ("test/test_1", "test/test_2")
    assert source.image_ids[-2:] == ("train/train_9", "train/train_10")
    assert len(source.image_ids) == 15
    assert _count(source) == {
        "tumor_any": 89,
        "nonTIL_stromal": 95,
        "sTIL": 323,
        "other_nucleus": 77,
    }


def test_bccd() -> None:
    root = _root("D_bccd364")
    assert find_format(root) == "voc"
    source = voc.open_source(root)
    assert source.class_names == ("Platelets", "RBC", "WBC")
    assert len(source.image_ids) == 364
    records = [source.load(image_id) for image_id in source.image_ids]
    assert {record.image.shape for record in records} == {(480, 640, 3)}
    num_cells = sum(len(record.labels) for record in records)
    # 4,888 boxes in the files; two of them are clicks without extent.
    assert num_cells == 4886
    assert source.repairs == {BOXES_DEGENERATE: 2}
    sets = voc.image_sets(root)
    sizes = {name: len(image_ids) for name, image_ids in sets.items()}
    assert sizes == {"train": 205, "val": 87, "trainval": 292, "test": 72}
    assert set().union(*sets.values()) == set(source.image_ids)


def test_usiigaci() -> None:
    root = _root("C_usiigaci50")
    assert find_format(root) == "label_images"
    source = label_images.open_source(root)
    assert len(source.image_ids) == 8
    records = [source.load(image_id) for image_id in source.image_ids]
    assert sum(len(record.points_yx) for record in records) == 769
    for record in records:
        assert record.image.shape == (1022, 1024, 3)
        assert record.image.dtype == np.uint16
        assert record.masks is not None
        assert record.masks.max() == len(record.points_yx)
    assert source.repairs[label_images.SEVERAL_PARTS] > 0


def test_dsb2018(tmp_path: Path) -> None:
    archive = _root("B_dsb2018_purple107") / "dsb2018_purple40.tar"
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    assert find_format(tmp_path) == "instance_masks"
    source = instance_masks.open_source(tmp_path)
    assert len(source.image_ids) == 40
    records = [source.load(image_id) for image_id in source.image_ids]
    num_hidden = source.repairs[instance_masks.HIDDEN]
    num_empty = source.repairs[instance_masks.EMPTY]
    num_cells = sum(len(record.points_yx) for record in records)
    assert num_cells + num_hidden + num_empty == 1589
    for record in records:
        assert record.masks is not None
        assert record.masks.shape == record.image.shape[:2]
