import numpy as np
import pytest
from scipy import ndimage

from cellrec_jax.data import record
from cellrec_jax.data.synthetic import membrane as synthetic_membrane
from cellrec_jax.data.synthetic import stain as synthetic_stain

SIZE_HW = (240, 330)


@pytest.fixture(scope="module")
def images() -> list[record.Record]:
    return [
        synthetic_membrane.make_image(3, index, size_hw=SIZE_HW) for index in range(5)
    ]


def stains(image: record.Record) -> np.ndarray:
    """Optical densities of haematoxylin and DAB, [H, W, 2]."""
    rows = np.stack([synthetic_stain.HAEMATOXYLIN_RGB, synthetic_stain.DAB_RGB])
    density = -np.log10((image.image.astype(float) + 1) / 230)
    return density @ np.linalg.pinv(rows)


def test_all_classes_occur(images):
    counts = np.sum([np.bincount(image.labels, minlength=4) for image in images], 0)
    assert len(counts) == len(synthetic_membrane.CLASS_NAMES) == 4
    assert (counts > 10).all()


def test_colour_and_size_tell_the_classes(images):
    """Brown in a band around the nucleus: positive. A large nucleus: tumour."""
    brown, area, labels = [], [], []
    for image in images:
        dab = stains(image)[..., 1]
        far, (rows, columns) = ndimage.distance_transform_edt(
            image.masks == 0, return_indices=True
        )
        near = np.where((far > 2) & (far < 14), image.masks[rows, columns], 0)
        ids = np.arange(1, len(image.labels) + 1)
        brown += [
            np.quantile(dab[near == i], 0.8) if (near == i).any() else 0 for i in ids
        ]
        area += np.bincount(image.masks.ravel(), minlength=len(ids) + 1)[1:].tolist()
        labels += image.labels.tolist()
    labels = np.array(labels)
    for values, first in ((brown, labels % 2 == 0), (area, labels < 2)):
        values = np.array(values)
        above = values[first][:, None] > values[~first][None]
        assert 0.85 < above.mean() < 1  # well, but not fully


def test_tumor_cells_form_nests_and_immune_cells_do_not(images):
    same = []
    for image in images:
        gaps = np.linalg.norm(image.points_yx[:, None] - image.points_yx[None], axis=-1)
        np.fill_diagonal(gaps, np.inf)
        tumor = image.labels < 2
        same.append(np.mean(tumor[gaps.argmin(axis=1)] == tumor))
        # Cells do not lie on each other: nearest centres are more than 5 um apart.
        assert gaps.min() * image.mpp > 5
    assert np.mean(same) > 0.75


def test_cells_grow_as_micrometres_per_px_fall():
    for mpp in (0.25, 0.5):
        image = synthetic_membrane.make_image(1, 2, size_hw=(200, 260), mpp=mpp)
        areas = np.bincount(image.masks.ravel())[1:] * mpp**2
        assert 30 < np.median(areas[image.labels < 2]) < 60


MPP = 0.3
SLIDE = synthetic_membrane.Slide(1.0, 1.0, 0.05, 0.1)


def many(make, positive: bool) -> list:
    rng = np.random.default_rng(0)
    place = np.array([10.0, 20.0], np.float32)
    return [make(rng, place, positive, SLIDE, MPP) for _ in range(200)]


def test_tumor_cells_are_larger_and_paler():
    for positive in (True, False):
        tumor = many(synthetic_membrane.tumor_cell, positive)
        immune = many(synthetic_membrane.immune_cell, positive)
        sizes, stains, bodies = (
            [
                [read(nucleus, body) for nucleus, body in kind]
                for kind in (tumor, immune)
            ]
            for read in (
                lambda nucleus, _: np.sqrt(np.prod(nucleus.radii)) * MPP,
                lambda nucleus, _: nucleus.haematoxylin,
                lambda _, body: body.radius * MPP,
            )
        )
        # Two standard deviations of either leave the sizes apart.
        assert np.quantile(sizes[0], 0.02) > np.quantile(sizes[1], 0.98)
        assert np.median(stains[0]) < 0.5 * np.median(stains[1])
        assert min(bodies[0]) > max(bodies[1])


def test_only_positive_cells_have_a_brown_membrane():
    for make in (synthetic_membrane.tumor_cell, synthetic_membrane.immune_cell):
        assert min(body.wall_dab for _, body in many(make, True)) > 0.3
        assert max(body.wall_dab for _, body in many(make, False)) == 0
        for nucleus, body in many(make, True):
            assert nucleus.center_yx == body.center_yx == (10.0, 20.0)
            assert body.radius > max(nucleus.radii) * 0.9


def test_nucleoli_lie_in_their_nuclei():
    rng = np.random.default_rng(1)
    nuclei = [nucleus for nucleus, _ in many(synthetic_membrane.tumor_cell, False)]
    grains = synthetic_membrane.nucleoli(rng, nuclei, MPP)
    assert 100 < len(grains) < 300
    offsets = [np.subtract(grain.center_yx, (10, 20)) for grain in grains]
    assert np.mean(np.hypot(*np.transpose(offsets))) * MPP < 2
    assert synthetic_membrane.nucleoli(rng, [], MPP) == []
