"""Images with GeoJSON of QuPath and of predictions: which belong together, and what."""

from pathlib import Path

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.readers import annotated, open_source, qupath
from cellrec_jax.data.readers.clean import POINTS_OUTSIDE
from cellrec_jax.errors import DataError
from cellrec_jax.io import geojson

H, W = 30, 40


def _image(root: Path, name: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (W, H)).save(path)


def _feature(x: float, y: float, name: str = "", size: float = 0) -> str:
    kind = f'{{"name": "{name}", "color": [1, 2, 3]}}' if name else "null"
    corners = [(x, y), (x + size, y), (x + size, y + size), (x, y + size), (x, y)]
    place = str([[list(corner) for corner in corners]]) if size else f"[{x}, {y}]"
    shape = "Polygon" if size else "Point"
    return (
        f'{{"type": "Feature", "geometry": {{"type": "{shape}", "coordinates": '
        f'{place}}}, "properties": {{"classification": {kind}}}}}'
    )


def _write(root: Path, name: str, *features: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"[{', '.join(features)}]")


@pytest.mark.parametrize(
    ("image", "file", "image_id"),
    [
        ("images/a.png", "annotations/a.geojson", "a"),
        ("images/a.png", "images/a.png.geojson", "a"),
        ("a.png", "a.geojson", "a"),
        ("images/a.b.png", "geojson/a.b.geojson", "a.b"),
        ("images/a.png", "json/a.json", "a"),
        ("train/images/a.png", "train/labels/a.png.geojson", "train/a"),
        ("images/train/a.png", "labels/train/a.geojson", "train/a"),
    ],
)
def test_which_file_is_of_which_image(
    image: str, file: str, image_id: str, tmp_path: Path
) -> None:
    _image(tmp_path, image)
    _write(tmp_path, file, _feature(7.25, 3))
    source = open_source(tmp_path)
    assert (source.format, source.image_ids) == ("qupath", (image_id,))
    assert source.class_names == ("cell",)
    record = source.load(image_id)
    assert record.points_yx.tolist() == [[3, 7.25]]
    assert record.boxes_yxyx is None
    assert record.scores is None
    assert source.files(image_id)[1] == tmp_path / file


def test_a_set_has_boxes_if_all_cells_are_areas(tmp_path: Path) -> None:
    for name in ("1", "2"):
        _image(tmp_path, f"{name}.png")
    _write(tmp_path, "1.geojson", _feature(2, 4, "T", 6), _feature(90, 3, "S", 6))
    _write(tmp_path, "2.geojson", _feature(20, 4, "S", 6))
    source = open_source(tmp_path)
    assert source.class_names == ("S", "T")
    record = source.load("1")
    assert record.boxes_yxyx.tolist() == [[4, 2, 10, 8]]
    assert record.labels.tolist() == [1]
    assert source.repairs == {POINTS_OUTSIDE: 1}
    _write(tmp_path, "2.geojson", _feature(20, 4, "S"))
    mixed = open_source(tmp_path)
    assert mixed.load("1").boxes_yxyx is None
    assert mixed.repairs == {POINTS_OUTSIDE: 1, annotated.BOXES_AS_POINTS: 2}


def test_regions_of_an_image(tmp_path: Path) -> None:
    _image(tmp_path, "a.png")
    features = [_feature(1, 2, "Ignore*", 3), _feature(0, 0, "Region*", 20)]
    _write(tmp_path, "a.geojson", _feature(9, 9, "T"), *features)
    record = open_source(tmp_path).load("a")
    assert record.ignore.sum() == 9
    assert record.ignore[2:5, 1:4].all()
    assert record.annotated.sum() == 400
    assert record.annotated[:20, :20].all()


def test_cells_without_a_class_among_others(tmp_path: Path) -> None:
    _image(tmp_path, "a.png")
    _write(tmp_path, "a.geojson", _feature(9, 9, "T"), _feature(5, 5))
    source = open_source(tmp_path)
    assert source.class_names == ("T", "unclassified")
    assert source.load("a").labels.tolist() == [0, 1]
    assert source.repairs == {annotated.NO_CLASS: 1}


def test_predictions_are_read_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform((1, 1), (H - 1, W - 1), (30, 2)).astype(np.float32)
    scores = rng.uniform(0, 1, 30).astype(np.float32)
    labels = rng.integers(0, 2, 30).astype(np.int32)
    _image(tmp_path, "a.png")
    _image(tmp_path, "a.png.overlay.png")
    names, colors = ("negative", "positive"), ((1, 2, 3), (4, 5, 6))
    file = tmp_path / "a.png.geojson"
    geojson.write_geojson(file, points, scores, labels, names, colors)
    (tmp_path / "predict.json").write_text("{}")
    source = open_source(tmp_path)
    assert source.image_ids == ("a",)
    record = source.load("a")
    np.testing.assert_allclose(record.points_yx, points, atol=0.0051)
    np.testing.assert_allclose(record.scores, scores, atol=1e-6)
    assert record.labels.tolist() == labels.tolist()
    boxes = np.concatenate([points - 0.75, points + 0.5], 1)
    geojson.write_geojson(file, points, scores, labels, names, colors, boxes)
    found = open_source(tmp_path).load("a").boxes_yxyx
    np.testing.assert_allclose(found, boxes, atol=0.0051)


def test_what_does_not_fit(tmp_path: Path) -> None:
    _image(tmp_path, "images/a.png")
    _image(tmp_path, "images/b.png")
    _write(tmp_path, "annotations/a.geojson", _feature(9, 9))
    with pytest.raises(DataError, match="no annotation for b"):
        open_source(tmp_path)
    _write(tmp_path, "annotations/b.png.geojson")
    assert len(open_source(tmp_path).load("b").labels) == 0
    _write(tmp_path, "annotations/b.geojson")
    with pytest.raises(DataError, match="of the same image"):
        open_source(tmp_path)
    (tmp_path / "annotations/b.geojson").unlink()
    _write(tmp_path, "images/a.geojson")
    with pytest.raises(DataError, match="both hold annotations"):
        open_source(tmp_path)


def test_json_beside_geojson(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _image(tmp_path, f"{name}.png")
    _write(tmp_path, "a.geojson", _feature(9, 9, "T"))
    _write(tmp_path, "b.json", _feature(5, 4, "S"))
    (tmp_path / "a.json").write_text('{"shapes": []}')  # of another program
    source = open_source(tmp_path)
    assert (source.image_ids, source.class_names) == (("a", "b"), ("S", "T"))
    assert source.load("b").points_yx.tolist() == [[4, 5]]
    _write(tmp_path, "a.json", _feature(7, 7, "T"))
    with pytest.raises(DataError, match=r"a\.geojson and .*a\.json are of the same"):
        open_source(tmp_path)


def test_no_cell_at_all(tmp_path: Path) -> None:
    _image(tmp_path, "a.png")
    _write(tmp_path, "a.geojson", _feature(1, 2, "Ignore*", 3))
    assert qupath.matches(tmp_path)
    with pytest.raises(DataError, match=r"no cells in .*a\.geojson"):
        open_source(tmp_path)
    _write(tmp_path, "a.geojson", *(_feature(i / 9, 0.2) for i in range(5)))
    with pytest.raises(DataError, match="coordinates are shares"):
        open_source(tmp_path)


def test_classes_by_a_label_map(tmp_path: Path) -> None:
    _image(tmp_path, "a.png")
    _write(tmp_path, "a.geojson", _feature(9, 9, "2"), _feature(5, 5, "T"))
    (tmp_path / "label_map.yaml").write_text("1: S\n2: T\n")
    source = open_source(tmp_path)
    assert source.class_names == ("S", "T")
    assert source.load("a").labels.tolist() == [1, 1]
