import functools

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.ops import boxes as box_ops
from cellrec_jax.ops import nms

THRESHOLD = 0.3
COUNT = 24

# Whole coordinates and few scores: overlaps are exact and ties are common.
CORNERS = npst.arrays(np.float32, (COUNT, 2), elements=st.integers(0, 9))
SIZES = npst.arrays(np.float32, (COUNT, 2), elements=st.integers(0, 6))
SCORES = npst.arrays(np.float32, COUNT, elements=st.integers(0, 5))
MASKS = npst.arrays(bool, COUNT, elements=st.integers(0, 3).map(bool))


def iou_row(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    overlap = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1)
    union = np.prod(box[2:] - box[:2]) + areas - overlap
    return np.where(union > 0, overlap / np.where(union > 0, union, 1), 0)


def sequential_nms(boxes, scores, mask, max_kept, threshold=THRESHOLD):
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if mask[i] and not (iou_row(boxes[i], boxes[kept]) > threshold).any():
            kept.append(int(i))
    return kept[:max_kept]


@functools.partial(jax.jit, static_argnames="max_kept")
def run(boxes, scores, mask, max_kept):
    return nms.nms(boxes, scores, mask, iou_threshold=THRESHOLD, max_kept=max_kept)


def kept_by(boxes, scores, mask, max_kept):
    idx, kept = (np.asarray(part) for part in run(boxes, scores, mask, max_kept))
    assert idx.shape == kept.shape == (max_kept,)
    assert not (np.diff(kept.astype(int)) > 0).any(), "empty slots come last"
    return idx[kept].tolist()


def clustered(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole boxes around a few places, with many tied scores."""
    centers = rng.integers(0, 400, (count // 20, 2)) * [1, 2]
    low = centers[rng.integers(0, len(centers), count)] + rng.integers(
        -6, 7, (count, 2)
    )
    boxes = np.concatenate([low, low + rng.integers(10, 30, (count, 2))], axis=1)
    return boxes.astype(np.float32), rng.integers(0, 50, count).astype(np.float32)


def test_by_hand():
    boxes = jnp.array(
        [
            [0.0, 0.0, 4.0, 8.0],
            [0.0, 1.0, 4.0, 9.0],  # overlaps the first by 28 / 36
            [0.0, 5.0, 4.0, 13.0],  # the second by 16 / 48 > 0.3, the first by 12 / 52
            [20.0, 0.0, 24.0, 8.0],
        ]
    )
    scores = jnp.array([0.5, 0.9, 0.4, 0.7])
    everything = jnp.ones(4, bool)
    assert kept_by(boxes, scores, everything, 5) == [1, 3]
    # Without the second box the first no longer loses, nor suppresses the third.
    assert kept_by(boxes, scores, everything.at[1].set(False), 5) == [3, 0, 2]
    assert kept_by(boxes, jnp.zeros(4), everything, 5) == [0, 2, 3]  # ties: the earlier


@pytest.mark.parametrize("max_kept", [3, 40])
@given(corners=CORNERS, sizes=SIZES, scores=SCORES, mask=MASKS)
def test_against_sequential(max_kept, corners, sizes, scores, mask):
    boxes = np.concatenate([corners, corners + sizes], axis=1)
    expected = sequential_nms(boxes, scores, mask, max_kept)
    assert kept_by(boxes, scores, mask, max_kept) == expected


@pytest.mark.parametrize("max_kept", [100, 1500])
def test_against_sequential_over_several_blocks(max_kept, rng):
    boxes, scores = clustered(rng, 1500)
    mask = rng.random(1500) < 0.9
    expected = sequential_nms(boxes, scores, mask, max_kept)
    assert len(expected) >= 90
    assert kept_by(boxes, scores, mask, max_kept) == expected


@pytest.mark.parametrize("block", [1, 7, 64])
def test_block_size_does_not_matter(block, rng):
    boxes, _ = clustered(rng, 60)
    mask = rng.random(60) < 0.8

    @jax.jit
    def suppress(max_kept):
        def similar(a, b):
            return box_ops.iou_matrix(a, b) > THRESHOLD

        items = jnp.asarray(boxes), jnp.asarray(mask)
        return nms.suppress(*items, similar, max_kept, block)

    for max_kept in (0, 4, 60):
        expected = sequential_nms(boxes, -np.arange(60.0), mask, max_kept)
        assert np.flatnonzero(suppress(max_kept)).tolist() == expected


def test_long_chain_settles():
    # Each box overlaps its neighbours alone, so the greedy result is every other box.
    x = 4.0 * np.arange(300, dtype=np.float32)
    boxes = np.stack([0 * x, x, 0 * x + 5, x + 8], axis=1)
    scores = -np.arange(300, dtype=np.float32)
    assert kept_by(boxes, scores, np.ones(300, bool), 300) == list(range(0, 300, 2))


@pytest.mark.parametrize("garbage", [0.0, 1e6, np.nan])
def test_masked_boxes_change_nothing(garbage, rng):
    boxes, scores = clustered(rng, COUNT)
    mask = np.resize([True, True, False], COUNT)
    expected = kept_by(boxes, scores, mask, 40)
    dirty, loud = boxes.copy(), scores.copy()
    dirty[~mask], loud[~mask] = garbage, 1e6
    assert kept_by(dirty, loud, mask, 40) == expected
    assert kept_by(boxes, scores, np.zeros(COUNT, bool), 40) == []


def test_no_boxes():
    empty = jnp.zeros((0, 4)), jnp.zeros(0), jnp.zeros(0, bool)
    assert kept_by(*empty, 3) == []
    assert nms.point_nms(
        jnp.zeros((0, 2)), jnp.zeros(0, bool), jnp.array(5.0)
    ).shape == (0,)


def test_what_is_sorted_needs_no_sort(rng):
    """Also where masked boxes lie between."""
    boxes = rng.uniform(0, 30, (40, 2))
    boxes = np.concatenate([boxes, boxes + 9], axis=1).astype(np.float32)
    scores = np.sort(rng.normal(size=40).astype(np.float32))[::-1].copy()
    mask = rng.random(40) < 0.8
    found = [
        nms.nms(boxes, scores, mask, iou_threshold=0.2, max_kept=9, is_sorted=is_sorted)
        for is_sorted in (False, True)
    ]
    kept = np.asarray(found[0][1])
    np.testing.assert_array_equal(kept, found[1][1])
    assert kept.sum() == 9
    np.testing.assert_array_equal(found[0][0][kept], found[1][0][kept])


def test_no_distance_keeps_all_without_a_loop():
    points, mask = jnp.zeros((5, 2)), jnp.array([True, False, True, True, False])
    kept = nms.point_nms(points, mask, jnp.float32(0))
    assert kept.tolist() == mask.tolist()
    assert nms.point_nms(points, mask, jnp.float32(1)).sum() == 1


def test_vmap_equals_loop(rng):
    images = [clustered(rng, COUNT) for _ in range(3)]
    boxes, scores = (np.stack(part) for part in zip(*images, strict=True))
    mask = rng.random((3, COUNT)) < [[1.0], [0.5], [0.0]]
    idx, kept = jax.vmap(lambda *image: run(*image, 6))(boxes, scores, mask)
    for i in range(3):
        alone = sequential_nms(boxes[i], scores[i], mask[i], 6)
        assert np.asarray(idx)[i][np.asarray(kept)[i]].tolist() == alone


def sequential_points(points, mask, min_distance):
    kept: list[int] = []
    for i in np.flatnonzero(mask):
        squared = ((points[kept] - points[i]) ** 2).sum(axis=1)
        if not (squared < min_distance**2).any():
            kept.append(int(i))
    return kept


@given(points=CORNERS, mask=MASKS, min_distance=st.sampled_from([0.0, 1.0, 3.0, 5.0]))
def test_point_nms_against_sequential(points, mask, min_distance):
    points = points * np.array([1, 2], np.float32)
    kept = jax.jit(nms.point_nms)(points, mask, jnp.float32(min_distance))
    expected = sequential_points(points, mask, min_distance)
    assert np.flatnonzero(kept).tolist() == expected


def test_point_nms_by_hand():
    points = jnp.array([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0], [0.0, 4.9]])
    mask = jnp.ones(4, bool)
    # The second is 5 px away, which is not nearer than 5.
    assert nms.point_nms(points, mask, jnp.array(5.0)).tolist() == [
        True,
        True,
        False,
        False,
    ]
    assert nms.point_nms(points, mask, jnp.array(0.0)).all()
