"""A blob filter finds brown and blue discs; nothing is trained."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors, methods
from cellrec_jax.methods.blob_filter import method as blob_filter
from cellrec_jax.types import Batch, Decode

SIZE_HW = (64, 96)
CELLS_YX = np.array([[20.5, 24.5], [44.5, 60.5], [18.5, 70.5], [46, 20]], np.float32)
LABELS = np.array([1, 0, 1, 0], np.int32)  # 1 is brown
BLUE, BROWN = 0.5 * np.array([0.65, 0.70, 0.29]), 0.7 * np.array([0.27, 0.57, 0.78])
MODEL = blob_filter.ModelOptions(max_detections=6)
METHOD = blob_filter.make(blob_filter.Options(MODEL), num_classes=2)


@pytest.fixture
def images(rng):
    """One image with four nuclei of 12 px, one of a single value."""
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] + 0.5
    density = 0.05 + rng.normal(0, 0.002, (*SIZE_HW, 3))
    for (cy, cx), label in zip(CELLS_YX, LABELS, strict=True):
        density[np.hypot(y - cy, x - cx) <= 6] += BROWN if label else BLUE
    both = np.stack([10.0**-density, np.full((*SIZE_HW, 3), 0.9)])
    return np.clip(both, 0, 1).astype(np.float32)


def _batch(images, labels=LABELS, box_px=12.0):
    """The first image with its cells and a padded slot, the others without."""
    num = len(images)
    points_yx = np.tile(np.vstack([CELLS_YX, [[1e6, -3]]]), (num, 1, 1))
    mask = np.zeros((num, 5), bool)
    mask[0, :4] = True
    half = np.float32(box_px / 2)
    return Batch(
        image=images,
        image_mask=np.ones(num, bool),
        points_yx=points_yx.astype(np.float32),
        labels=np.tile(np.append(labels, -1), (num, 1)).astype(np.int32),
        points_mask=mask,
        boxes_yxyx=np.concatenate([points_yx - half, points_yx + half], axis=-1),
        valid=np.ones(images.shape[:3], bool),
        example_index=np.arange(num, dtype=np.int32),
    )


def _decode(threshold=0.0, distance=0.0):
    return Decode(jnp.full(2, threshold), jnp.float32(distance))


@pytest.mark.parametrize("labels", [LABELS, 1 - LABELS])
def test_cells_and_their_classes_are_found(images, labels):
    batch = _batch(images, labels)
    params, line = METHOD.traits.fit(batch, 4.0)
    assert "20 filters on 2 images: signal stains" in line
    assert "F1 1.000" in line
    assert f"class {labels[0]} has more than" in line
    assert "100.0%" in line
    found = METHOD.predict(params, {}, batch, _decode(0.5))
    found = jax.tree.map(np.asarray, found)
    assert found.mask.sum(axis=1).tolist() == [4, 0]
    gaps = np.linalg.norm(found.points_yx[0, :4, None] - CELLS_YX, axis=-1)
    assert gaps.min(axis=1).max() < 1.5
    assert found.labels[0, :4].tolist() == labels[gaps.argmin(axis=1)].tolist()
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert ((found.scores >= 0) & (found.scores < 1)).all()
    np.testing.assert_allclose(found.class_probs.sum(axis=-1), found.scores)
    assert (found.class_probs.argmax(axis=-1) == found.labels)[found.mask].all()
    # The least response that counts on the training images has a score of a half.
    assert found.scores[0, 3] == pytest.approx(0.5, abs=1e-6)


def test_one_class_needs_no_brown(images):
    batch = _batch(images, np.zeros(4, np.int32))
    method = blob_filter.make(blob_filter.Options(MODEL), num_classes=1)
    params, line = method.traits.fit(batch, 4.0)
    assert "DAB" not in line
    decode = Decode(jnp.full(1, 0.5), jnp.zeros(()))
    found = method.predict(params, {}, batch, decode)
    assert found.mask.sum(axis=1).tolist() == [4, 0]
    assert found.class_probs.shape == (2, 6, 1)


def test_auto_finds_bright_cells(images):
    batch = _batch(0.2 + 0.8 * (1 - images), np.zeros(4, np.int32))
    model = dataclasses.replace(MODEL, signal="auto")
    method = blob_filter.make(blob_filter.Options(model), num_classes=1)
    _, line = method.traits.fit(batch, 4.0)
    assert "80 filters" in line
    assert "signal light" in line
    assert "F1 1.000" in line


def test_sizes_follow_the_boxes(images):
    """Boxes of twice the cells' size: half of it is among what is tried."""
    for box_px, sigma in ((12.0, 12 / 8**0.5), (24.0, 12 / 8**0.5)):
        model = dataclasses.replace(MODEL, scales=(0.5, 1.0))
        fit = blob_filter.make(blob_filter.Options(model), num_classes=2).traits.fit
        params, _ = fit(_batch(images, box_px=box_px), 4.0)
        assert float(params["sigma"]) in (
            pytest.approx(sigma),
            pytest.approx(sigma * box_px / 24),
        )


def test_masks_thresholds_and_distances_drop_detections(images):
    batch = _batch(images)
    params, _ = METHOD.traits.fit(batch, 4.0)
    assert not METHOD.predict(params, {}, batch, _decode(0.999)).mask.any()
    filler = batch._replace(image_mask=np.zeros(2, bool))
    assert not METHOD.predict(params, {}, filler, _decode()).mask.any()
    # The cells of the left half are 25.9 px apart, the others' nearest 27.9.
    apart = METHOD.predict(params, {}, batch, _decode(0.5, 27.0))
    assert np.asarray(apart.mask).sum() == 3


def test_garbage_outside_of_the_valid_region_changes_nothing(images, rng):
    """Neither what is found nor the brown of cells beside it."""
    border = ((0, 0), (0, 12), (0, 8))
    fills = [
        np.pad(images, (*border, (0, 0)), constant_values=value) for value in (0, 1)
    ]
    fills[1][:, SIZE_HW[0] :] = rng.random((2, 12, SIZE_HW[1] + 8, 3))
    valid = np.pad(np.ones(images.shape[:3], bool), border)
    batches = [_batch(fill)._replace(valid=valid) for fill in fills]
    found = [METHOD.traits.fit(batch, 4.0) for batch in batches]
    assert found[0] == found[1]
    first, second = (METHOD.predict(found[0][0], {}, b, _decode()) for b in batches)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    nothing = batches[0]._replace(valid=np.zeros_like(valid))
    assert not METHOD.predict(found[0][0], {}, nothing, _decode()).mask.any()


def test_init_has_what_a_fit_gives(images):
    params, state = METHOD.init(jax.random.key(0), jnp.asarray(images))
    fitted, _ = METHOD.traits.fit(_batch(images), 4.0)
    assert params.keys() == fitted.keys()
    assert all(leaf.dtype == jnp.float32 for leaf in params.values())
    assert state == {}
    METHOD.predict(params, state, _batch(images), _decode())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.zeros((2, 5), np.int32)}, r"no .*cell of class 1.*cell=a\+b"),
        ({"points_mask": np.zeros((2, 5), bool)}, "no image has a cell"),
        ({"image": np.full((2, *SIZE_HW, 3), 0.5, np.float32)}, "4 cells.*box_size"),
    ],
)
def test_what_cannot_be_searched_is_refused(images, changes, message):
    with pytest.raises(errors.DataError, match=message):
        METHOD.traits.fit(_batch(images)._replace(**changes), 4.0)


def test_more_than_two_classes_are_refused():
    fields = {"method": "blob_filter", "model": {}, "loss": {}}
    with pytest.raises(errors.ConfigError, match=r"not 3: .*classes=cell=a\+b"):
        methods.build(methods.freeze(fields), 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signal": "blue"}, "model.signal=blue: choose one of auto, .*stains"),
        ({"scales": ()}, "model.scales has nothing to try"),
        ({"scales": (0.5, 0.0)}, "model.scales=0.5,0.0 must be more than 0"),
        ({"distances": ()}, "model.distances has nothing to try"),
    ],
)
def test_impossible_options_name_the_flag(changes, message):
    with pytest.raises(errors.ConfigError, match=message):
        blob_filter.ModelOptions(**changes)


def test_there_is_no_loss():
    with pytest.raises(errors.ConfigError, match="not trained by gradients"):
        METHOD.loss_fn()
