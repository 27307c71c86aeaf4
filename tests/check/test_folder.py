"""All rules on small sets: a good one is silent, and each fault is found."""

import dataclasses
import json

import numpy as np
from PIL import Image
import pytest
import tifffile

from cellrec_jax import config, errors
from cellrec_jax.check import folder, opened
from tests.check import fakes


def _check(root, limits=None, **keys):
    limits = limits or folder.Limits()
    with opened.opened(root) as found:
        data = config.DataConfig(root=str(root), **keys)
        source = folder.of_classes(found.source, data)
        return folder.check(source, data, limits, found.findings)


def _rules(root, *args, **keys):
    return {one.rule for one in _check(root, *args, **keys).findings}


def test_a_good_set_is_silent(tmp_path):
    fakes.write_set(tmp_path)
    report = _check(tmp_path)
    assert report.findings == ()
    assert report.format == "csv_points"
    assert len(report.images) == 10
    assert report.class_counts == {"stroma": 120, "tumour": 120}
    assert report.splits == {}
    assert report.size_px == 16  # the next cell; 32 px would be `data.box_size`
    assert report.radius_px == 2


def _rows(*more, kinds=("tumour", "stroma")):
    rows = [(*xy, kinds[i % len(kinds)]) for i, xy in enumerate(fakes.grid_xy(20))]
    return [*rows, *more]


TABLES = {
    "outside": [(fakes.W + 3, 4, "tumour")],
    "twice": [(8, 8, "tumour")],
    "near": [(9, 8, "stroma")],
    "not-a-number": [("", 8, "tumour")],
    "class-names": [(60, 90, "Tumour")],
    "class-rare": [(60, 90, "mitosis")],
}


@pytest.mark.parametrize("rule", TABLES)
def test_faults_of_cells(rule, tmp_path):
    fakes.write_set(tmp_path)
    fakes.write_table(tmp_path, "4", _rows(*TABLES[rule]))
    found = _check(tmp_path).findings
    own = [one for one in found if one.rule == rule]
    assert own
    others = {one.rule for one in found} - {rule, "class-rare"}
    assert not others


def test_predicted_cells_are_not_given_and_known_background_is_no_cell(tmp_path):
    """Of a set of corrections: 20 cells, of which 5 are predicted, and 2 deleted."""
    fakes.write_image(tmp_path, "a", fakes.picture(0))
    trust = [1.0] * 15 + [0.5] * 5 + [-1.0] * 2
    places_xy = [*fakes.grid_xy(20), (9, 8), (25, 8)]  # deleted ones are 1 px off
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": list(map(float, place))},
            "properties": {
                "classification": {"name": "AB"[number % 2]},
                "measurements": {"trust": value},
            },
        }
        for number, (place, value) in enumerate(zip(places_xy, trust, strict=True))
    ]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/a.geojson").write_text(json.dumps(features))
    report = _check(tmp_path, folder.Limits(least_cells=1))
    assert report.class_counts == {"A": 8, "B": 7}
    assert sorted(one.text for one in report.findings) == [
        f"2 {folder.BACKGROUND}",
        f"5 {folder.PREDICTED}",
    ]


def test_classes_that_are_left_out_are_told(tmp_path):
    fakes.write_set(tmp_path)
    (one,) = _check(tmp_path, classes="tumour").findings
    assert (one.rule, one.image) == ("reader", "")
    assert one.text.startswith("120 cells of classes not named")


def _pictures():
    """Faults of image 4."""
    padded = fakes.picture(4)
    padded[:20] = 0
    yield "padding", padded
    yield "blank", np.full_like(padded, 90)
    yield "same-image", fakes.picture(5)
    yield "alike", fakes.picture(5)[::-1]
    yield "image-look", fakes.picture(4) // 4 + np.uint8(160)
    yield "image-size", fakes.picture(4, (4 * fakes.H, 2 * fakes.W))


@pytest.mark.parametrize(("rule", "image"), list(_pictures()))
def test_faults_of_pictures(rule, image, tmp_path):
    fakes.write_set(tmp_path)
    fakes.write_image(tmp_path, "4", image)
    found = {one.rule for one in _check(tmp_path).findings}
    assert rule in found
    assert found <= {rule, "image-look", "count-odd"}


def test_images_without_cells(tmp_path):
    fakes.write_set(tmp_path)
    fakes.write_table(tmp_path, "4", [])
    (one,) = _check(tmp_path).findings
    assert (one.rule, one.image) == ("image-empty", "4")


def test_images_without_a_class(tmp_path):
    fakes.write_set(tmp_path)
    fakes.write_table(tmp_path, "4", _rows(kinds=("tumour",)))
    (one,) = _check(tmp_path).findings
    assert (one.rule, one.image) == ("class-missing", "4")


def test_images_of_many_cells(tmp_path):
    fakes.write_set(tmp_path)
    rows = [(x, y, "tumour") for x in range(4, 128, 6) for y in range(4, 96, 6)]
    fakes.write_table(tmp_path, "4", [*rows, *_rows()])
    assert "count-odd" in _rules(tmp_path)


def test_damaged_files_are_told_and_the_others_read(tmp_path):
    fakes.write_set(tmp_path)
    (tmp_path / "images" / "3.png").write_bytes(b"\x89PNG no image")
    fakes.write_table(tmp_path, "4", [("x", 1, "tumour")])
    (tmp_path / "labels" / "5.csv").unlink()
    report = _check(tmp_path)
    assert len(report.images) == 7
    assert [(one.rule, one.image) for one in report.findings] == [
        ("unreadable", "labels/4.csv"),
        ("unreadable", "3"),
        ("unpaired", "images/5.png"),
    ]
    place = tmp_path / "images" / "3.png"
    assert report.findings[1].text.startswith(f"cannot read {place}: ")


def test_no_image_that_can_be_read_is_an_error(tmp_path):
    fakes.write_set(tmp_path, "ab")
    for name in "ab":
        (tmp_path / "images" / f"{name}.png").write_bytes(b"\x89PNG no image")
    with pytest.raises(errors.DataError, match="none of its 2 images can be read"):
        _check(tmp_path)


def _tiff(root, name, mpp):
    image = fakes.picture(int(name))
    (root / "images" / f"{name}.png").unlink()
    options = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(
        root / "images" / f"{name}.tif", image, photometric="rgb", **options
    )


def test_pixel_sizes(tmp_path):
    fakes.write_set(tmp_path)
    for name in "0123456789":
        _tiff(tmp_path, name, 0.5 if name == "7" else 0.25)
    (one,) = _check(tmp_path).findings
    assert (one.rule, one.image) == ("pixel-size", "7")
    found = _check(tmp_path, folder.Limits(mpp=0.5)).findings
    assert len(found) == 9


def test_leaks_between_the_folders_own_splits(tmp_path):
    names = [f"{split}/{i}" for split in ("train", "test") for i in range(5)]
    fakes.write_set(tmp_path, names)
    fakes.write_image(tmp_path, "test/2", fakes.picture(1))
    report = _check(tmp_path)
    assert {name: len(ids) for name, ids in report.splits.items()} == {
        "train": 5,
        "val": 0,
        "test": 5,
    }
    (one,) = report.findings
    assert (one.rule, one.image) == ("leak", "train/1")
    assert "of test/2, which is in test; this one is in train" in one.text


def test_leaks_between_named_splits(tmp_path):
    fakes.write_set(tmp_path)
    fakes.write_image(tmp_path, "7", fakes.picture(1))
    keys = {"train_ids": "0-5", "test_ids": "6-9"}
    assert _rules(tmp_path) == {"same-image"}
    assert _rules(tmp_path, **keys) == {"leak"}


def test_masks_in_parts(tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        fakes.write_image(tmp_path, name, fakes.picture(ord(name)))
        ids = np.zeros((fakes.H, fakes.W), np.uint8)
        for number, (x, y) in enumerate(fakes.grid_xy(24)):
            side = rng.integers(4, 6)
            ids[y - side : y + side, x - side : x + side] = number + 1
        if name == "b":
            ids[90:94, 60:64] = 5
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(ids).save(tmp_path / "masks" / f"{name}.png")
    (one,) = _check(tmp_path).findings
    assert (one.rule, one.image, one.y, one.x) == ("parts", "b", 92, 62)


def test_given_limits_count(tmp_path):
    fakes.write_set(tmp_path)
    assert _rules(tmp_path, folder.Limits(radius_px=17)) == {"near"}
    assert _rules(tmp_path, folder.Limits(least_cells=121)) == {"class-rare"}


def test_images_are_read_once(tmp_path):
    fakes.write_set(tmp_path, "abc")
    loaded = []
    with opened.opened(tmp_path) as found:
        source = dataclasses.replace(
            found.source, load=lambda one: loaded.append(one) or found.source.load(one)
        )
        folder.check(source, config.DataConfig(root=str(tmp_path)), folder.Limits())
    assert loaded == ["a", "b", "c"]
