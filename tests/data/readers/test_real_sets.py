"""Real sets of points, where they are: names and counts as their sources state."""

from collections import Counter
import os
from pathlib import Path

import numpy as np
import pytest

from cellrec_jax.data.readers import open_source
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
