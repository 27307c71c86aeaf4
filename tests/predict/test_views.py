"""Several views of an image: each is turned back exactly, and what they find joined."""

import dataclasses

import numpy as np
import pytest

from cellrec_jax.cells import Cells
from cellrec_jax.predict import stream, views
from cellrec_jax.predict.frame import RESIZED, TILED, WIDENED, Frame, Seen
from cellrec_jax.types import Detections
from tests.predict.bright import bright

ALL = views.of(8, (1.0,))


def _cells(points_yx, scores, probs=None, boxes=None):
    number = len(points_yx)
    probs = np.ones((number, 1)) if probs is None else np.array(probs)
    return Cells(
        np.array(points_yx, np.float32).reshape(-1, 2),
        np.array(scores, np.float32),
        probs.argmax(axis=1).astype(np.int32),
        probs.astype(np.float32),
        None if boxes is None else np.array(boxes, np.float32),
    )


@pytest.mark.parametrize("view", ALL)
def test_points_and_boxes_are_turned_back(view):
    """The pixel that is marked in the image is where it was, whatever the view."""
    image = np.zeros((5, 9))
    image[1, 6] = 1
    turned = views.turn(image, view)
    assert turned.shape == views.turned_hw((5, 9), view)
    ((y, x),) = np.argwhere(turned)
    box = [[y, x, y + 1, x + 1]]
    found = views.back(_cells([[y + 0.25, x + 0.5]], [1.0], boxes=box), view, (5, 9))
    assert found.boxes_yxyx.tolist() == [[1, 6, 2, 7]]
    assert np.floor(found.points_yx).tolist() == [[1, 6]]


def test_eight_views_differ():
    image = np.arange(6).reshape(2, 3)
    assert len({views.turn(image, view).tobytes() for view in ALL}) == 8


def test_agreement_is_the_mean_of_scores():
    parts = [_cells([[10, 10]], [score]) for score in (0.8, 0.6, 0.4)] + [
        _cells([], [])
    ]
    joined = views.join(parts, 2.0)
    np.testing.assert_allclose(joined.scores, [1.8 / 4], rtol=1e-6)
    assert joined.points_yx.tolist() == [[10, 10]]


def test_points_apart_are_joined_by_the_kernel():
    """Two views, 2 px apart, kernel of 2 px: exp(-1/2) of each other's score."""
    parts = [_cells([[10, 10]], [0.9]), _cells([[10, 12]], [0.3])]
    near = np.exp(-0.5)
    joined = views.join(parts, 2.0)
    np.testing.assert_allclose(joined.scores, [(0.9 + near * 0.3) / 2], rtol=1e-6)
    x = (0.9 * 10 + near * 0.3 * 12) / (0.9 + near * 0.3)
    np.testing.assert_allclose(joined.points_yx, [[10, x]], rtol=1e-6)


def test_cells_apart_stay_apart():
    parts = [_cells([[10, 10], [10, 30]], [0.9, 0.5]), _cells([[10, 30]], [0.7])]
    joined = views.join(parts, 2.0)
    np.testing.assert_allclose(joined.scores, [0.6, 0.45], rtol=1e-6)
    assert joined.points_yx.tolist() == [[10, 30], [10, 10]]


def test_the_likeliest_class_by_scores_and_nearness():
    parts = [
        _cells([[5, 5]], [0.9], [[0.8, 0.2]]),
        _cells([[5, 5]], [0.3], [[0.1, 0.9]]),
    ]
    joined = views.join(parts, 2.0)
    expected = (0.9 * np.array([0.8, 0.2]) + 0.3 * np.array([0.1, 0.9])) / 1.2
    np.testing.assert_allclose(joined.class_probs, [expected], rtol=1e-6)
    assert joined.labels.tolist() == [0]


def slow_join(parts, near_px):
    """As `views.join`, by the matrix of all pairs of points; points, scores, values."""
    points, scores, probs, boxes = (
        np.concatenate([getattr(part, name) for part in parts]).astype(np.float64)
        for name in ("points_yx", "scores", "class_probs", "boxes_yxyx")
    )
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    kernel = np.exp(-(apart**2) / (2 * near_px**2))
    height = np.where(apart <= 3 * near_px, kernel, 0) @ scores
    kept = []
    for one in np.argsort(-height):
        if all(apart[one, other] >= 2 * near_px for other in kept):
            kept.append(one)
    weights = (np.where(apart <= 2 * near_px, kernel, 0) * scores)[kept]
    weights /= weights.sum(axis=1, keepdims=True)
    means = [weights @ values for values in (points, probs, boxes)]
    return np.minimum(height[kept] / len(parts), 1), *means


@pytest.mark.parametrize("strip", [1, 37, 10**6])
def test_strips_join_as_all_pairs_do(strip, monkeypatch):
    rng = np.random.default_rng(strip)
    parts = []
    for number in (150, 0, 90, 120):
        points = rng.uniform(0, 60, (number, 2))
        boxes = np.concatenate([points - 3, points + 4], axis=1)
        probs = rng.dirichlet([1, 1, 1], number).reshape(-1, 3)
        parts.append(_cells(points, rng.uniform(0.02, 1, number), probs, boxes))
    monkeypatch.setattr(views, "_STRIP", strip)
    joined = views.join(parts, 1.5)
    scores, points, probs, boxes = slow_join(parts, 1.5)
    assert 50 < len(joined) == len(scores)
    np.testing.assert_allclose(joined.scores, scores, rtol=1e-5)
    np.testing.assert_allclose(joined.points_yx, points, rtol=1e-5)
    np.testing.assert_allclose(joined.class_probs, probs, rtol=1e-4)
    np.testing.assert_allclose(joined.boxes_yxyx, boxes, rtol=1e-4, atol=1e-4)
    assert joined.labels.tolist() == probs.argmax(axis=1).tolist()


def test_next_to_nothing_is_nothing():
    assert len(views.join([_cells([[5, 5]], [0.019]), _cells([], [])], 2.0)) == 0


@pytest.mark.parametrize("size_hw", [(16, 16), (20, 40), (12, 15)])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_network_without_direction_finds_the_same(size_hw, batch):
    """In one window, in tiles, in a mirrored image; beside an image without cells."""
    frame = Frame((16, 16), 0.0, (16, 16), "squeeze", 8.0, 1, "auto", views=ALL)
    image = np.zeros((*size_hw, 3), np.uint8)
    image[9, 13] = 200
    network, done = stream.Network(bright([]), {}, {}, batch), []
    scenes = [frame.scene(image, key=0), frame.scene(0 * image, key=1)]
    (first, one), (second, none) = stream.predict_scenes(
        network, scenes, on_windows=done.append
    )
    assert (first.key, second.key, len(none)) == (0, 1, 0)
    assert one.points_yx.tolist() == [[9.5, 13.5]]
    np.testing.assert_allclose(one.scores, [200 / 255], rtol=1e-6)
    assert done[-1] == sum(sum(scene.windows()) for scene in scenes)


def test_a_view_at_another_scale_has_its_cells_in_px_of_the_file():
    frame = Frame((16, 16), 0.0, (16, 16), "squeeze", 8.0, 1, "auto")
    seen = dataclasses.replace(frame, views=views.of(1, (1.0, 2.0)))
    image = np.zeros((16, 16, 3), np.uint8)
    image[4:8, 8:12] = 200
    network = stream.Network(_centre, {}, {}, 1)
    ((_, found),) = stream.predict_scenes(network, [seen.scene(image)])
    assert found.scores[0] == pytest.approx(1.0)
    np.testing.assert_allclose(found.points_yx[0], [6, 10], atol=0.3)


def test_views_have_the_margin_that_is_asked_for():
    frame = Frame((16, 16), 0.0, (16, 16), "squeeze", 8.0, 1, "auto", views=ALL)
    scene = frame.scene(np.zeros((40, 60, 3), np.uint8), margin_px=12)
    placements = [look.placement for look in scene.looks]
    assert {tile.size_hw for one in placements for tile in one.tiles} == {(28, 28)}
    assert {one.twins_px for one in placements} == {0.0}


@pytest.mark.parametrize(
    ("size_hw", "seen_in", "how", "tiled", "windows"),
    [
        ((16, 24), (1, (1.0,)), RESIZED, False, [1]),
        # A quarter turn is 24 px high: two windows of 16 x 24, of which one is enough.
        ((16, 24), (4, (1.0,)), RESIZED, True, [1, 2, 1, 2]),
        ((16, 24), (1, (0.5,)), RESIZED, False, [1]),
        # Seen at half its size alone it fits one window, at its own size as well not.
        ((30, 30), (1, (0.5,)), WIDENED, False, [1]),
        ((30, 30), (1, (0.5, 1.0)), TILED, True, [1, 6]),
        ((12, 12), (1, (1.0, 2.0)), TILED, True, [1, 2]),
    ],
)
def test_what_is_told_is_of_all_views(size_hw, seen_in, how, tiled, windows):
    views_of = views.of(*seen_in)
    frame = Frame((16, 24), 0.0, (16, 24), "squeeze", 4.0, 1, "auto", views=views_of)
    scene = frame.scene(np.zeros((*size_hw, 3), np.uint8))
    assert scene.windows() == windows
    assert scene.is_tiled() == tiled
    assert scene.seen(0.5) == Seen(how, size_hw, 0.5, min(windows))


def test_one_view_at_another_scale_is_a_view():
    frame = Frame((16, 16), 0.0, (16, 16), "squeeze", 8.0, 1, "auto")
    image = np.zeros((16, 16, 3), np.uint8)
    usual = dataclasses.replace(frame, views=views.of(1, (1.0,)))
    assert not usual.scene(image).looks
    (look,) = dataclasses.replace(frame, views=views.of(1, (2.0,))).scene(image).looks
    assert look.placement.scaled_hw == (32, 32)


def _centre(params, model_state, windows):
    """A network that finds the middle of the bright pixels of a window."""
    del params, model_state
    bright = np.asarray(windows.image)[..., 0] > 100
    at = [
        np.argwhere(one).mean(axis=0) + 0.5 if one.any() else [0, 0] for one in bright
    ]
    ones = np.ones((len(bright), 1), np.float32)
    found = bright.any(axis=(1, 2))[:, None]
    points = np.array(at, np.float32)[:, None]
    return Detections(points, ones, 0 * ones.astype(np.int32), ones[..., None], found)
