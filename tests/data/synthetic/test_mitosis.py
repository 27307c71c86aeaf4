"""Few ragged dark figures among many nuclei, and which of them are annotated."""

import numpy as np
import pytest
from scipy import ndimage

from cellrec_jax.data import record
from cellrec_jax.data.synthetic import layout as layout_lib
from cellrec_jax.data.synthetic import mitosis, stain

SIZE_HW = (260, 330)


@pytest.fixture(scope="module")
def images() -> list[record.Record]:
    return [mitosis.make_image(3, index, size_hw=SIZE_HW) for index in range(6)]


def haematoxylin(image: record.Record) -> np.ndarray:
    """Its optical density, [H, W]."""
    rows = np.stack([stain.HAEMATOXYLIN_RGB, mitosis.EOSIN_RGB])
    density = -np.log10((image.image.astype(float) + 1) / 240)
    return (density @ np.linalg.pinv(rows))[..., 0]


def test_points_are_the_centroids_of_the_masks(images):
    for image in images:
        ids = np.arange(1, len(image.labels) + 1)
        assert np.array_equal(np.unique(image.masks)[1:], ids)
        centers = ndimage.center_of_mass(image.masks > 0, image.masks, ids)
        np.testing.assert_allclose(image.points_yx, np.add(centers, 0.5), atol=1e-4)
        assert (image.labels == 0).all()


def test_a_mask_holds_what_its_chromatin_encloses():
    """Two bars 6 px apart are one mask for discs of 8 px, two for those of 4."""
    bars = np.zeros((30, 40), bool)
    bars[8:22, 10:12] = bars[8:22, 18:20] = True
    closed = mitosis._closed(bars, 4.0)
    assert ndimage.label(closed)[1] == 1
    assert closed[15, 10:20].all()
    assert not closed[:8].any()
    assert not closed[:, 20:].any()
    assert np.array_equal(mitosis._closed(bars, 2.0), bars)


def test_few_are_annotated_among_many():
    counts, others = [], []
    for index in range(60):
        rng = layout_lib.image_rng(0, index)
        tissue = mitosis.plan(rng, SIZE_HW, mitosis.MPP)
        counts.append(len(tissue.mitoses))
        others.append(len(tissue.layout.cells) + len(tissue.layout.distractors))
    assert min(counts) == 1
    assert max(counts) == mitosis.MOST_MITOSES
    assert 1.5 < np.mean(counts) < 2.6  # 743 in 393 frames are 1.9
    assert np.mean(others) > 10 * np.mean(counts)


def test_mitoses_are_dark_in_clear_cells(images):
    dark, near, rest = [], [], []
    for image in images:
        density = haematoxylin(image)
        away = ndimage.distance_transform_edt(image.masks == 0)
        dark.append(density[image.masks > 0].mean())
        near.append(np.median(density[(away > 6) & (away < 14)]))
        rest.append(np.mean(density[away > 40]))
    assert np.mean(dark) > 2.5 * np.mean(rest)
    assert np.mean(near) < 0.8 * np.mean(rest)


def test_outlines_of_mitoses_are_ragged_and_of_pyknotic_nuclei_smooth():
    """The circumference is that of a circle of the area, or much more."""
    rng = np.random.default_rng(0)
    place, slide = np.array([60.0, 70.0]), mitosis.Slide(1.0, 1.0)
    shapes: dict[str, list[float]] = {"mitosis": [], "look-alike": []}
    for kind, make in (("mitosis", mitosis._mitosis), ("look-alike", _whole)):
        for _ in range(30):
            canvas = mitosis.nuclei_lib.make_canvas(rng, (120, 140), mitosis.MPP)
            inside = mitosis._draw_figure(
                rng, canvas, make(rng, place, slide, mitosis.MPP)
            )
            border = (inside & ~ndimage.binary_erosion(inside)).sum()
            shapes[kind].append(border / np.sqrt(4 * np.pi * inside.sum()))
    assert np.quantile(shapes["mitosis"], 0.2) > np.quantile(shapes["look-alike"], 0.8)


def _whole(*arguments):
    """The main piece of a pyknotic nucleus."""
    figure = mitosis._pyknotic(*arguments)
    return figure._replace(clumps=figure.clumps[:1])


def test_cells_of_mitoses_are_clearer_than_those_of_most_lookalikes():
    rng = np.random.default_rng(0)
    place, slide = np.array([60.0, 70.0]), mitosis.Slide(1.0, 1.0)
    others = [mitosis._lookalike(rng, place, slide, mitosis.MPP) for _ in range(60)]
    made = [mitosis._mitosis(rng, place, slide, mitosis.MPP) for _ in range(60)]
    assert max(figure.eosin for figure in made) < 1
    pairs = np.array([[a.eosin < b.eosin for b in others] for a in made])
    assert 0.75 < pairs.mean() < 1  # most, but not all
    canvas = mitosis.nuclei_lib.make_canvas(rng, (120, 140), mitosis.MPP)
    canvas.dab[...] = 0.2
    mitosis._draw_figure(rng, canvas, made[0])
    assert canvas.masks.max() == 0  # the caller's to number
    assert canvas.dab[60, 70] == pytest.approx(0.2 * made[0].eosin)
    assert canvas.dab[0, 0] == pytest.approx(0.2)


def test_figures_grow_as_micrometres_per_px_fall():
    areas = []
    for mpp in (0.2, 0.4):
        image = mitosis.make_image(1, 2, size_hw=(220, 260), mpp=mpp)
        areas.append(np.bincount(image.masks.ravel())[1:].mean() * mpp**2)
    assert all(6 < area < 45 for area in areas)


def test_an_image_without_room_has_one():
    assert len(mitosis.make_image(0, 0, size_hw=(32, 40)).labels) == 1
