"""Windows of many scenes share batches, and each scene gets its own cells back."""

import dataclasses

import numpy as np
import pytest

from cellrec_jax.predict import stream
from cellrec_jax.predict.frame import Frame
from tests.predict.bright import bright

FRAME = Frame((16, 16), 0.0, (16, 16), "squeeze", 4.0, 1, "auto")


def _image(height, width, y=None, x=None, value=255):
    image = np.zeros((height, width, 3), np.uint8)
    if y is not None:
        image[y, x] = value
    return image


@pytest.mark.parametrize(
    ("batch", "shapes"),
    [
        (1, [(1, 1)] * 10),
        (4, [(4, 4), (4, 4), (4, 2)]),
        (5, [(5, 5), (5, 5)]),
        (6, [(6, 6), (6, 4)]),  # fillers complete the last
        (16, [(16, 10)]),
    ],
)
def test_scenes_share_batches(batch, shapes):
    """One window, eight tiles of 2 x 4 and one more window."""
    images = [_image(16, 16, 3, 4), _image(20, 40, 18, 33), _image(8, 8, 7, 7)]
    seen, done = [], []
    network = stream.Network(bright(seen), {}, {}, batch)
    scenes = [FRAME.scene(image, key=i) for i, image in enumerate(images)]
    assert [len(scene.placement.tiles) for scene in scenes] == [1, 8, 1]
    found = list(stream.predict_scenes(network, scenes, on_windows=done.append))
    assert seen == shapes
    assert done[-1] == 10
    assert [scene.key for scene, _ in found] == [0, 1, 2]
    points = [cells.points_yx.tolist() for _, cells in found]
    assert points == [[[3.5, 4.5]], [[18.5, 33.5]], [[7.5, 7.5]]]


def test_cells_of_all_tiles_come_best_first():
    image = _image(20, 40, 3, 4, value=100)
    image[18, 33] = 200
    network = stream.Network(bright([]), {}, {}, 1)
    ((_, cells),) = stream.predict_scenes(network, [FRAME.scene(image)])
    np.testing.assert_allclose(cells.scores, [200 / 255, 100 / 255])


def test_a_lone_window_goes_alone():
    seen = []
    network = stream.Network(bright(seen), {}, {}, 8)
    list(stream.predict_scenes(network, [FRAME.scene(_image(16, 16))]))
    assert seen == [(1, 1)]


def test_low_scores_are_left_out():
    network = stream.Network(bright([]), {}, {}, 1)
    scenes = [FRAME.scene(_image(16, 16, 3, 4, value)) for value in (100, 200)]
    found = stream.predict_scenes(network, scenes, least_score=0.5)
    assert [len(cells) for _, cells in found] == [0, 1]


def test_an_error_of_the_reader_arrives():
    def scenes():
        yield FRAME.scene(_image(16, 16))
        raise ValueError("unreadable")

    found = stream.predict_scenes(stream.Network(bright([]), {}, {}, 1), scenes())
    with pytest.raises(ValueError, match="unreadable"):
        list(found)


def test_other_types_of_pixels_are_other_batches():
    """16-bit images become floats, in [0, 1]."""
    seen = []
    images = [_image(16, 16, 3, 4), _image(16, 16, 5, 6).astype(np.uint16) * 257]
    network = stream.Network(bright(seen), {}, {}, 4)
    found = list(stream.predict_scenes(network, map(FRAME.scene, images)))
    assert seen == [(1, 1), (1, 1)]
    assert [len(cells) for _, cells in found] == [1, 1]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_window_knows_the_highest_value_of_its_image(dtype):
    """Grey of a colour: two tiles, of which one is dark, and an image after it."""
    seen = []

    def predict(params, model_state, windows):
        seen.append(None if windows.highest is None else windows.highest.tolist())
        return bright([])(params, model_state, windows)

    first, second = _image(16, 24), _image(16, 16, 2, 3, value=51)
    first[3, 4] = [255, 255, 102]
    factor = np.iinfo(dtype).max // 255  # 1 or 257
    images = [one.astype(dtype) * dtype(factor) for one in (first, second)]
    network = stream.Network(predict, {}, {}, 3)
    for by_highest in (False, True):
        frame = dataclasses.replace(FRAME, intensity="full", by_highest=by_highest)
        scenes = [frame.scene(image) for image in images]
        assert [len(scene.placement.tiles) for scene in scenes] == [2, 1]
        list(stream.predict_scenes(network, scenes))
    assert seen[0] is None
    np.testing.assert_allclose(seen[1], [0.8, 0.8, 0.2], rtol=1e-3)
