"""Random inputs of kernels, the same at every call."""

from typing import Any

import jax.numpy as jnp
import numpy as np

NUM_CLASSES = 4
STRIDES = (4, 8, 16, 32)  # of a pyramid's levels, px
DIM = 2305  # features of the paper's classifier of patches, with the constant
POOL = 1000  # different rows to rank
_SIDE_PX = 800.0  # of images with boxes
_MATCHED_PX = 1024.0
_PX_A_PROPOSAL = 1024 / 5  # five anchor points in 32 x 32 px
_CROWD = 0.3  # of each side
_LABELED = 0.1  # share of the scores
_NUM_CELLS = 150  # that boxes crowd around


def points(size: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres of boxes [batch, size, 2] in px, and their mask."""
    points_yx = np.random.default_rng(0).uniform(0, _SIDE_PX, (batch, size, 2))
    return points_yx.astype(np.float32), np.ones((batch, size), bool)


def scores(size: int) -> tuple[np.ndarray, ...]:
    """Scores [size], which are labelled positive, and which are not."""
    rng = np.random.default_rng(0)
    drawn = 2.0 * rng.standard_normal(size, np.float32)
    positive = rng.random(size, np.float32) < _LABELED
    positive[0], positive[-1] = True, False  # however few there are
    return drawn, positive, ~positive


def logits(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits [size, classes] and labels [size]."""
    rng = np.random.default_rng(0)
    drawn = 2.0 * rng.standard_normal((size, NUM_CLASSES), np.float32)
    return drawn, rng.integers(0, NUM_CLASSES, size, np.int32)


def matched(num_proposals: int, num_cells: int, batch: int) -> tuple[Any, ...]:
    """Predictions, cells, their labels, and pairs that nobody had to search."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal((batch, *shape), np.float32)

    points_yx = _MATCHED_PX * rng.random((batch, num_proposals, 2), np.float32)
    pred = points_yx, normal(num_proposals, 2), normal(num_proposals, NUM_CLASSES)
    orders = [rng.permutation(num_proposals)[:num_cells] for _ in range(batch)]
    proposal_idx = np.stack(orders).astype(np.int32)
    held_yx = np.take_along_axis(points_yx, proposal_idx[..., None], axis=1)
    true_yx = held_yx + 4.0 * normal(num_cells, 2)
    labels = rng.integers(0, NUM_CLASSES, (batch, num_cells), np.int32)
    return pred, true_yx, labels, proposal_idx


def scene(
    seed: int, num_proposals: int, num_cells: int, batch: int, crowded: bool = False
) -> tuple[np.ndarray, ...]:
    """Arguments of `matching.match`; cells lie anywhere, or crowd in a tenth of it."""
    rng = np.random.default_rng(seed)
    side = (num_proposals * _PX_A_PROPOSAL) ** 0.5
    span = side * (_CROWD if crowded else 1.0)
    probs = rng.dirichlet(np.ones(NUM_CLASSES), (batch, num_proposals))
    return (
        rng.uniform(0, side, (batch, num_proposals, 2)).astype(np.float32),
        rng.uniform(0, 1, (batch, num_proposals)).astype(np.float32),
        probs.astype(np.float32),
        rng.uniform(0, span, (batch, num_cells, 2)).astype(np.float32),
        rng.integers(0, NUM_CLASSES, (batch, num_cells)).astype(np.int32),
        np.ones((batch, num_cells), bool),
    )


def features(size: int) -> tuple[Any, ...]:
    """ReLU-like features [size, DIM] of a repeated pool, and labels told in part."""
    rng = np.random.default_rng(0)
    pool = np.maximum(rng.standard_normal((min(size, POOL), DIM), np.float32), 0)
    pool /= pool.max()
    pool[:, -1] = 1.0
    told = pool @ rng.standard_normal(DIM, np.float32)
    likely = 1 / (1 + np.exp(2 - 2 * (told - told.mean()) / max(told.std(), 1e-6)))
    rows = np.arange(size) % len(pool)
    positive = rng.random(size) < likely[rows]
    positive[0], positive[-1] = True, False  # however few there are
    return jnp.asarray(pool)[rows], positive, ~positive


def ranked(size: int) -> tuple[Any, ...]:
    """Weights [DIM] and `features`."""
    weights = 0.1 * np.random.default_rng(1).standard_normal(DIM, np.float32)
    return weights, *features(size)


def boxes(size: int, batch: int) -> tuple[np.ndarray, ...]:
    """Boxes of 20 to 50 px around cells, their distinct scores in [0, 1), the mask."""
    drawn = []
    for rng in map(np.random.default_rng, range(batch)):
        cells_yx = rng.uniform(0, _SIDE_PX, (_NUM_CELLS, 2))
        centers_yx = cells_yx[rng.integers(0, _NUM_CELLS, size)]
        centers_yx = centers_yx + rng.normal(0, 8.0, (size, 2))
        half_hw = rng.uniform(10, 25, (size, 2))
        boxes_yxyx = np.concatenate([centers_yx - half_hw, centers_yx + half_hw], 1)
        order = rng.permutation(size).astype(np.float32)
        drawn.append((boxes_yxyx.astype(np.float32), order / size, np.ones(size, bool)))
    return tuple(map(np.stack, zip(*drawn, strict=True)))


def pyramid(
    side_px: int, channels: int, num_rois: int, batch: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Features of each level, and boxes of 16 to 128 px inside the image."""
    rng = np.random.default_rng(0)
    sides = [-(-side_px // stride) for stride in STRIDES]
    shapes = [(batch, side, side, channels) for side in sides]
    levels = [rng.standard_normal(shape, np.float32) for shape in shapes]
    size_hw = rng.uniform(16, min(128, side_px), (batch, num_rois, 2))
    low_yx = rng.uniform(0, side_px - size_hw)
    boxes_yxyx = np.concatenate([low_yx, low_yx + size_hw], axis=-1)
    return levels, boxes_yxyx.astype(np.float32)


def layer(
    px: int, batch: int, channels: int, num_features: int
) -> tuple[np.ndarray, np.ndarray]:
    """Input of a convolution, and the gradient of its output."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, px, px, channels), np.float32)
    return x, rng.standard_normal((batch, px, px, num_features), np.float32)
