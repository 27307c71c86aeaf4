import gzip
import json

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.predict.slide import roi
from cellrec_jax.predict.slide.tissue import Mask


def _square(low, high):
    return [[low, low], [high, low], [high, high], [low, high], [low, low]]


def _feature(rings, name=None, kind="Polygon"):
    properties = {"classification": {"name": name, "color": [1, 2, 3]}} if name else {}
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": rings},
        "properties": properties,
    }


def _file(tmp_path, content):
    path = tmp_path / "roi.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_included_without_holes_and_without_the_ignored(tmp_path):
    rings = [_square(0, 100), _square(40, 60)]
    features = [_feature(rings), _feature([_square(80, 90)], "Ignore*")]
    path = _file(tmp_path, {"type": "FeatureCollection", "features": features})
    regions = roi.read(path)
    points_yx = np.array([[10.0, 10], [50, 50], [85, 85], [150, 10], [70, 30]])
    assert roi.within(regions, points_yx).tolist() == [True, False, False, False, True]


def test_what_is_only_ignored_leaves_the_rest(tmp_path):
    path = _file(tmp_path, _feature([_square(0, 10)], "Ignore"))
    regions = roi.moved(roi.read(path), (100.0, 1000.0))
    points_yx = np.array([[105.0, 1005], [105, 5], [5, 1005]])
    assert roi.within(regions, points_yx).tolist() == [False, True, True]


def test_a_mask_is_cut_by_the_middles_of_its_px(tmp_path):
    path = _file(tmp_path, [_feature([[_square(10, 30)]], kind="MultiPolygon")])
    mask = Mask(np.ones((5, 4), bool), (10.0, 10.0))
    cut = roi.cut(mask, roi.read(path))
    expected = np.zeros((5, 4), bool)
    expected[1:3, 1:3] = True
    np.testing.assert_array_equal(cut.inside, expected)


def test_a_region_between_the_middles_is_touched(tmp_path):
    """A strip of 2 px, in a mask of 10 px a px: its px are looked at."""
    ring = [[12, 3], [14, 3], [14, 38], [12, 38], [12, 3]]
    mask = Mask(np.ones((5, 4), bool), (10.0, 10.0))
    regions = roi.read(_file(tmp_path, _feature([ring])))
    assert not roi.cut(mask, regions).inside.any()
    assert np.argwhere(roi.touched(mask, regions).inside).tolist() == [
        [row, 1] for row in range(4)
    ]


def test_a_region_beside_the_slide_touches_nothing(tmp_path):
    mask = Mask(np.ones((5, 4), bool), (10.0, 10.0))
    regions = roi.read(_file(tmp_path, _feature([_square(50, 90)])))
    assert not roi.touched(mask, regions).inside.any()


def test_what_is_no_area_is_left_out_and_told(tmp_path):
    cell = _feature([_square(0, 9)])
    cell["properties"] = {"objectType": "detection"}
    point = _feature([0, 1], kind="Point")
    line = _feature([[0, 1], [2, 3]], kind="LineString")
    regions = roi.read(
        _file(tmp_path, [cell, _feature([_square(20, 30)]), point, line])
    )
    assert len(regions.include) == 1
    assert regions.include[0][0].min() == 20
    for text in ("1 cells", "1 points", "1 lines"):
        assert text in regions.note


def test_packed_files_are_read_and_told_apart(tmp_path):
    text = json.dumps(_feature([_square(0, 10)])).encode()
    path = tmp_path / "roi.geojson.gz"
    path.write_bytes(gzip.compress(text))
    first = roi.read(path)
    assert roi.read(_file(tmp_path, text.decode())).digest == first.digest
    assert roi.within(first, np.array([[5.0, 5.0]])).all()
    path.write_bytes(gzip.compress(text.replace(b"10", b"11")))
    assert roi.read(path).digest != first.digest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "broken JSON at line 1"),
        ("[]", "has no region; draw"),
        ({"type": "FeatureCollection", "features": []}, "has no region; draw"),
        (_feature([0, 1], kind="Point"), r"has no region \(1 points left out\)"),
        (_feature([[[0, 0], [1, 1], [0, 0]]]), "fewer than three corners"),
        (_feature([[[0, 0], [1, "a"], [1, 1], [0, 0]]]), "feature 0 cannot be read"),
        ([{}], "feature 0 cannot be read"),
        ([7], "feature 0 .* another form than GeoJSON"),
        ({"type": "Feature", "geometry": None}, "feature 0 .* has no geometry"),
        (_feature([]), "feature 0 .* outline"),
    ],
)
def test_what_is_no_region_is_refused(tmp_path, content, message):
    path = _file(tmp_path, content)
    with pytest.raises(errors.ConfigError, match=message) as told:
        roi.read(path)
    assert str(told.value).startswith(f"--roi {path}")
    assert "\n" not in str(told.value)


def test_a_geometry_alone_is_a_region(tmp_path):
    alone = {"type": "Polygon", "coordinates": [_square(0, 10)]}
    points_yx = np.array([[5.0, 5.0], [15.0, 5.0]])
    regions = roi.read(_file(tmp_path, alone))
    assert roi.within(regions, points_yx).tolist() == [True, False]


def test_each_slide_has_its_file_in_a_folder(tmp_path):
    for name, side in (("a", 10), ("b.svs", 20), ("b", 30)):
        text = json.dumps(_feature([_square(0, side)]))
        (tmp_path / f"{name}.geojson").write_text(text)
    first, second = tmp_path / "in" / "a.svs", tmp_path / "in" / "b.svs"
    found = roi.of_each(tmp_path, [first, second])
    assert found[first].include[0][0].max() == 10
    assert found[second].include[0][0].max() == 20  # the fuller name
    with pytest.raises(errors.ConfigError, match=r"--roi .* c\.svs\.geojson or c\."):
        roi.of_each(tmp_path, [first, tmp_path / "c.svs"])
    with pytest.raises(errors.ConfigError, match=r"a\.geojson: is of 2 slides"):
        roi.of_each(tmp_path, [first, tmp_path / "in" / "a.ndpi"])
