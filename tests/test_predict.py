"""Images of any size: whole, tiled, rescaled; seams and frames."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from cellrec_jax import config, errors, main, predict
from cellrec_jax.config import DataConfig, Experiment
from cellrec_jax.train import evaluate, model
from cellrec_jax.train.console import Console
from cellrec_jax.types import Detections, Method

DOT = 4  # side of a dark square that stands for a cell


def _find_dots(params, model_state, batch, decode):
    """Detects the middle of dark squares exactly, from the pixels alone."""
    del params, model_state, decode
    image = np.asarray(batch.image)[0, :, :, 0]
    rows, columns = np.nonzero(image == 0)
    starts = [
        (y, x)
        for y, x in zip(rows, columns, strict=True)
        if (y == 0 or image[y - 1, x]) and (x == 0 or image[y, x - 1])
    ]
    found = []
    for y, x in starts:  # cut squares are detected too, off their true centre
        height = next(i for i in range(9) if y + i >= image.shape[0] or image[y + i, x])
        width = next(i for i in range(9) if x + i >= image.shape[1] or image[y, x + i])
        found.append((y + height / 2, x + width / 2, min(height * width / 16, 1.0)))
    slots = np.zeros((1, 64, 3), np.float32)
    slots[0, : len(found)] = np.reshape(found, (-1, 3))
    mask = np.arange(64)[None] < len(found)
    order = np.argsort(-slots[0, :, 2], kind="stable")
    points = slots[:, order, :2]
    boxes = np.concatenate([points - 2, points + 2], axis=-1)
    scores = slots[:, order, 2]
    return Detections(
        points, scores, np.zeros((1, 64), np.int32), scores[..., None], mask, boxes
    )


@pytest.fixture
def predictor():
    data = DataConfig(size_hw=(64, 96), box_size=8.0, max_cells=1)
    made = model.Model(
        Experiment(data=data),
        Method(None, None, None),
        {},
        {},
        {
            "class_names": ["cell"],
            "native_hw": [64, 96],
            "mpp": 0.5,
            "decode": {"thresholds": [0.5], "min_distance": 0.0},
        },
        1,
    )
    return predict.Predictor(made, _find_dots)


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


@pytest.mark.parametrize(("margin_px", "largest"), [(0, (64, 96)), (20, (104, 104))])
def test_the_network_never_sees_more_than_a_tile(predictor, margin_px, largest):
    """However large the image is; a last tile may be longer by less than a stride."""
    seen = []

    def spy(params, model_state, batch, decode):
        seen.append(batch.image.shape[1:3])
        return _find_dots(params, model_state, batch, decode)

    method = predictor.model.method._replace(stride=16)
    made = dataclasses.replace(predictor.model, method=method)
    spied = dataclasses.replace(predictor, compiled=spy, model=made)
    spied.predict(_image(700, 1000, []), margin_px=margin_px)
    assert len(seen) > 50
    longer = 15 if margin_px else 0
    assert np.all(np.max(seen, axis=0) <= np.add(largest, longer))


def test_a_negative_margin_is_refused(predictor):
    with pytest.raises(ValueError, match="margin_px is -1: give 0 or more"):
        predictor.predict(_image(300, 400, []), margin_px=-1)


def test_a_margin_enlarges_and_aligns_the_tiles(predictor):
    """Tiles start where the features of the whole image do, and none is padded."""
    seen = []

    def spy(params, model_state, batch, decode):
        seen.append(np.asarray(batch.image)[0, :, :, 0])
        return _find_dots(params, model_state, batch, decode)

    method = predictor.model.method._replace(stride=16)
    made = dataclasses.replace(predictor.model, method=method)
    spied = dataclasses.replace(predictor, compiled=spy, model=made)
    dots = [(y, x) for y in range(3, 296, 17) for x in range(5, 396, 23)]
    image = _image(300, 400, dots)
    cells = spied.predict(image, margin_px=30)
    assert len(cells.scores) == len(dots)
    for tile in seen:
        height, width = tile.shape
        assert min(height, width) >= 2 * 30
        assert any(
            np.array_equal(image[y : y + height, x : x + width, 0], tile)
            for y in range(0, 301 - height, 16)
            for x in range(0, 401 - width, 16)
        )


def test_known_pixel_sizes_rescale(predictor):
    """At 0.25 um a 128 x 192 image is the training size; a dot of 8 px is one of 4."""
    image = _image(64, 96, [(10, 50)]).repeat(2, axis=0).repeat(2, axis=1)
    seen = []

    def spy(params, model_state, batch, decode):
        seen.append(batch.image.shape)
        return _find_dots(params, model_state, batch, decode)

    spied = dataclasses.replace(predictor, compiled=spy)
    spied.predict(image, mpp=0.25)
    assert seen == [(1, 64, 96, 3)]


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_what_is_no_image_is_refused(predictor, dtype):
    with pytest.raises(errors.DataError, match="is no image"):
        predictor.predict(np.zeros((8, 8, 3), dtype))
    with pytest.raises(errors.DataError, match="is no image"):
        predictor.predict(np.zeros((8, 8, 4), np.uint8))


def test_grey_images_are_repeated(predictor):
    image = _image(64, 96, [(10, 50)])
    assert len(predictor.predict(image[:, :, 0]).scores) == 1


def test_find_inputs(tmp_path):
    for name in ("2.png", "10.png"):
        Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("")
    names = [p.name for p in predict.find_inputs(str(tmp_path))]
    assert names == ["2.png", "10.png"]
    assert len(predict.find_inputs(str(tmp_path / "*.png"))) == 2
    assert len(predict.find_inputs(str(tmp_path / "2.png"))) == 1
    with pytest.raises(errors.DataError, match="no images there"):
        predict.find_inputs(str(tmp_path / "*.tif"))


def test_files_are_written_and_bad_ones_reported(predictor, tmp_path):
    Image.fromarray(_image(64, 96, [(10, 50)])).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    failed = predict.predict_files(
        predictor,
        [tmp_path / "a.png", tmp_path / "b.png"],
        tmp_path / "out",
        Console(quiet=True),
    )
    assert len(failed) == 1
    assert "b.png" in failed[0]
    lines = (tmp_path / "out" / "detections.csv").read_text().splitlines()
    assert lines == ["image,x,y,score,class", "a.png,52.0,12.0,1.0,cell"]


def test_names_that_differ_by_a_slash_are_two_files(predictor, tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("a/b.png", "a_b.png"):
        Image.fromarray(_image(64, 96, [(10, 50)])).save(tmp_path / name)
    paths = predict.find_inputs(str(tmp_path))
    out = tmp_path / "out"
    predict.predict_files(predictor, paths, out, Console(quiet=True))
    assert len(list(out.rglob("*.geojson"))) == len(list(out.rglob("*.png"))) == 2


def test_twins_at_a_seam_become_one():
    cells = predict.Cells(
        np.array([[0, 0], [0, 1], [0, 5.5], [0, 1.5]], np.float32),
        np.array([0.5, 0.9, 0.7, 0.8], np.float32),
        np.zeros(4, np.int32),
        np.zeros((4, 1), np.float32),
        None,
    )
    kept = predict._drop_twins(cells, np.array([0, 1, 0, 2]), 2.0)
    assert kept.scores.tolist() == pytest.approx([0.9, 0.7])
    assert jnp.asarray(kept.points_yx).shape == (2, 2)


def test_neighbours_of_one_tile_both_stay():
    """The model told them apart; only a cell of another tile can be the same one."""
    cells = predict.Cells(
        np.array([[0, 0], [0, 1], [0, 0.5]], np.float32),
        np.array([0.5, 0.9, 0.4], np.float32),
        np.zeros(3, np.int32),
        np.zeros((3, 1), np.float32),
        None,
    )
    kept = predict._drop_twins(cells, np.array([0, 0, 1]), 2.0)
    assert kept.scores.tolist() == pytest.approx([0.9, 0.5])


def test_16_bits_are_scaled_once_for_all_tiles(predictor):
    """Equal pixels are equal in every tile, however bright the rest of it is."""
    image = np.full((200, 96, 3), 1000, np.uint16)
    image[:64] = 50
    image[150:] = 40_000
    seen = []

    def spy(params, model_state, batch, decode):
        seen.append(np.unique(batch.image))
        blank = batch._replace(image=np.ones_like(batch.image))
        return _find_dots(params, model_state, blank, decode)

    dataclasses.replace(predictor, compiled=spy).predict(image)
    assert len(seen) > 2
    levels = np.unique(np.concatenate(seen))
    np.testing.assert_allclose(levels, [0, 950 / 39_950, 1], atol=1e-4)


@pytest.mark.slow
def test_tiles_of_matched_points_are_the_whole_image(rng):
    """With batch norm and a margin of the receptive radius (160 px here)."""
    experiment = config.freeze(main.load_config("pdl1_point:small"))
    changed = {**experiment.model, "norm": "sync_batch", "max_detections": 4000}
    experiment = dataclasses.replace(
        experiment,
        model=changed,
        data=dataclasses.replace(experiment.data, size_hw=(256, 256)),
    )
    method = model.build_method(experiment, 2)
    state, _ = model.make_state(experiment, method)
    made = model.Model(
        experiment,
        method,
        state.params,
        state.model_state,
        {
            "class_names": ["a", "b"],
            "native_hw": [256, 256],
            "mpp": 0.0,
            "decode": {"thresholds": [0.0, 0.0], "min_distance": 0.0},
        },
        1,
    )
    predictor = predict.Predictor(made, evaluate.jit_predict(method))
    image = rng.integers(0, 256, (700, 610, 3)).astype(np.uint8)
    whole = predictor._predict_tile(image, (700, 610))
    tiled = predictor._predict_tiles(image, 176)
    assert len(whole.scores) == 44 * 38  # an anchor point each 16 px, none in padding
    order, again = (np.lexsort(cells.points_yx.T) for cells in (whole, tiled))
    np.testing.assert_allclose(
        tiled.points_yx[again], whole.points_yx[order], atol=1e-3
    )
    np.testing.assert_allclose(tiled.scores[again], whole.scores[order], atol=1e-4)
