import numpy as np

from cellrec_jax.data import keyed


def test_words_belong_to_their_text():
    words = keyed.words("7/a", 5)
    assert words.dtype == np.uint64
    np.testing.assert_array_equal(keyed.words("7/a", 3), words[:3])
    assert not set(words.tolist()) & set(keyed.words("7/b", 5).tolist())
    assert len(keyed.words("7/a", 0)) == 0


def test_order_by_y_then_x_then_label():
    points_yx = np.array([[5, 1], [2, 9], [2, 3], [2, 3]], np.float32)
    assert keyed.by_place(points_yx, np.array([0, 0, 1, 0])).tolist() == [3, 2, 1, 0]
    assert keyed.by_place(np.zeros((0, 2)), np.zeros(0)).tolist() == []
