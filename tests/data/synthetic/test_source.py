import dataclasses

import numpy as np
import pytest
from scipy import ndimage, spatial

from cellrec_jax import errors, geometry
from cellrec_jax.config.data import KINDS
from cellrec_jax.data import record
from cellrec_jax.data.synthetic import cytoplasm as synthetic_cytoplasm
from cellrec_jax.data.synthetic import membrane as synthetic_membrane
from cellrec_jax.data.synthetic import phase as synthetic_phase
from cellrec_jax.data.synthetic import source as synthetic
from cellrec_jax.data.synthetic import stain as synthetic_stain

SIZE_HW = (200, 280)


@pytest.fixture(scope="module")
def images() -> list[record.Record]:
    return [synthetic.make_image(3, index, size_hw=SIZE_HW) for index in range(6)]


def own_ids(image: record.Record) -> np.ndarray:
    """Instance ids under the points."""
    return image.masks[tuple(geometry.point_to_pixel(image.points_yx).T)]


@pytest.fixture(scope="module", params=synthetic.KINDS)
def made(request) -> tuple[str, record.Source, list[record.Record]]:
    """A set of each kind and its images of 120 x 150 px."""
    source = synthetic.open_source(3, (120, 150), seed=3, kind=request.param)
    return request.param, source, list(map(source.load, source.image_ids))


def test_fields_of_every_kind(made):
    kind, source, images = made
    phase = kind in synthetic_phase.KINDS
    assert kind in KINDS  # the configuration's
    for index, image in enumerate(images):
        num_cells = len(image.points_yx)
        assert (image.image_id, image.group) == (str(index), "")
        assert image.image.dtype == (np.uint16 if phase else np.uint8)
        assert image.image.shape == (120, 150, 3)
        assert image.image.max() <= 4095
        assert (image.masks.dtype, image.masks.shape) == (np.int32, (120, 150))
        assert image.points_yx.dtype == np.float32
        assert (image.labels.dtype, image.labels.shape) == (np.int32, (num_cells,))
        assert set(image.labels) <= set(range(len(source.class_names)))
        assert geometry.inside(image.points_yx, (120, 150)).all()
        assert phase or image.mpp == synthetic.MPP == synthetic_membrane.MPP
        np.testing.assert_array_equal(own_ids(image), np.arange(1, num_cells + 1))


def test_an_image_depends_on_kind_seed_and_index_alone(made):
    kind, source, images = made
    synthetic.make_image(99, 0, size_hw=(64, 48))
    again = source.load("2")
    for field in dataclasses.fields(again):
        np.testing.assert_array_equal(
            getattr(again, field.name), getattr(images[2], field.name)
        )
    other = synthetic.open_source(3, (120, 150), seed=4, kind=kind).load("2")
    assert len({image.image.tobytes() for image in [*images, other]}) == 4


@pytest.mark.parametrize("kind", synthetic.KINDS)
def test_smallest_size(kind):
    source = synthetic.open_source(4, (32, 33), seed=0, kind=kind)
    for image in map(source.load, source.image_ids):
        assert len(image.points_yx) >= 1
        assert geometry.inside(image.points_yx, (32, 33)).all()
        np.testing.assert_array_equal(
            own_ids(image), np.arange(1, len(image.labels) + 1)
        )


def test_masks_belong_to_the_points(images):
    for image in images:
        ids = np.arange(1, len(image.points_yx) + 1)
        np.testing.assert_array_equal(own_ids(image), ids)
        np.testing.assert_array_equal(np.unique(image.masks), [0, *ids])


def test_points_are_centroids_of_free_masks(images):
    """A nucleus that touches neither another nor the border shows its whole outline."""
    checked = 0
    for image in images:
        padded = np.pad(image.masks, 1, constant_values=-1)
        boxes = ndimage.find_objects(image.masks)
        for index, (rows, columns) in enumerate(boxes):
            around = padded[
                rows.start : rows.stop + 2, columns.start : columns.stop + 2
            ]
            if not np.isin(around, (0, index + 1)).all():
                continue
            center_yx = np.argwhere(image.masks == index + 1).mean(0) + 0.5
            np.testing.assert_allclose(center_yx, image.points_yx[index], atol=0.35)
            checked += 1
    assert checked > 20


def test_positive_cells_are_browner(images):
    stains = np.stack([synthetic_stain.HAEMATOXYLIN_RGB, synthetic_stain.DAB_RGB])
    dab = {0: [], 1: []}
    for image in images:
        density = -np.log10((image.image.astype(float) + 1) / 230)
        unmixed = density @ np.linalg.pinv(stains)
        ids = np.arange(1, len(image.labels) + 1)
        means = ndimage.mean(unmixed[..., 1], image.masks, ids)
        for label in (0, 1):
            dab[label].extend(means[image.labels == label])
    assert np.median(dab[0]) > np.median(dab[1]) + 0.25
    # By brownness alone the classes part well but not fully, as on real slides.
    right = np.mean(np.array(dab[0])[:, None] > np.array(dab[1])[None])
    assert 0.95 < right <= 1


def test_cells_grow_as_micrometres_per_px_fall():
    areas = [
        np.median(np.bincount(image.masks.ravel())[1:]) * mpp**2
        for mpp in (0.25, 0.5)
        for image in [synthetic.make_image(1, 2, size_hw=(300, 400), mpp=mpp)]
    ]
    # Half axes of about 4 um: some 50 square micrometres at any resolution.
    assert all(30 < area < 90 for area in areas)


def test_overlapping_cells_and_uneven_stain_exist(images):
    radii = [np.sqrt(np.bincount(image.masks.ravel())[1:] / np.pi) for image in images]
    touching = 0
    for image, radius in zip(images, radii, strict=True):
        for a, b in spatial.cKDTree(image.points_yx).query_pairs(40):
            gap = np.linalg.norm(image.points_yx[a] - image.points_yx[b])
            touching += gap < radius[a] + radius[b]
    assert touching >= 3
    assert np.std([image.image.mean() for image in images]) > 3
    assert np.quantile(np.concatenate(radii), 0.9) > 1.3 * np.quantile(
        np.concatenate(radii), 0.1
    )


def test_class_names():
    for kind, names in (
        ("membrane", synthetic_membrane.CLASS_NAMES),
        ("cytoplasm", synthetic_cytoplasm.CLASS_NAMES),
        ("hsc", ("cell",)),
    ):
        assert synthetic.open_source(1, (40, 64), 5, kind=kind).class_names == names


def test_source():
    source = synthetic.open_source(12, (40, 64), seed=5)
    assert source.format == "synthetic"
    assert source.class_names == ("positive", "negative")
    assert source.image_ids == tuple(str(i) for i in range(12))
    np.testing.assert_array_equal(
        source.load("11").image, synthetic.make_image(5, 11, size_hw=(40, 64)).image
    )
    with pytest.raises(errors.DataError, match="no synthetic image '12'"):
        source.load("12")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "ki67"}, r"data\.synthetic_kind is 'ki67'"),
        ({"num_images": 0}, "at least 1 image"),
        ({"seed": -1}, "seed of at least 0"),
        ({"size_hw": (31, 64)}, "size 31x64 px is too small"),
    ],
)
def test_impossible_sources(options, message):
    options = {"num_images": 2, "size_hw": (64, 48), "seed": 0} | options
    with pytest.raises(errors.ConfigError, match=message):
        synthetic.open_source(**options)
