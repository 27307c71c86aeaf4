import numpy as np
import pytest
from scipy import ndimage

from cellrec_jax import errors, geometry
from cellrec_jax.data import record
from cellrec_jax.data.synthetic import phase as synthetic_phase

SIZE_HW = (224, 300)


@pytest.fixture(scope="module")
def images() -> dict[str, list[record.Record]]:
    return {
        kind: [
            synthetic_phase.make_image(3, index, kind=kind, size_hw=SIZE_HW)
            for index in range(4)
        ]
        for kind in synthetic_phase.KINDS
    }


def free_ids(image: record.Record) -> list[int]:
    """Cells that touch neither another nor the border, so that all of them shows."""
    padded = np.pad(image.masks, 1, constant_values=-1)
    near = [
        np.unique(ndimage.maximum_filter(padded == index + 1, 3) * padded)
        for index in range(len(image.labels))
    ]
    return [index for index, ids in enumerate(near) if set(ids) <= {0, index + 1}]


def test_points_are_centroids_of_free_round_cells(images):
    gaps = [
        np.argwhere(image.masks == index + 1).mean(0) + 0.5 - image.points_yx[index]
        for image in images["hsc"]
        for index in free_ids(image)
    ]
    assert len(gaps) > 10
    assert np.median(np.abs(gaps)) < 0.4
    assert np.abs(np.mean(gaps, axis=0)).max() < 0.35
    # Bodies of the few stars are less regular.
    assert np.quantile(np.abs(gaps), 0.9) < 1.0


def test_points_lie_in_the_thick_of_free_spindles(images):
    shares = []
    for image in images["c2c12"]:
        for index in free_ids(image):
            depth = ndimage.distance_transform_edt(image.masks == index + 1)
            pixel = geometry.point_to_pixel(image.points_yx[index : index + 1])[0]
            shares.append(depth[tuple(pixel)] / depth.max())
    assert len(shares) > 10
    assert np.median(shares) > 0.85
    assert min(shares) > 0.6


def test_cells_are_darker_than_their_halos(images):
    """Bodies are dark and halos brighter than the ground, except those in mitosis.

    By negative contrast it is the other way round.
    """
    for kind, made in images.items():
        bodies, halos = [], []
        for image in made:
            pixels = image.image[..., 0].astype(np.float64)
            far = ndimage.distance_transform_edt(image.masks == 0)
            ground = np.median(pixels[far > 10])
            for index in free_ids(image):
                outside = ndimage.distance_transform_edt(image.masks != index + 1)
                bodies.append(np.median(pixels[outside == 0]) / ground)
                halos.append(np.median(pixels[(outside > 1) & (outside < 3)]) / ground)
        bodies, halos = np.array(bodies), np.array(halos)
        if kind == "hsc_bright":
            assert np.median(bodies) > 1.2
            assert np.median(halos) < 0.95
            assert (halos < bodies).mean() > 0.95
            continue
        dark = bodies < 1
        assert dark.mean() > 0.75
        assert np.median(bodies[dark]) < 0.75
        assert np.median(halos[dark]) > 1.05
        assert (halos[dark] > bodies[dark]).mean() > 0.95


def test_kinds_differ_in_shape(images):
    """C2C12-like: 40 to 60 px long, narrow. HSC-like: discs of about 20 px."""
    lengths, ratios = {}, {}
    for kind, made in images.items():
        axes = []
        for image in made:
            for index in free_ids(image):
                pixels = np.argwhere(image.masks == index + 1)
                axes.append(4 * np.sqrt(np.linalg.eigvalsh(np.cov(pixels.T))))
        short, long = np.array(axes).T
        lengths[kind], ratios[kind] = np.median(long), np.median(long / short)
    assert 35 < lengths["c2c12"] < 62
    assert 17 < lengths["hsc"] < 23
    assert ratios["hsc"] < 1.2 < 1.8 < ratios["c2c12"]


def test_another_kind_is_refused():
    with pytest.raises(errors.ConfigError, match="no kind 'mdck'; give c2c12 or hsc"):
        synthetic_phase.make_image(0, 0, kind="mdck")
