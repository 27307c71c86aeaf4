import numpy as np
import pytest
from scipy import ndimage, spatial

from cellrec_jax import geometry
from cellrec_jax.data import classes, record
from cellrec_jax.data.synthetic import cytoplasm as synthetic_cytoplasm
from cellrec_jax.data.synthetic import membrane as synthetic_membrane
from cellrec_jax.data.synthetic import source as synthetic
from cellrec_jax.data.synthetic import stain as synthetic_stain

SIZE_HW = (240, 330)
MPP = 0.3
ID = {name: label for label, name in enumerate(synthetic_cytoplasm.CLASS_NAMES)}
POSITIVE = (ID["tumor_strong"], ID["tumor_weak"])


@pytest.fixture(scope="module")
def images() -> list[record.Record]:
    return [
        synthetic_cytoplasm.make_image(0, index, size_hw=SIZE_HW) for index in range(10)
    ]


def is_positive(image: record.Record) -> np.ndarray:
    return np.isin(image.labels, POSITIVE)


def cell_brown(image: record.Record) -> np.ndarray:
    """Median density of DAB of each cell, [N]."""
    rows = np.stack([synthetic_stain.HAEMATOXYLIN_RGB, synthetic_stain.DAB_RGB])
    density = -np.log10((image.image.astype(float) + 1) / 230)
    dab = (density @ np.linalg.pinv(rows))[..., 1]
    return ndimage.median(dab, image.masks, np.arange(1, len(image.labels) + 1))


def test_all_classes_occur(images):
    counts = np.sum([np.bincount(image.labels, minlength=7) for image in images], 0)
    assert len(counts) == len(synthetic_cytoplasm.CLASS_NAMES) == 7
    assert (counts > 5).all()


def test_data_classes_makes_the_two_of_the_paper():
    seven = synthetic.open_source(1, SIZE_HW, 0, kind="cytoplasm")
    two = classes.merge_classes(seven, synthetic_cytoplasm.CLASSES)
    assert two.class_names == ("positive", "other")
    before, after = seven.load("0"), two.load("0")
    np.testing.assert_array_equal(after.labels == 0, is_positive(before))
    np.testing.assert_array_equal(after.points_yx, before.points_yx)
    np.testing.assert_array_equal(after.masks, before.masks)


def test_every_mask_is_a_whole_cell_around_its_point(images):
    area_um2: list[list[float]] = [[] for _ in ID]
    for image in images:
        num_cells = len(image.points_yx)
        under = image.masks[tuple(geometry.point_to_pixel(image.points_yx).T)]
        np.testing.assert_array_equal(under, np.arange(1, num_cells + 1))
        areas = np.bincount(image.masks.ravel(), minlength=num_cells + 1)[1:] * MPP**2
        for label, area in zip(image.labels, areas, strict=True):
            area_um2[label].append(area)
    middle = dict(zip(ID, map(np.median, area_um2), strict=True))
    # A nucleus of 3.8 um has 45 um2; half axes of 8.8 and 7.3 um make 200, less what
    # neighbours and the border take.
    assert 90 < middle["tumor_strong"] < 190
    assert 90 < middle["epithelium"] < 190
    # 1.35 um wider than a nucleus of 2.35 um: 43; an ellipse of 5.2 by 1.5 um: 24.5.
    assert 30 < middle["lymphocyte"] < 50
    assert 15 < middle["stroma"] < 35


def test_tumor_cells_touch_and_are_no_discs(images):
    touching, solidity = [], []
    for image in images:
        tumor = np.isin(image.masks, 1 + np.flatnonzero(is_positive(image)))
        for index in np.flatnonzero(is_positive(image)):
            cell = image.masks == index + 1
            around = ndimage.binary_dilation(cell, iterations=2) & ~cell
            touching.append((around & tumor).any())
            radius = np.sqrt(cell.sum() / np.pi)
            y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] + 0.5
            center_yx = np.argwhere(cell).mean(axis=0) + 0.5
            disc = np.hypot(y - center_yx[0], x - center_yx[1]) < radius
            solidity.append((cell & disc).sum() / (cell | disc).sum())
    assert np.mean(touching) > 0.9
    assert 0.5 < np.median(solidity) < 0.85  # 1 is a disc


def test_tumor_cells_stand_in_the_tissue_map(images):
    for index, image in enumerate(images):
        tissue = synthetic_cytoplasm.tissue_map(0, index, size_hw=SIZE_HW)
        assert (tissue.dtype, tissue.shape) == (bool, SIZE_HW)
        assert 0.05 < tissue.mean() < 0.4
        inside = tissue[tuple(geometry.point_to_pixel(image.points_yx).T)]
        assert inside[is_positive(image)].all()
        # Others within: unstained cells, the few that wander in.
        assert inside[~is_positive(image)].mean() < 0.25


def test_brown_tells_most_cells_but_neighbours_tell_the_weak(images):
    weak: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    brown, positive = [], []
    for image in images:
        own, truth = cell_brown(image), is_positive(image)
        brown.append(own)
        positive.append(truth)
        around = spatial.cKDTree(image.points_yx).query(image.points_yx, 7)[1][:, 1:]
        for index in np.flatnonzero(
            np.isin(image.labels, (ID["tumor_weak"], ID["lookalike"], ID["macrophage"]))
        ):
            share = truth[around[index]].mean()
            weak[bool(truth[index])].append((own[index], share))

    def apart(high: np.ndarray, low: np.ndarray) -> float:
        """Area under the ROC curve."""
        return np.mean(high[:, None] > low) + np.mean(high[:, None] == low) / 2

    all_brown, all_positive = np.concatenate(brown), np.concatenate(positive)
    assert 0.85 < apart(all_brown[all_positive], all_brown[~all_positive]) < 0.99
    tumor, other = (np.array(weak[truth]) for truth in (True, False))
    by_colour = apart(tumor[:, 0], other[:, 0])
    assert by_colour < 0.75
    by_neighbours = apart(tumor[:, 1], other[:, 1])
    assert by_neighbours > max(0.8, by_colour + 0.1)


def many(name: str) -> list:
    rng = np.random.default_rng(0)
    place = np.array([10.0, 20.0], np.float32)
    stains = synthetic_membrane.Slide(1.0, 2.0, 0.05, 0.1)
    slide = synthetic_cytoplasm.Slide(stains, 0.5, 1.0, 0.5, 0.0)
    draw = synthetic_cytoplasm.draw_cell
    return [draw(rng, name, place, slide, MPP) for _ in range(300)]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [  # Twice the table's ranges, as the slide's factor is 2; all in the body.
        ("tumor_strong", 1.2, 3.2),
        ("tumor_weak", 0.3, 0.9),
        ("epithelium", 0.0, 0.06),
    ],
)
def test_ranges_of_brown(name, low, high):
    filled = [body.body_dab for _, body in many(name)]
    assert low <= min(filled) < low + 0.1 * (high - low)
    assert high - 0.1 * (high - low) < max(filled) <= high
    walls = [body.wall_dab for _, body in many(name)]
    np.testing.assert_allclose(walls, np.multiply(filled, 0.5))  # the slide's 0.5 to 1


def test_look_alikes_are_as_brown_as_weak_cells_without_a_membrane():
    for name, low, high in (("lookalike", 0.14, 0.72), ("macrophage", 0.21, 1.4)):
        for _, body in many(name):
            # 0.7 to 1 of twice the table's range; the wall 0 to 0.4 of it.
            assert low <= body.body_dab <= high
            assert 0 <= body.wall_dab < 0.4 / 0.7 * body.body_dab


def test_lymphocytes_and_stroma_are_not_brown():
    for name in ("lymphocyte", "stroma"):
        for nucleus, body in many(name):
            assert body.wall_dab == body.body_dab == 0
            assert nucleus.dab <= 0.03
            assert nucleus.center_yx == body.center_yx == (10.0, 20.0)


def test_nuclei_show_through_the_brown(images):
    """Blue under the point, brown around it, in strongly brown cells."""
    ratio = []
    for image in images:
        for index in np.flatnonzero(image.labels == ID["tumor_strong"]):
            y, x = geometry.point_to_pixel(image.points_yx[index])
            colour = image.image.astype(float) + 1
            body = np.median(colour[image.masks == index + 1], axis=0)
            near = (slice(max(0, y - 3), y + 4), slice(max(0, x - 3), x + 4))
            middle = np.median(colour[near], axis=(0, 1))
            ratio.append((middle[2] / middle[0]) / (body[2] / body[0]))
    assert np.median(ratio) > 1.15
