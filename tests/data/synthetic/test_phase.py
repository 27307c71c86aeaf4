import numpy as np
import pytest
from scipy import ndimage

from cellrec_jax import geometry
from cellrec_jax.data import record
from cellrec_jax.data.synthetic import phase as synthetic_phase
from cellrec_jax.data.synthetic import phase_layout as synthetic_phase_layout

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


@pytest.fixture(scope="module")
def film() -> synthetic_phase.Film:
    return synthetic_phase.make_sequence(3, 1, 5, kind="hsc", size_hw=SIZE_HW)


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


def test_a_sequence_begins_with_the_image(images, film):
    image = images["hsc"][1]
    np.testing.assert_array_equal(film.records[0].image, image.image)
    np.testing.assert_array_equal(film.records[0].points_yx, image.points_yx)
    short = synthetic_phase.make_sequence(3, 1, 2, kind="hsc", size_hw=SIZE_HW)
    np.testing.assert_array_equal(short.records[1].image, film.records[1].image)


def test_a_sequence_keeps_its_cells(film):
    num_cells = len(film.records[0].points_yx)
    assert film.tracks_yx.shape == (5, num_cells, 2)
    assert [made.image_id for made in film.records] == [f"1/{i}" for i in range(5)]
    assert {made.group for made in film.records} == {"1"}
    for made, track_yx in zip(film.records, film.tracks_yx, strict=True):
        np.testing.assert_array_equal(made.points_yx, track_yx)
        own = made.masks[tuple(geometry.point_to_pixel(track_yx).T)]
        np.testing.assert_array_equal(own, np.arange(1, num_cells + 1))
    first, last = (np.bincount(film.records[i].masks.ravel()) for i in (0, -1))
    # Sizes stay with the identities, but for cells that the border or others cut.
    assert np.median(np.abs(last / first - 1)[1:]) < 0.1


def test_cells_move_but_not_far(film):
    ways = np.linalg.norm(np.diff(film.tracks_yx, axis=0), axis=-1)
    speed = synthetic_phase_layout.PRESETS["hsc"].speed_px
    assert ways.max() <= 4 * speed + 1e-3
    assert 0.3 * speed < np.median(ways) < 2 * speed
    # Of two frames the nearest cell is mostly the same one: the film can be tracked.
    before, after = film.tracks_yx[:2]
    gaps = np.linalg.norm(before[:, None] - after[None], axis=-1)
    assert (gaps.argmin(axis=1) == np.arange(len(before))).mean() > 0.95
