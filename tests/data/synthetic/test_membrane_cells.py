import numpy as np

from cellrec_jax.data.synthetic import membrane_cells as cells

MPP = 0.3
SLIDE = cells.Slide(1.0, 1.0, 0.05, 0.1)


def many(make, positive: bool) -> list:
    rng = np.random.default_rng(0)
    place = np.array([10.0, 20.0], np.float32)
    return [make(rng, place, positive, SLIDE, MPP) for _ in range(200)]


def test_tumor_cells_are_larger_and_paler():
    for positive in (True, False):
        tumor = many(cells.tumor_cell, positive)
        immune = many(cells.immune_cell, positive)
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
    for make in (cells.tumor_cell, cells.immune_cell):
        assert min(body.wall_dab for _, body in many(make, True)) > 0.3
        assert max(body.wall_dab for _, body in many(make, False)) == 0
        for nucleus, body in many(make, True):
            assert nucleus.center_yx == body.center_yx == (10.0, 20.0)
            assert body.radius > max(nucleus.radii) * 0.9


def test_nucleoli_lie_in_their_nuclei():
    rng = np.random.default_rng(1)
    nuclei = [nucleus for nucleus, _ in many(cells.tumor_cell, False)]
    grains = cells.nucleoli(rng, nuclei, MPP)
    assert 100 < len(grains) < 300
    offsets = [np.subtract(grain.center_yx, (10, 20)) for grain in grains]
    assert np.mean(np.hypot(*np.transpose(offsets))) * MPP < 2
    assert cells.nucleoli(rng, [], MPP) == []


def test_slides_differ():
    rng = np.random.default_rng(0)
    assert len({cells.draw_slide(rng) for _ in range(5)}) == 5
