"""Image processing finds dark discs; nothing is trained."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors, methods
from cellrec_jax.methods.vicar import method as vicar
from cellrec_jax.types import Batch, Decode

SIZE_HW = (36, 48)
CELLS_YX = np.array([[10.5, 13.0], [26.0, 15.5], [15.5, 36.0]], np.float32)
MODEL = vicar.ModelOptions(
    threshold=(10.0, 0.05),
    min_area_px=(30.0,),
    max_hole_px=(5.0,),
    h_px=(1.0,),
    max_detections=5,
)
METHOD = vicar.make(vicar.Options(MODEL), num_classes=1)


@pytest.fixture
def images(rng):
    """One frame with three cells, one of a single value."""
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] + 0.5
    grey = 0.6 + rng.normal(0, 0.01, SIZE_HW)
    for cy, cx in CELLS_YX:
        grey[np.hypot(y - cy, x - cx) < 5] -= 0.35
    both = np.stack([grey, np.full(SIZE_HW, 0.5)])
    return np.repeat(both[..., None], 3, axis=-1).astype(np.float32)


def _batch(images, points_yx=None, masks=None):
    empty = np.zeros((len(images), 0), np.float32)
    points_yx = np.zeros((len(images), 0, 2)) if points_yx is None else points_yx
    return Batch(
        image=images,
        image_mask=np.ones(len(images), bool),
        points_yx=points_yx.astype(np.float32),
        labels=empty.astype(np.int32),
        points_mask=empty.astype(bool) if masks is None else masks,
        boxes_yxyx=np.zeros((len(images), 0, 4), np.float32),
        valid=_valid(images),
        example_index=np.arange(len(images), dtype=np.int32),
    )


def _valid(images):
    return np.ones(images.shape[:3], bool)


def _decode(threshold=0.0):
    return Decode(jnp.full(1, threshold), jnp.zeros(()))


@pytest.mark.parametrize("labels", ["given", "sampled"])
def test_fit_and_predict(images, labels):
    options = vicar.Options(dataclasses.replace(MODEL, search_labels=labels))
    method = vicar.make(options, num_classes=1)
    points_yx = np.stack([np.vstack([CELLS_YX, [[1e9, -3]]])] * 2)
    masks = np.array([[True, True, True, False], [False] * 4])
    params, line = method.traits.fit(_batch(images, points_yx, masks), 4.0)
    assert "2 combinations on 2 images: threshold 0.05" in line
    assert "chosen by F1" not in line
    found = method.predict(params, {}, _batch(images), _decode(0.5))
    assert found.mask.tolist() == [[True] * 3 + [False] * 2, [False] * 5]
    order = np.argsort(found.points_yx[0, :3, 0])
    expected = CELLS_YX[np.argsort(CELLS_YX[:, 0])]
    np.testing.assert_allclose(found.points_yx[0, :3][order], expected, atol=1.0)
    assert all(np.isfinite(leaf).all() for leaf in found if leaf is not None)
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_fit_says_when_another_rule_chose(images):
    points_yx = np.array([[[10.5, 13.0], [33.0, 45.0]]] * 2, np.float32)
    masks = np.array([[True, True], [False, False]])
    params, line = METHOD.traits.fit(_batch(images, points_yx, masks), 4.0)
    assert params["threshold"] == np.float32(0.05)
    assert "chosen by F1, since no combination finds two of the points" in line


def test_masks_and_thresholds_drop_detections(images):
    params = {"threshold": 0.05, "min_area_px": 30, "max_hole_px": 5, "h_px": 1}
    batch = _batch(images)
    assert METHOD.predict(params, {}, batch, _decode()).mask.sum() == 3
    assert not METHOD.predict(params, {}, batch, _decode(0.999)).mask.any()
    filler = batch._replace(image_mask=np.zeros(2, bool))
    assert not METHOD.predict(params, {}, filler, _decode()).mask.any()


def test_garbage_outside_of_the_valid_region_changes_nothing(images, rng):
    """What fills up is taken for the median, and holds no cells."""
    valid = np.pad(_valid(images), ((0, 0), (0, 12), (0, 8)))
    fills = [
        np.pad(images, ((0, 0), (0, 12), (0, 8), (0, 0)), constant_values=value)
        for value in (0.0, 1.0)
    ]
    fills[1][:, SIZE_HW[0] :, :, :] = rng.random((2, 12, SIZE_HW[1] + 8, 3))
    points_yx, masks = np.stack([CELLS_YX] * 2), np.array([[True] * 3, [False] * 3])
    annotated = [_batch(fill, points_yx, masks) for fill in fills]
    annotated = [batch._replace(valid=valid) for batch in annotated]
    found = [METHOD.traits.fit(batch, 4.0) for batch in annotated]
    assert found[0] == found[1]
    assert "F1 1.000" in found[0][1]
    batches = [_batch(fill)._replace(valid=valid) for fill in fills]
    first, second = (METHOD.predict(found[0][0], {}, b, _decode()) for b in batches)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    assert np.asarray(first.mask).sum(axis=1).tolist() == [3, 0]


def test_nothing_valid_is_nothing_found(images):
    batch = _batch(images)._replace(valid=~_valid(images))
    params, _ = METHOD.init(jax.random.key(0), jnp.asarray(images))
    assert not METHOD.predict(params, {}, batch, _decode()).mask.any()


def test_init_holds_four_values():
    params, state = jax.eval_shape(METHOD.init, jax.random.key(0), jnp.zeros(4))
    assert set(params) == {"threshold", "min_area_px", "max_hole_px", "h_px"}
    assert all(leaf.dtype == jnp.float32 for leaf in params.values())
    assert state == {}


def test_several_classes_are_refused():
    with pytest.raises(errors.ConfigError, match=r"classes=cell=a\+b"):
        methods.build(methods.freeze({"method": "vicar", "model": {}, "loss": {}}), 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search_labels": "all"}, "model.search_labels=all.*sampled"),
        ({"h_px": ()}, "model.h_px has nothing to try"),
    ],
)
def test_impossible_options_name_the_flag(changes, message):
    with pytest.raises(errors.ConfigError, match=message):
        vicar.ModelOptions(**changes)
