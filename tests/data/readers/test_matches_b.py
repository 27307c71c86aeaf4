"""Each layout is taken by its own reader and by none of the others here."""

from pathlib import Path

import pytest

from cellrec_jax.data.readers import (
    cell_tracking,
    coco,
    find_format,
    instance_masks,
    label_images,
    mitos,
    voc,
)

_READERS = (coco, voc, instance_masks, label_images, mitos, cell_tracking)
_COCO_HEAD = b'{"info": {"year": 2020}, "images": [], "annotations": []}'
_LAYOUTS = {
    "coco": [
        ["images/1.png", "annotations/instances_train.json"],
        ["1.jpg", "_annotations.coco.json"],
        ["train/1.png", "boxes.json"],
    ],
    "voc": [
        ["JPEGImages/1.jpg", "Annotations/1.xml", "ImageSets/Main/train.txt"],
        ["images/1.png", "annotations/1.xml"],
        ["images/1.png", "images/1.xml"],
        ["1.png", "1.xml"],
        ["VOC2012/JPEGImages/1.jpg", "VOC2012/Annotations/1.xml"],
    ],
    "instance_masks": [
        ["a1/images/a1.png", "a1/masks/b.png", "a1/masks/c.png"],
        ["a1/images/a1.png", "a1/masks/a1.png", "a1/masks/a2.png"],
        ["a1/images/a1.png", "a1/masks/b.png", "ignore/a1.png"],
    ],
    "label_images": [
        ["images/1.png", "labels/1.png"],
        ["images/1.jpg", "masks/1.tif"],
        ["train/images/1.png", "train/masks/1.png"],
        ["train/set1/raw.tif", "train/set1/instances_ids.png"],
        ["set1/raw.tif", "set1/instances_ids.png"],
        ["1.tif", "1_cp_masks.tif", "1_cp_outlines.txt", "1_seg.npy"],
        ["images/1.png", "images/1_cp_masks.png"],
        ["train/images/000_img.png", "train/images/000_masks.png"],
        ["images/1.png", "labels/1.npy"],
    ],
    "mitos": [
        ["H03/frames/x40/H03_00Aa.tiff", "H03/mitosis/H03_00Aa_mitosis.csv"],
        ["A03/A03/frames/x40/A03_00Aa.tiff"],
        ["training/Hamamatsu/H03/frames/x40/H03_00Aa.tiff"],
    ],
    "cell_tracking": [
        ["01/t000.tif", "01_GT/TRA/man_track000.tif", "01_GT/TRA/man_track.txt"],
        ["BF-C2DL-HSC/02/t0000.tif", "BF-C2DL-HSC/02_ST/SEG/man_seg0000.tif"],
        ["01/t000.tif", "01_GT/SEG/man_seg000.tif", "02/t000.tif"],
    ],
    "bcdata": [
        ["images/1.png", "annotations/positive/1.h5", "annotations/negative/1.h5"],
        ["images/train/1.png", "annotations/train/positive/1.h5"],
    ],
    "json_points": [["images/1.png", "json/1.json"]],
    "csv_points": [
        ["images/1.png", "labels/1.csv"],
        ["1.png", "1.csv"],
        ["test/images/1.png", "test/labels/1.csv"],
    ],
    "qupath": [
        ["images/1.png", "annotations/1.geojson"],
        ["1.png", "1.png.geojson"],
        ["train/images/1.png", "train/annotations/1.geojson.gz"],
    ],
    "cvat": [
        ["images/1.png", "annotations.xml"],
        ["1.png", "annotations.xml"],
        ["images/1.png", "annotations/task.xml"],
    ],
    "label_studio": [
        ["images/1.png", "project-1-at-2024.json"],
        ["1.png", "annotations/project-1-at-2024.json"],
    ],
    "yolo": [
        ["images/train/1.png", "labels/train/1.txt"],
        ["train/images/1.png", "train/labels/1.txt"],
        ["obj_train_data/1.png", "obj_train_data/1.txt", "obj.names"],
        ["1.png", "1.txt"],
    ],
    "ocelot": [
        ["images/train/cell/1.jpg", "annotations/train/cell/1.csv"],
        [
            "images/train/cell/1.jpg",
            "images/train/tissue/1.jpg",
            "annotations/train/cell/1.csv",
            "annotations/train/tissue/1.png",
        ],
        ["images/1.png", "annotations/cells.json"],
    ],
    "grand_challenge": [
        ["images/1.png", "json/points.json", "images/points.png"],
    ],
    "asap": [
        ["images/1.png", "annotations/asap.xml", "images/asap.png"],
        ["asap.png", "asap.xml"],
    ],
    "aperio": [
        ["images/aperio.tif", "annotations/aperio.xml"],
        ["aperio.tif", "aperio.annotations"],
        ["train/images/aperio.tif", "train/xml/aperio.xml"],
    ],
    "imagej": [
        ["images/1.tif", "annotations/1.roi"],
        ["1.tif", "1.roi"],
        ["images/1.tif", "xml/CellCounter_1.xml"],
    ],
    "table": [
        ["images/1.png", "detections.csv", "summary.csv"],
        ["1.png", "measurements.tsv"],
    ],
    "dot_maps": [
        ["source/1.png", "annotations/1.png"],
        ["images/1.png", "dots/1.png"],
    ],
}
_CONTENTS = dict.fromkeys(("annotations.xml", "task.xml"), b"<annotations/>")
_CONTENTS["project-1-at-2024.json"] = b'[{"annotations": [{"completed_by": 1}]}]'
_CONTENTS["1.txt"] = b"0 0.5 0.5 0.1 0.1"
_CONTENTS["cells.json"] = b'{"points": [{"name": "image_0"}]}'
_CONTENTS["points.json"] = b'{"type": "Multiple points", "points": []}'
_CONTENTS["asap.xml"] = b"<ASAP_Annotations/>"
_CONTENTS["aperio.xml"] = b"<Annotations/>"
_CONTENTS["CellCounter_1.xml"] = b"<CellCounter_Marker_File/>"
_CONTENTS["detections.csv"] = b"image,x,y,score,class\n"
_CONTENTS["summary.csv"] = b"image,height,width\n"
_CONTENTS["measurements.tsv"] = "Image\tCentroid X \u00b5m\tCentroid Y \u00b5m".encode()
_CASES = [(name, files) for name, layouts in _LAYOUTS.items() for files in layouts]


def _write_names(root: Path, files: list[str]) -> None:
    for name in files:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        is_coco = file.suffix == ".json" and file.parent.name != "json"
        content = _COCO_HEAD if is_coco else b""
        file.write_bytes(_CONTENTS.get(file.name, content))


@pytest.mark.parametrize(("name", "files"), _CASES)
def test_one_reader_matches(name: str, files: list[str], tmp_path: Path) -> None:
    _write_names(tmp_path, files)
    matching = [reader.NAME for reader in _READERS if reader.matches(tmp_path)]
    assert matching == [name] * (name in {reader.NAME for reader in _READERS})
    assert find_format(tmp_path) == name


@pytest.mark.parametrize("reader", _READERS)
@pytest.mark.parametrize(
    "files",
    [
        [],
        ["1.png", "notes.txt"],
        ["images/1.png"],
        ["images/1.png", "other.xml"],
        ["images/1.png", "labels/2.txt"],
        ["A03/notes.txt", "frames/1.png"],
        ["01/t000.tif", "01_GT/TRA/man_track001.tif", "02/t001.tif"],
    ],
)
def test_nothing_to_match(reader: object, files: list[str], tmp_path: Path) -> None:
    _write_names(tmp_path, files)
    assert not reader.matches(tmp_path)  # type: ignore[attr-defined]


def test_other_json_is_not_coco(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"name": "x", "version": 1}')
    (tmp_path / "points.json").write_text('[{"images": 1}]')
    assert not coco.matches(tmp_path)
