import jax
import numpy as np
import pytest

from cellrec_jax.bench import nms as bench
from cellrec_jax.bench.report import Settings
from cellrec_jax.ops import nms


@pytest.mark.parametrize("max_kept", [7, 60])
def test_loop_equals_blocked(max_kept):
    boxes_yxyx, scores = bench.random_boxes(300, seed=1)
    boxes_yxyx = boxes_yxyx * np.float32(0.1)  # crowded: fewer than 60 stay
    mask = np.arange(300) % 7 != 0
    options = {"iou_threshold": 0.3, "max_kept": max_kept}
    idx, kept = jax.jit(lambda *args: nms.nms(*args, **options))(
        boxes_yxyx, scores, mask
    )
    loop_idx, loop_kept = jax.jit(lambda *args: bench.loop_nms(*args, **options))(
        boxes_yxyx, scores, mask
    )
    np.testing.assert_array_equal(kept, loop_kept)
    np.testing.assert_array_equal(np.asarray(idx)[kept], np.asarray(loop_idx)[kept])


def test_random_boxes():
    boxes_yxyx, scores = bench.random_boxes(50, seed=0)
    size_hw = boxes_yxyx[:, 2:] - boxes_yxyx[:, :2]
    assert boxes_yxyx.shape == (50, 4)
    assert size_hw.min() > 19.9
    assert size_hw.max() < 50.1
    assert len(set(scores.tolist())) == 50


def test_rows():
    found = bench.run(Settings(sizes=(60,), repeats=1), lambda _: None)
    (row,) = found.rows
    assert (row["boxes"], row["kept"]) == (60, 10)
    for name in ("blocked_ms", "loop_ms", "loop_over_blocked", "loop_compile_s"):
        assert row[name] > 0
