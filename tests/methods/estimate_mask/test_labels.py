"""The two label maps of an image."""

import dataclasses

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.methods.estimate_mask import labels, voronoi
from cellrec_jax.methods.estimate_mask.options import MaskOptions

SIZE_HW = (60, 80)
POINTS = np.array([[20.5, 20.5], [40.5, 58.5]], np.float32)
CLASSES = np.array([1, 0], np.int32)
OPTIONS = MaskOptions(dilate_px=1, erode_px=2)


def scene():
    """Dark discs of 9 px at the points, a grey seam around them, on white; uint8."""
    _, distance = voronoi.nearest(POINTS, SIZE_HW)
    image = np.full((*SIZE_HW, 3), 230, np.uint8)
    image[distance <= 12] = 150
    image[distance <= 9] = 40
    return image


def make(image=None, points=POINTS, classes=CLASSES, valid=None, **changes):
    fields = {"num_classes": 2, "options": OPTIONS, "seed": 0, **changes}
    return labels.label_maps(
        scene() if image is None else image,
        np.asarray(points, np.float32).reshape(-1, 2),
        np.asarray(classes, np.int32),
        np.ones(SIZE_HW, bool) if valid is None else valid,
        **fields,
    )


def test_points_edges_and_masks_have_their_classes():
    maps = make()
    assert maps.dtype == np.uint8
    assert maps.shape == (*SIZE_HW, 2)
    owners, distance = voronoi.nearest(POINTS, SIZE_HW)
    first, second = maps[..., 0], maps[..., 1]
    own = np.array([2, 1])[owners]
    np.testing.assert_array_equal(first[distance <= 2], own[distance <= 2])
    edges = voronoi.edges(owners)
    assert (first[edges] == 0).all()
    assert (first[~edges & (distance > 2)] == 255).all()
    mask = distance <= 7
    np.testing.assert_array_equal(second[mask], own[mask])
    assert (second[distance > 21] == 0).all()
    assert set(np.unique(second[(distance > 10) & (distance < 12)])) == {255}


def test_no_background_is_told_by_colour_near_a_point(monkeypatch):
    """A pale cell, all of which k-means takes for background."""
    none, all_ = np.zeros(SIZE_HW, bool), np.ones(SIZE_HW, bool)
    monkeypatch.setattr(labels.clusters, "split", lambda *_, **__: (none, all_))
    _, distance = voronoi.nearest(POINTS, SIZE_HW)
    expected = np.where(distance > 10, 0, 255)
    np.testing.assert_array_equal(make()[..., 1], expected)


def test_floats_are_the_same_image():
    floats = (scene() / 255).astype(np.float32)
    np.testing.assert_array_equal(make(), make(floats))


def test_nothing_is_told_where_nothing_is_annotated():
    valid = np.ones(SIZE_HW, bool)
    valid[:, 30:50] = False
    assert (make(valid=valid)[~valid] == 255).all()


def test_a_class_that_is_absent_is_nowhere():
    """Neither in an image nor, with labels for three, in the whole set."""
    maps = make(classes=np.array([1, 1], np.int32), num_classes=3)
    assert set(np.unique(maps)) == {0, 2, 255}


def test_a_disc_lies_over_an_edge():
    close = [[30.0, 40.0], [30.0, 42.0]]
    first = make(points=close)[..., 0]
    assert first[29, 39] == 2
    assert first[29, 42] == 1


@pytest.mark.parametrize(
    "points",
    [[], [[30, 40]], [[5, 5], [5, 5], [5, 5]], [[30, 9], [30, 40], [30, 70]]],
    ids=["none", "one", "coincident", "collinear"],
)
@pytest.mark.parametrize("image", ["scene", "constant"])
def test_any_points_on_any_image_give_labels(points, image):
    """No point: background to the first map, nothing to the second."""
    pixels = scene() if image == "scene" else np.full_like(scene(), 90)
    classes = np.arange(len(points)) % 2
    maps = make(pixels, points, classes)
    found = {0, 1, 2, 255}
    assert set(np.unique(maps)) <= found
    if not len(points):
        assert (maps[..., 0] == 0).all()
        assert (maps[..., 1] == 255).all()
        partial = dataclasses.replace(OPTIONS, points="found")
        assert (make(pixels, points, classes, options=partial) == 255).all()
    if image == "constant":
        assert (maps[..., 1] == 255).all()
    if len(points) == 3 and points[0] == points[1]:
        assert set(np.unique(maps[..., 0])) == {1, 255}  # the first point's class


def test_more_classes_than_labels_are_refused():
    with pytest.raises(errors.ConfigError, match="tell 254 classes apart, not 255"):
        make(num_classes=255)
