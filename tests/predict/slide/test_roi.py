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
    regions = roi.read(path, origin_yx=(100.0, 1000.0))
    points_yx = np.array([[105.0, 1005], [105, 5], [5, 1005]])
    assert roi.within(regions, points_yx).tolist() == [False, True, True]


def test_a_mask_is_cut_by_the_middles_of_its_px(tmp_path):
    path = _file(tmp_path, [_feature([[_square(10, 30)]], kind="MultiPolygon")])
    mask = Mask(np.ones((5, 4), bool), (10.0, 10.0))
    cut = roi.cut(mask, roi.read(path))
    expected = np.zeros((5, 4), bool)
    expected[1:3, 1:3] = True
    np.testing.assert_array_equal(cut.inside, expected)
    assert cut.area_px() == 400


def test_a_region_between_the_middles_is_touched(tmp_path):
    """A strip of 2 px, in a mask of 10 px a px: its px are looked at."""
    ring = [[12, 3], [14, 3], [14, 38], [12, 38], [12, 3]]
    mask = Mask(np.ones((5, 4), bool), (10.0, 10.0))
    regions = roi.read(_file(tmp_path, _feature([ring])))
    assert not roi.cut(mask, regions).inside.any()
    assert np.argwhere(roi.touched(mask, regions).inside).tolist() == [
        [row, 1] for row in range(4)
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no GeoJSON"),
        ("[]", "has no region"),
        ({"type": "FeatureCollection", "features": []}, "has no region"),
        (_feature([0, 1], kind="Point"), "feature 0 is no polygon"),
        (_feature([[[0, 0], [1, 1], [0, 0]]]), "fewer than three corners"),
        (_feature([[[0, 0], [1, "a"], [1, 1], [0, 0]]]), "feature 0 is no polygon"),
        ([{}], "feature 0 is no polygon"),
        (_feature([]), "no corner"),
    ],
)
def test_what_is_no_region_is_refused(tmp_path, content, message):
    with pytest.raises(errors.DataError, match=message):
        roi.read(_file(tmp_path, content))
