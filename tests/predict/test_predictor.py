"""Images of any size: whole, tiled, rescaled; seams and frames."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from scipy import spatial

from cellrec_jax import config_files, errors, methods
from cellrec_jax.cells import Cells
from cellrec_jax.config import DataConfig, EvalConfig, Experiment
from cellrec_jax.data import transforms
from cellrec_jax.methods import heatmap_pu
from cellrec_jax.predict import frame
from cellrec_jax.predict import predictor as predict
from cellrec_jax.train import start
from cellrec_jax.types import Detections, Method, Traits
from cellrec_jax.workdir import model

DOT = 4  # side of a dark square that stands for a cell


def _find_dots(params, model_state, windows):
    """Detects the middle of dark squares exactly, from the pixels alone."""
    del params, model_state
    images = np.asarray(windows.image)[..., 0]
    points, scores, mask = map(np.stack, zip(*map(_dots_of, images), strict=True))
    mask &= windows.real[:, None]
    boxes = np.concatenate([points - 2, points + 2], axis=-1)
    labels = np.zeros(scores.shape, np.int32)
    return Detections(points, scores, labels, scores[..., None], mask, boxes)


def _dots_of(image):
    rows, columns = np.nonzero(image == 0)
    starts = [
        (y, x)
        for y, x in zip(rows, columns, strict=True)
        if (y == 0 or image[y - 1, x]) and (x == 0 or image[y, x - 1])
    ]
    found = []
    for y, x in starts:  # cut squares are detected too, off their true centre
        height = np.argmax([*image[y:, x], 255] != np.uint8(0))
        width = np.argmax([*image[y, x:], 255] != np.uint8(0))
        found.append((y + height / 2, x + width / 2, min(height * width / 16, 1.0)))
    slots = np.zeros((64, 3), np.float32)
    slots[: len(found)] = np.reshape(found, (-1, 3))
    slots = slots[np.argsort(-slots[:, 2], kind="stable")]
    return slots[:, :2], slots[:, 2], np.arange(64) < len(found)


@pytest.fixture
def predictor():
    data = DataConfig(size_hw=(64, 96), box_size=8.0, max_cells=1)
    made = model.Model(
        Experiment("heatmap_pu", heatmap_pu.Options(), data=data),
        Method(None, None, None),
        {},
        {},
        {
            "class_names": ["cell"],
            "native_hw": [64, 96],
            "mpp": 0.5,
            "decode": {"thresholds": [0.0], "min_distance": 0.0},
        },
        1,
    )
    return predict.Predictor(made, _find_dots)


def _change(predictor, spy=None, *, native_hw=None, stride=1, **data):
    """The predictor with another network, or trained on other images."""
    made, data_config = predictor.model, predictor.model.experiment.data
    experiment = dataclasses.replace(
        made.experiment,
        data=dataclasses.replace(data_config, **data),
    )
    meta = {**made.meta, "native_hw": native_hw or made.meta["native_hw"]}
    method = made.method._replace(traits=Traits(stride=stride))
    made = dataclasses.replace(made, experiment=experiment, meta=meta, method=method)
    return predict.Predictor(made, spy or predictor.compiled)


def _image(height, width, dots):
    image = np.full((height, width, 3), 255, np.uint8)
    for y, x in dots:
        image[y : y + DOT, x : x + DOT] = 0
    return image


def test_an_image_of_the_training_size_is_predicted_whole(predictor):
    cells = predictor.predict(_image(64, 96, [(10, 50), (40, 20)]))
    np.testing.assert_allclose(cells.points_yx, [[12, 52], [42, 22]])
    np.testing.assert_allclose(cells.boxes_yxyx[0], [10, 50, 14, 54])


@pytest.mark.parametrize("size", [(300, 400), (64, 2000), (20, 30), (1, 1)])
def test_tiles_find_every_cell_once(predictor, size, rng):
    height, width = size
    dots = [
        (y, x) for y in range(3, height - DOT, 17) for x in range(5, width - DOT, 23)
    ]
    cells = predictor.predict(_image(height, width, dots))
    expected = np.array(sorted((y + 2.0, x + 2.0) for y, x in dots)).reshape(-1, 2)
    order = np.lexsort((cells.points_yx[:, 1], cells.points_yx[:, 0]))
    np.testing.assert_allclose(cells.points_yx[order], expected, atol=0.01)
    del rng


@pytest.mark.parametrize(("margin_px", "expected"), [(0, (64, 96)), (20, (112, 112))])
def test_the_network_sees_tiles_of_one_size(predictor, margin_px, expected):
    """However large the image is."""
    seen = []

    def spy(params, model_state, windows):
        seen.append(windows.image.shape[1:3])
        return _find_dots(params, model_state, windows)

    spied = _change(predictor, spy, stride=16)
    spied.predict(_image(700, 1000, []), margin_px=margin_px)
    assert len(seen) > 50
    assert set(seen) == {expected}


@pytest.mark.parametrize("scale", [1, 2])
def test_a_margin_enlarges_and_aligns_the_tiles(predictor, scale):
    """Tiles start where the features of the whole image do, and mirror what lacks.

    Also where the network sees the images at half their size.
    """
    seen = []

    def spy(params, model_state, windows):
        seen.append(np.asarray(windows.image)[0])
        return _find_dots(params, model_state, windows)

    native_hw = [64 * scale, 96 * scale]
    spied = _change(predictor, spy, native_hw=native_hw, stride=16)
    dots = [(y, x) for y in range(3, 296, 17) for x in range(5, 396, 23)]
    image = _image(300, 400, dots)
    native = image.repeat(scale, axis=0).repeat(scale, axis=1)
    cells = spied.predict(native, margin_px=30 * scale)
    if scale == 1:
        assert len(cells.scores) == len(dots)
    whole = transforms.resize_image(native, (300, 400))
    whole = np.concatenate([whole, whole[:-5:-1]])  # to 19 strides
    for tile in seen:
        height, width, _ = tile.shape
        assert min(height, width) >= 2 * 30
        assert any(
            np.array_equal(whole[y : y + height, x : x + width], tile)
            for y in range(0, 305 - height, 16)
            for x in range(0, 401 - width, 16)
        )


@pytest.mark.parametrize(
    ("size", "how", "number"),
    [
        ((66, 92), frame.RESIZED, 1),  # within 5 %
        ((60, 92), frame.WIDENED, 1),
        ((40, 50), frame.WIDENED, 1),
        ((68, 96), frame.TILED, 2),
        ((96, 144), frame.TILED, 4),
    ],
)
def test_cells_keep_their_size(predictor, size, how, number):
    """What is not of the training images' size is neither squeezed nor stretched."""
    shapes = []

    def spy(params, model_state, windows):
        shapes.append(windows.image.shape[1:3])
        return _find_dots(params, model_state, windows)

    image = _image(*size, [(10, 20), (24, 30)])
    spied = _change(predictor, spy)
    assert spied.frame.place(size).how == how
    cells = spied.predict(image)
    assert shapes == [(64, 96)] * number
    if how != frame.RESIZED:
        np.testing.assert_allclose(cells.points_yx, [[12, 22], [26, 32]], atol=1e-5)


def test_each_side_is_brought_to_the_networks_scale(predictor):
    """Trained on 64 x 192 px, seen as 64 x 96: x is halved, in tiles too."""
    changed = _change(predictor, native_hw=[64, 192])
    assert changed.frame.place((184, 180)).scaled_hw == (184, 90)
    image = _image(184, 90, [(60, 40)]).repeat(2, axis=1)
    np.testing.assert_allclose(changed.predict(image).points_yx, [[62, 84]], atol=1e-5)


def test_a_least_distance_is_that_of_the_file_along_each_side(predictor):
    """Squeezed to half the width, cells 10 px apart along x are 5 px apart."""
    changed = _change(predictor, native_hw=[64, 192])
    changed.model.meta["decode"]["min_distance"] = 9.0
    image = _image(64, 192, []).copy()
    for y, x in ((10, 40), (10, 56), (30, 40), (38, 40)):
        image[y : y + 4, x : x + 8] = 0  # 4 x 4 px of the network
    cells = changed.predict(image)
    found = sorted(cells.points_yx.tolist())
    np.testing.assert_allclose(found, [[12, 44], [12, 60], [32, 44]], atol=1e-4)


def test_images_of_any_size_are_squeezed_where_asked(predictor):
    made = predictor.model
    asked = dataclasses.replace(made.experiment, eval=EvalConfig(resize="squeeze"))
    changed = dataclasses.replace(
        predictor, model=dataclasses.replace(made, experiment=asked)
    )
    placed = changed.frame.place((128, 192))
    assert (placed.how, placed.scaled_hw) == (frame.RESIZED, (64, 96))


def test_padded_images_have_one_scale(predictor):
    """Those of 64 x 192 px fit into 64 x 96 at half their size."""
    changed = _change(predictor, native_hw=[64, 192], resize="pad")
    assert changed.frame.place((64, 128)).scaled_hw == (32, 64)
    image = _image(64, 128, [(20, 30)]).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_allclose(changed.predict(image).points_yx, [[44, 64]], atol=1e-5)


def test_what_pads_an_image_is_no_content(predictor):
    """60 x 190 px of trained 64 x 192 px fit 30 x 95 px of the 64 x 96 px window."""
    seen = []

    def spy(params, model_state, windows):
        seen.append((windows.content_hw.tolist(), windows.image[0, 31:].max()))
        return _find_dots(params, model_state, windows)

    spied = _change(predictor, spy, native_hw=[64, 192], resize="pad")
    spied.predict(_image(62, 192, []))
    assert seen == [([[31, 96]], 0)]


def test_cells_that_are_apart_survive_the_seams(predictor):
    """A column of cells 5 px apart crosses every seam; boxes are 20 px."""
    dots = [(y, 40) for y in range(1, 395, 5)]
    cells = _change(predictor, box_size=20.0).predict(_image(400, 96, dots))
    found = np.sort(cells.points_yx[:, 0])
    np.testing.assert_allclose(found, np.array(dots)[:, 0] + 2, atol=1e-5)
    assert (np.diff(cells.scores) <= 0).all()


def test_one_cell_on_a_seam_is_found_once(predictor):
    """Two tiles place it on either side, 1.5 px apart; a caller's margin keeps both."""
    changed = _change(predictor, _find_off_centre)
    image = _image(112, 96, [(54, 40)])  # its centre, 56, is the seam
    assert [t.own_yxyx[2] for t in changed.frame.place((112, 96)).tiles] == [56, 112]
    assert len(changed.predict(image).scores) == 1
    assert len(changed.predict(image, margin_px=8).scores) == 2


def test_cells_below_the_threshold_of_their_class_still_thin_out():
    """As in evaluation; 0.6 is too low for class 0, and hides 0.5 of class 1."""
    found = Cells(
        np.array([[10, 10], [10, 13], [40, 40]], np.float32),
        np.array([0.6, 0.5, 0.45], np.float32),
        np.array([0, 1, 1], np.int32),
        np.zeros((3, 2), np.float32),
    )
    for distance, left in ((0.0, [0.5, 0.45]), (4.0, [0.45])):
        decode = {"thresholds": [0.7, 0.4], "min_distance": distance}
        cells = predict.at_operating_point(found, decode)
        np.testing.assert_allclose(cells.scores, left)
        kept = predict.kept_cells(found, decode)
        np.testing.assert_allclose(found.scores[kept], left)
    half = predict.at_operating_point(found, decode, ratio=2.0)  # 2 px of this file
    np.testing.assert_allclose(half.scores, [0.5, 0.45])


def test_all_scores_are_those_that_the_thresholds_hide(predictor):
    """Dots of 4 and of 2 px score 1 and 0.25; the threshold is 0.7."""
    image = _image(64, 96, [(10, 20)]).copy()
    image[30:32, 40:42] = 0
    cut = predictor.model.at_threshold(0.7)
    assert cut.meta["decode"]["thresholds"] == [0.7] * len(cut.class_names)
    strict = dataclasses.replace(predictor, model=cut)

    def found(**options):
        ((_, cells),) = strict.predict_many([strict.scene(image)], **options)
        return cells

    assert found().scores.tolist() == [1.0]
    assert found(all_scores=True).scores.tolist() == [1.0, 0.25]
    assert found(all_scores=True).class_names == predictor.class_names


@pytest.mark.parametrize(("distance", "left"), [(0.0, 2), (3.0, 2), (3.5, 1)])
@pytest.mark.parametrize("margin_px", [0, 8])
def test_the_fitted_distance_holds_across_seams(predictor, distance, left, margin_px):
    """One cell that two tiles place 3 px apart."""
    changed = _change(predictor, functools.partial(_find_off_centre, shift=1.5))
    changed.model.meta["decode"]["min_distance"] = distance
    cells = changed.predict(_image(112, 96, [(54, 40)]), margin_px=margin_px)
    assert len(cells.scores) == left


def _find_off_centre(params, model_state, windows, shift=0.75):
    """Detects a cell `shift` px nearer to the middle of the tile than it is."""
    found = _find_dots(params, model_state, windows)
    middle = windows.image.shape[1] / 2
    moved = found.points_yx + shift * np.sign(middle - found.points_yx) * [1, 0]
    return found._replace(points_yx=moved)


def test_wide_margins_leave_room_for_tiles(predictor):
    """Boxes as large as a tile do not give a tile for each px."""
    assert len(_change(predictor, box_size=64.0).frame.place((300, 96)).tiles) < 10


def test_known_pixel_sizes_rescale(predictor):
    """At 0.25 um a 128 x 192 image is the training size; a dot of 8 px is one of 4."""
    image = _image(64, 96, [(10, 50)]).repeat(2, axis=0).repeat(2, axis=1)
    seen = []

    def spy(params, model_state, windows):
        seen.append(windows.image.shape)
        return _find_dots(params, model_state, windows)

    spied = dataclasses.replace(predictor, compiled=spy)
    spied.predict(image, mpp=0.25)
    assert seen == [(1, 64, 96, 3)]


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_what_is_no_image_is_refused(predictor, dtype):
    with pytest.raises(errors.DataError, match="is no image"):
        predictor.predict(np.zeros((8, 8, 3), dtype))


@pytest.mark.parametrize("mpp", [-0.5, 1e-4, float("nan")])
def test_what_is_no_pixel_size_is_refused(predictor, mpp):
    with pytest.raises(ValueError, match=r"0\.02 to 20"):
        predictor.predict(_image(64, 96, []), mpp=mpp)


def test_grey_images_are_repeated(predictor):
    image = _image(64, 96, [(10, 50)])
    assert len(predictor.predict(image[:, :, 0]).scores) == 1


def test_images_need_no_boxes_of_their_own(predictor):
    """As training on `data.boxes=annotated` does."""
    changed = _change(predictor, boxes="annotated")
    assert len(changed.predict(_image(64, 96, [(10, 50)])).scores) == 1


def test_16_bits_are_scaled_once_for_all_tiles(predictor):
    """Equal pixels are equal in every tile, however bright the rest of it is."""
    image = np.full((200, 96, 3), 1000, np.uint16)
    image[:64] = 50
    image[150:] = 40_000
    seen = []

    def spy(params, model_state, windows):
        seen.append(np.unique(windows.image))
        blank = windows._replace(image=np.ones_like(windows.image))
        return _find_dots(params, model_state, blank)

    dataclasses.replace(predictor, compiled=spy).predict(image)
    assert len(seen) > 2
    levels = np.unique(np.concatenate(seen))
    np.testing.assert_allclose(levels, [0, 950 / 39_950, 1], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "scale", "whole_hw", "tile_hw", "margin_px", "cells"),
    [
        # The receptive radius is 160 px; an anchor point each 16 px, none in padding.
        (":small", 1, (704, 640), (256, 256), 176, 44 * 40),
        (":small", 2, (704, 640), (256, 256), 176, 44 * 40),
        # Of the paper's network, narrow after its encoder, 352 px; 5 in 32 x 32 px.
        ("", 1, (64, 1024), (64, 256), 352, 5 * 2 * 32),
    ],
)
def test_tiles_of_matched_points_are_the_whole_image(
    rng, preset, scale, whole_hw, tile_hw, margin_px, cells
):
    """With batch norm, a margin of the receptive radius and sides of whole strides.

    Images are `scale` times as large as what the network sees of them.
    """
    experiment = methods.changed(
        methods.freeze(config_files.load(f"pdl1_point{preset}")),
        {
            "model.norm": "sync_batch",
            "model.max_detections": 4000,
            "model.channels": 32,
        },
    )
    method = methods.build(experiment, 2)
    state = start.make_state(experiment, method)

    def lower(path, leaf):  # else features double from block to block of many
        return 0.6 * leaf if path[-1].key == "scale" else leaf

    params = state.params if preset else jax.tree.map_with_path(lower, state.params)

    def make(size_hw):
        data = dataclasses.replace(experiment.data, size_hw=size_hw, crop_hw=(0, 0))
        made = model.Model(
            dataclasses.replace(experiment, data=data),
            method,
            params,
            state.model_state,
            {
                "class_names": ["a", "b"],
                "native_hw": [scale * side for side in size_hw],
                "mpp": 0.0,
                "decode": {"thresholds": [0.0, 0.0], "min_distance": 0.0},
            },
            1,
        )
        return predict.of(made)

    size = (*(scale * side for side in whole_hw), 3)
    image = rng.integers(0, 256, size).astype(np.uint8)
    whole = make(whole_hw).predict(image)
    tiled = make(tile_hw).predict(image, margin_px=scale * margin_px)
    placed = make(tile_hw).frame.place(image.shape[:2], margin_px=scale * margin_px)
    assert len(placed.tiles) > 1
    assert len(whole.scores) == cells
    away, pair = spatial.cKDTree(tiled.points_yx).query(whole.points_yx)
    assert len(np.unique(pair)) == len(tiled.scores) == cells
    assert away.max() < 1e-4 * scale
    assert np.ptp(whole.scores) > 0.01
    np.testing.assert_allclose(tiled.scores[pair], whole.scores, atol=1e-4)
