from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.ops import boxes

SWAP = np.array([1, 0, 3, 2])
STAGE_2 = (10.0, 10.0, 5.0, 5.0)

iou_matrix = jax.jit(boxes.iou_matrix)
encode = jax.jit(boxes.encode, static_argnames="scales")
decode = jax.jit(boxes.decode, static_argnames="scales")


def box_arrays(count: int, least: float = 4.0) -> st.SearchStrategy[np.ndarray]:
    """f32 [count, 4] boxes with sides of `least` to 200 px."""
    corners = npst.arrays(np.float32, (count, 2), elements=st.floats(0, 500, width=32))
    sizes = npst.arrays(
        np.float32, (count, 2), elements=st.floats(least, 200, width=32)
    )
    return st.tuples(corners, sizes).map(
        lambda pair: np.concatenate([pair[0], pair[0] + pair[1]], axis=1)
    )


def loop_iou(a: np.ndarray, b: np.ndarray) -> float:
    a, b = [float(v) for v in a], [float(v) for v in b]
    height = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    width = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [max(0.0, c[2] - c[0]) * max(0.0, c[3] - c[1]) for c in (a, b)]
    union = sum(areas) - height * width
    return height * width / union if union > 0 else 0.0


def test_area():
    given_boxes = jnp.array([[1.0, 2.0, 4.0, 7.0], [5.0, 5.0, 5.0, 9.0], [4, 0, 1, 3]])
    assert boxes.area(given_boxes).tolist() == [15.0, 0.0, 0.0]


def test_iou_by_hand():
    a = jnp.array([[0.0, 0.0, 4.0, 6.0], [3.0, 3.0, 3.0, 3.0]])
    b = jnp.array(
        [
            [0.0, 0.0, 4.0, 6.0],  # the same
            [2.0, 3.0, 6.0, 9.0],  # overlap 2 x 3 of a union of 24 + 24 - 6
            [4.0, 0.0, 8.0, 6.0],  # half open: touching does not overlap
            [0.0, 1.0, 4.0, 4.0],  # inside, 12 of 24
            [3.0, 3.0, 3.0, 3.0],  # empty
        ]
    )
    expected = [[1.0, 6 / 42, 0.0, 0.5, 0.0], [0.0] * 5]
    np.testing.assert_allclose(iou_matrix(a, b), expected, rtol=1e-6)


@given(box_arrays(5, least=0.0), box_arrays(3, least=0.0))
def test_iou_against_loops(a, b):
    result = np.asarray(iou_matrix(a, b))
    expected = [[loop_iou(one, other) for other in b] for one in a]
    np.testing.assert_allclose(result, expected, atol=2e-3)
    assert (result >= 0).all()
    assert (result <= 1).all()
    mirrored = iou_matrix(b, a)
    np.testing.assert_allclose(result.T, mirrored, rtol=1e-6, atol=1e-6)


def test_clip_by_hand():
    raw = jnp.array([[-3.0, 5.0, 12.0, 40.0], [11.0, -9.0, 15.0, -2.0]])
    expected = [[0.0, 5.0, 10.0, 20.0], [10.0, 0.0, 10.0, 0.0]]
    assert boxes.clip(raw, (10, 20)).tolist() == expected


def test_encode_by_hand():
    anchor = jnp.array([[0.0, 0.0, 10.0, 20.0]])  # centre (5, 10)
    box = jnp.array([[5.0, 10.0, 15.0, 50.0]])  # centre (10, 30), 10 x 40
    expected = np.array([[0.5, 1.0, 0.0, np.log(2.0)]])
    np.testing.assert_allclose(encode(box, anchor), expected, atol=1e-6)
    np.testing.assert_allclose(
        encode(box, anchor, STAGE_2), expected * STAGE_2, atol=1e-5
    )


@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.0, 1.0), STAGE_2])
@given(box_arrays(5), box_arrays(5))
def test_decode_inverts_encode(scales, box, anchor):
    deltas = encode(box, anchor, scales)
    back = decode(deltas, anchor, scales)
    np.testing.assert_allclose(back, box, atol=5e-3)


def test_finite_for_empty_and_inverted_boxes():
    empty = jnp.array([[3.0, 7.0, 3.0, 7.0], [9.0, 9.0, 2.0, 1.0]])
    anchor = jnp.array([[0.0, 0.0, 8.0, 16.0], [5.0, 6.0, 5.0, 6.0]])
    deltas = encode(empty, anchor)
    assert jnp.isfinite(deltas).all()
    assert jnp.isfinite(decode(deltas, anchor)).all()
    gradient = jax.grad(lambda b: iou_matrix(b, anchor).sum())(empty)
    assert jnp.isfinite(gradient).all()
    gradient = jax.grad(lambda b: encode(b, anchor).sum())(empty)
    assert jnp.isfinite(gradient).all()


def test_decode_caps_raw_outputs():
    anchor = jnp.array([[0.0, 0.0, 16.0, 32.0]])
    wild = decode(jnp.array([[0.0, 0.0, 1000.0, 1000.0]]), anchor)
    size = wild[0, 2:] - wild[0, :2]
    np.testing.assert_allclose(size, [1000.0, 2000.0], rtol=1e-4)


@given(box_arrays(5), box_arrays(5))
def test_transposed_boxes_give_transposed_results(box, anchor):
    box_t, anchor_t = box[:, SWAP], anchor[:, SWAP]
    np.testing.assert_array_equal(iou_matrix(box_t, anchor_t), iou_matrix(box, anchor))
    deltas = np.asarray(encode(box, anchor))
    # Deltas are (y, x, h, w), so the same permutation swaps their axes.
    np.testing.assert_array_equal(encode(box_t, anchor_t), deltas[:, SWAP])
    np.testing.assert_array_equal(
        decode(deltas[:, SWAP], anchor_t), decode(deltas, anchor)[:, SWAP]
    )
    np.testing.assert_array_equal(
        boxes.clip(box_t, (300, 200)), boxes.clip(box, (200, 300))[:, SWAP]
    )
