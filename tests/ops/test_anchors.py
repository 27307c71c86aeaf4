import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.nn import rpn
from cellrec_jax.ops import anchors

PAPER_STRIDES = (4, 8, 16, 32, 64)
PAPER_SIZES = (32, 64, 128, 256, 512)
PAPER_RATIOS = (0.5, 1.0, 2.0)


@pytest.mark.parametrize(
    ("image_hw", "stride", "expected"),
    [((800, 800), 64, (13, 13)), ((32, 48), 16, (2, 3)), ((1, 17), 16, (1, 2))],
)
def test_feature_hw_rounds_up(image_hw, stride, expected):
    assert anchors.feature_hw(image_hw, stride) == expected


def test_level_anchors_by_hand():
    # Ratio height / width 4 keeps the area of 8 x 8 as 16 x 4, 1/4 as 4 x 16.
    result = anchors.level_anchors((2, 3), 10, 8.0, [4.0, 0.25])
    assert result.shape == (12, 4)
    assert result.dtype == np.float32
    assert result[0].tolist() == [-8.0, -2.0, 8.0, 2.0]
    assert result[1].tolist() == [-2.0, -8.0, 2.0, 8.0]
    assert result[2].tolist() == [-8.0, 8.0, 8.0, 12.0]  # next along x
    assert result[6].tolist() == [2.0, -2.0, 18.0, 2.0]  # then along y
    assert result[11].tolist() == [8.0, 12.0, 12.0, 28.0]


def test_order_is_row_major_over_y_x_ratio():
    height, width, ratios = 3, 5, (0.25, 1.0, 4.0)
    flat = anchors.level_anchors((height, width), 8, 16.0, ratios)
    size = flat[:, 2:] - flat[:, :2]
    centers = (flat[:, :2] + flat[:, 2:]) / 2
    for index in range(len(flat)):
        y, x, ratio = np.unravel_index(index, (height, width, len(ratios)))
        assert centers[index].tolist() == [8 * y, 8 * x]
        assert size[index, 0] / size[index, 1] == pytest.approx(ratios[ratio])


def test_order_is_that_of_the_proposal_head():
    """A head that writes (y, x, anchor) into its deltas names each anchor's place."""
    grid_hw, num_anchors = (3, 5), 2
    place = np.stack(np.indices(grid_hw), axis=-1).astype(np.float32)
    identity = np.zeros((3, 3, 2, 2), np.float32)
    identity[1, 1] = np.eye(2)
    kernel = np.zeros((1, 1, 2, num_anchors, 4), np.float32)
    kernel[0, 0, 0, :, 0] = 1.0  # dy <- y
    kernel[0, 0, 1, :, 1] = 1.0  # dx <- x
    bias = np.zeros((num_anchors, 4), np.float32)
    bias[:, 2] = np.arange(num_anchors)
    params = {
        "conv": {"kernel": identity, "bias": np.zeros(2, np.float32)},
        "cls": {
            "kernel": np.zeros((1, 1, 2, 4), np.float32),
            "bias": np.zeros(4, np.float32),
        },
        "box": {"kernel": kernel.reshape(1, 1, 2, -1), "bias": bias.reshape(-1)},
    }
    head = rpn.RPNHead(num_anchors, channels=2)
    _, deltas = head.apply({"params": params}, jnp.asarray(place)[None])
    boxes = anchors.level_anchors(grid_hw, 10, 8.0, [4.0, 0.25])
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2 / 10
    is_wide = boxes[:, 3] - boxes[:, 1] > 8.0
    np.testing.assert_allclose(deltas[0, :, :2], centers, atol=1e-6)
    np.testing.assert_array_equal(deltas[0, :, 2], is_wide)


def test_pyramid_of_the_paper():
    result = anchors.pyramid_anchors(
        (800, 800), PAPER_STRIDES, PAPER_SIZES, PAPER_RATIOS
    )
    cells = [200**2, 100**2, 50**2, 25**2, 13**2]  # 800 / 64 is 12.5
    assert result.shape == (3 * sum(cells), 4)
    area = np.prod(result[:, 2:] - result[:, :2], axis=1)
    starts = np.cumsum([0, *(3 * count for count in cells)])
    for size, start, stop in zip(PAPER_SIZES, starts[:-1], starts[1:], strict=True):
        np.testing.assert_allclose(area[start:stop], size**2, rtol=1e-4)


def test_pyramid_levels_of_an_oblong_image():
    result = anchors.pyramid_anchors((16, 40), (8, 16), (8.0, 16.0), (1.0,))
    fine = anchors.level_anchors((2, 5), 8, 8.0, (1.0,))
    coarse = anchors.level_anchors((1, 3), 16, 16.0, (1.0,))
    np.testing.assert_array_equal(result, np.concatenate([fine, coarse]))


def test_anchor_points_by_hand():
    points_yx = anchors.anchor_points((1, 2), 32)
    assert points_yx.dtype == np.float32
    assert points_yx.tolist() == [
        *([16, 16], [8, 8], [8, 24], [24, 24], [24, 8]),
        *([16, 48], [8, 40], [8, 56], [24, 56], [24, 40]),
    ]
    assert anchors.anchor_points((2, 1), 8, "1x2").tolist() == [
        *([4, 2], [4, 6]),
        *([12, 2], [12, 6]),
    ]


@pytest.mark.parametrize(("layout", "count"), [("five", 5), ("2x2", 4), ("3x1", 3)])
def test_anchor_points_lie_in_their_cells(layout, count):
    points_yx = anchors.anchor_points((3, 5), 16, layout)
    assert anchors.points_per_cell(layout) == count
    cells = points_yx.reshape(3, 5, count, 2) // 16
    y, x = np.mgrid[:3, :5]
    expected = np.stack([y, x], axis=-1)[:, :, None]
    np.testing.assert_array_equal(cells, np.broadcast_to(expected, cells.shape))


@pytest.mark.parametrize("layout", ["six", "0x2"])
def test_other_layouts_are_refused(layout):
    with pytest.raises(ValueError, match="use 'five' or 'RxC'"):
        anchors.points_per_cell(layout)
