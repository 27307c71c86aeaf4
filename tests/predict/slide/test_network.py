"""Values that a network sees of a slide, and the tiles that it fills."""

import numpy as np

from cellrec_jax.predict import stream
from cellrec_jax.predict.slide import grid, network, rows, tissue
from cellrec_jax.types import Detections
from tests.predict.slide import fakes


def _looker(predict=None, **changed):
    net = stream.Network(predict, {}, {}, 1)
    least = np.array([0.4])
    return network.Looker(net, 32, 0, 0, 0, least, True, False, 0, "auto")._replace(
        **changed
    )


def test_px_are_stretched_by_limits_of_the_slide():
    image = np.array([[[50, 75, 200]]], np.uint8)
    found = network.prepare(_looker(intensity="percentile"), (50, 150), image)
    np.testing.assert_array_equal(found, np.float32([[[0, 0.25, 1]]]))
    assert network.prepare(_looker(), (50, 150), image) is image


def test_the_highest_grey_value_is_of_the_thumbnail():
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 1] = 10, 20, 30
    image[1, 2] = 51, 0, 0
    small = tissue.Thumbnail(image, np.ones((2, 3), bool), (1.0, 1.0))
    assert network.highest(_looker(by_highest=True), small) == 20 / 255
    assert network.highest(_looker(), small) is None


def test_tiles_with_as_many_cells_as_there_are_slots_are_counted():
    """Of a row of three tiles two: in the third one cell is unsure."""
    image = np.zeros((32, 96, 3), np.uint8)
    image[:, 64:] = 1

    def predict(_params, _state, windows):
        scores = np.array([[0.9, 0.5 - 0.2 * windows.image[0, 0, 0, 0]]], np.float32)
        return Detections(
            np.array([[[3, 4], [20, 9]]], np.float32),
            scores,
            np.zeros((1, 2), np.int32),
            scores[..., None],
            np.ones((1, 2), bool),
        )

    slide, looker = fakes.slide(image), _looker(predict)
    tiles = grid.plan(slide.levels, (1.0, 1.0), 32, 0)
    found = list(rows.find(looker, slide, tiles, {0: [0, 1, 2]}, None, np.asarray))
    assert [sorted(ended) for ended, _ in found] == [[], [], [0]]
    row = found[-1][0][0]
    assert row.full == 2
    assert row.tiles.tolist() == [0, 0, 1, 1, 2]
    assert row.cells.points_yx[:, 1].tolist() == [4, 9, 36, 41, 68]
