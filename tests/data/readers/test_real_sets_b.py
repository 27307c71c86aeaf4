"""Real sets, where they are at hand: counts and shapes as their authors give them."""

import os
from pathlib import Path
import tarfile

import numpy as np
import pytest

from cellrec_jax.data.readers import find_format, instance_masks, label_images, voc
from cellrec_jax.data.readers.clean import BOXES_DEGENERATE

_ROOT = Path(
    os.environ.get("CELLREC_REAL_DATA")
    or Path(__file__).resolve().parents[3] / "../shared/data"
)


def _folder(name: str) -> Path:
    folder = _ROOT / name
    if not folder.is_dir():
        pytest.skip(f"no {folder}: set CELLREC_REAL_DATA to the real sets")
    return folder


def test_bccd() -> None:
    root = _folder("D_bccd364")
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
    root = _folder("C_usiigaci50")
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
    archive = _folder("B_dsb2018_purple107") / "dsb2018_purple40.tar"
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
