import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.ops import roi_align

FORMS = ("einsum", "gather")
STRIDES = (4, 8)
LEVEL_HW = ((6, 9), (3, 5))

BOXES = np.array(
    [
        [2.0, 5.0, 14.0, 29.0],
        [0.0, 0.0, 24.0, 36.0],
        [7.3, 3.1, 9.9, 21.7],
        [-10.0, -20.0, 6.0, 8.0],  # partly outside
        [40.0, 50.0, 60.0, 90.0],  # wholly outside
        [5.0, 9.0, 5.0, 9.0],  # empty
    ],
    np.float32,
)
LEVEL_IDX = np.array([0, 1, 0, 1, 0, 1], np.int32)

align = jax.jit(
    roi_align.roi_align,
    static_argnames=("strides", "size", "samples", "pool", "form"),
)


def on_boxes(features, boxes, **options):
    return align(features, boxes, STRIDES, LEVEL_IDX, **options)


@pytest.fixture
def features(rng) -> list[np.ndarray]:
    return [rng.normal(size=(*hw, 3)).astype(np.float32) for hw in LEVEL_HW]


def bilinear(feature: np.ndarray, y: float, x: float) -> np.ndarray:
    """Value at a place in cells, where cell i is centred at i; edges repeat."""
    height, width = feature.shape[:2]
    y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
    y0, x0 = math.floor(y), math.floor(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    wy, wx = y - y0, x - x0
    top = feature[y0, x0] * (1 - wx) + feature[y0, x1] * wx
    bottom = feature[y1, x0] * (1 - wx) + feature[y1, x1] * wx
    return top * (1 - wy) + bottom * wy


def loop_roi_align(features, boxes, level_idx, size, samples, pool):
    features = [np.asarray(f, np.float64) for f in features]
    out = np.zeros((len(boxes), size, size, features[0].shape[-1]))
    parts = size * samples
    for r, (y0, x0, y1, x1) in enumerate(boxes.astype(np.float64)):
        feature, stride = features[level_idx[r]], STRIDES[level_idx[r]]
        for i, j in np.ndindex(size, size):
            values = [
                bilinear(
                    feature,
                    (y0 + (i * samples + a + 0.5) / parts * (y1 - y0)) / stride - 0.5,
                    (x0 + (j * samples + b + 0.5) / parts * (x1 - x0)) / stride - 0.5,
                )
                for a, b in np.ndindex(samples, samples)
            ]
            out[r, i, j] = {"average": np.mean, "max": np.max}[pool](values, axis=0)
    return out


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("size", "samples", "pool"), [(3, 2, "average"), (2, 3, "max")]
)
def test_against_loops(features, form, size, samples, pool):
    result = on_boxes(features, BOXES, size=size, samples=samples, pool=pool, form=form)
    expected = loop_roi_align(features, BOXES, LEVEL_IDX, size, samples, pool)
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_constant_map(form):
    features = [np.full((*hw, 3), 7.0, np.float32) for hw in LEVEL_HW]
    result = on_boxes(features, BOXES, size=3, form=form)
    np.testing.assert_allclose(result, 7.0, rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_linear_ramp_gives_its_value_at_cell_centres(form):
    """Feature cells hold their own centre in px, so pooling returns places in px."""
    stride, size = 4, 3
    y, x = np.meshgrid(*((np.arange(n) + 0.5) * stride for n in (8, 11)), indexing="ij")
    ramp = np.stack([y, x], axis=-1).astype(np.float32)
    boxes = np.array([[3.0, 6.0, 21.0, 39.0], [8.0, 4.0, 9.5, 16.0]], np.float32)
    result = align(
        [ramp], boxes, (stride,), np.zeros(2, np.int32), size=size, form=form
    )
    for box, pooled in zip(boxes, np.asarray(result), strict=True):
        fraction = (np.arange(size) + 0.5) / size
        centers_y = box[0] + fraction * (box[2] - box[0])
        centers_x = box[1] + fraction * (box[3] - box[1])
        np.testing.assert_allclose(
            pooled[:, :, 0], np.tile(centers_y[:, None], 3), rtol=1e-5
        )
        np.testing.assert_allclose(
            pooled[:, :, 1], np.tile(centers_x, (3, 1)), rtol=1e-5
        )


def test_transposed_image_gives_transposed_result(features):
    result = on_boxes(features, BOXES, size=3, form="gather")
    turned = [np.swapaxes(f, 0, 1) for f in features]
    mirrored = on_boxes(turned, BOXES[:, [1, 0, 3, 2]], size=3, form="gather")
    np.testing.assert_allclose(np.swapaxes(mirrored, 1, 2), result, atol=1e-5)


@pytest.mark.parametrize("pool", ["average", "max"])
def test_gradients_of_both_forms_agree(features, pool, rng):
    weight = rng.normal(size=(len(BOXES), 2, 2, 3)).astype(np.float32)
    if pool == "max":  # samples past the edge tie, and rounding picks the winner
        weight[3:] = 0.0

    def total(values, form):
        return jnp.sum(on_boxes(values, BOXES, size=2, pool=pool, form=form) * weight)

    graded = jax.jit(jax.value_and_grad(total), static_argnames="form")
    (value, gradient), (_, other) = (graded(features, form=form) for form in FORMS)
    for one, two in zip(gradient, other, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)
    # Averages are linear and maxima homogeneous: the value is <gradient, features>.
    products = [np.vdot(g, f) for g, f in zip(gradient, features, strict=True)]
    assert sum(products) == pytest.approx(float(value), rel=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_dtype_and_no_boxes(features, form):
    half = [f.astype(jnp.bfloat16) for f in features]
    result = on_boxes(half, BOXES, size=3, form=form)
    assert result.dtype == jnp.bfloat16
    expected = loop_roi_align(half, BOXES, LEVEL_IDX, 3, 2, "average")
    np.testing.assert_allclose(np.asarray(result, np.float32), expected, atol=0.05)
    none = np.zeros((0, 4), np.float32), STRIDES, np.zeros(0, np.int32)
    for pool in ("average", "max"):
        empty = align(features, *none, size=3, pool=pool, form=form)
        assert empty.shape == (0, 3, 3, 3)


def test_auto_is_gather_off_tpus(features):
    expected = on_boxes(features, BOXES, size=3, form="gather")
    np.testing.assert_array_equal(on_boxes(features, BOXES, size=3), expected)


def test_roi_levels_by_hand():
    # floor(4 + log2(sqrt(h w) / 224)), clipped to 2..5; every cell box is on level 2.
    sides_hw = [(32, 32), (111, 111), (112, 112), (56, 224), (223, 223)]
    sides_hw += [(224, 224), (447, 447), (448, 448), (900, 900), (0, 50), (-5, -5)]
    boxes = jnp.array([[3.0, 7.0, 3.0 + h, 7.0 + w] for h, w in sides_hw])
    expected = [2, 2, 3, 3, 3, 4, 4, 5, 5, 2, 2]
    assert roi_align.roi_levels(boxes, 2, 5).tolist() == expected


def test_roi_levels_of_another_range():
    boxes = jnp.array([[0.0, 0.0, 32.0, 32.0], [0.0, 0.0, 128.0, 32.0]])
    # 32 px belong to level 4, and 64 (the geometric mean) to level 5.
    assert roi_align.roi_levels(boxes, 3, 6, canonical_size=32.0).tolist() == [4, 5]
