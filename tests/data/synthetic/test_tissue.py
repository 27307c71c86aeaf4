import numpy as np
import pytest

from cellrec_jax.data.synthetic import tissue

SIZE_HW = (160, 200)
MPP = 0.3


def rngs(number):
    return [np.random.default_rng(seed) for seed in range(number)]


def test_nests_and_glass_do_not_overlap():
    drawn = [tissue.draw(rng, SIZE_HW, MPP) for rng in rngs(30)]
    for nests, glass in drawn:
        for part in (nests, glass):
            assert (part.dtype, part.shape) == (np.float32, SIZE_HW)
            assert 0 <= part.min() <= part.max() <= 1
        assert np.all(nests + glass <= 1 + 1e-6)
    shares = [nests.mean() for nests, _ in drawn]
    assert min(shares) < 0.4
    assert max(shares) > 0.8
    empty = [glass.max() > 0.5 for _, glass in drawn]
    assert 5 < sum(empty) < 25


def test_nuclei_keep_apart():
    for rng in rngs(6):
        centers_yx, radii = tissue.place(rng, np.ones(SIZE_HW, np.float32), MPP)
        assert len(centers_yx) == len(radii) >= 1
        distance = np.linalg.norm(centers_yx[:, None] - centers_yx[None], axis=-1)
        np.fill_diagonal(distance, np.inf)
        # No gap is below 0.68 of the sum of two radii.
        assert np.all(distance >= 0.68 * (radii[:, None] + radii[None]) - 1e-3)


def test_apart_is_what_a_plain_loop_keeps():
    rng = np.random.default_rng(1)
    spots = rng.uniform(0, 100, (300, 2))
    radii, gaps = rng.uniform(2, 6, 300), rng.uniform(0.7, 1.2, 300)
    kept = []
    for index in range(300):
        far = [
            np.hypot(*(spots[index] - spots[other]))
            > gaps[index] * (radii[index] + radii[other])
            for other in kept
        ]
        if all(far):
            kept.append(index)
    assert tissue._apart(spots, radii, gaps, 300) == kept
    assert tissue._apart(spots, radii, gaps, 7) == kept[:7]


def test_no_nest_still_has_a_nucleus():
    centers_yx, radii = tissue.place(
        np.random.default_rng(0), np.zeros((32, 32), np.float32), MPP
    )
    assert len(centers_yx) == len(radii) == 1


def test_shares_of_positive_nuclei_vary():
    centers_yx = np.random.default_rng(0).uniform(1, 159, (200, 2))
    shares = [
        np.mean(tissue.label(rng, centers_yx, SIZE_HW, MPP) == 0) for rng in rngs(80)
    ]
    assert 0.03 < np.mean(np.equal(shares, 0)) < 0.3  # an eighth is meant
    # The mean of a beta distribution of 1 and 1.8 is 1 / 2.8 = 0.36.
    assert np.mean(shares) == pytest.approx(0.875 / 2.8, abs=0.08)


def test_plan():
    layout, glass = tissue.plan(np.random.default_rng(4), SIZE_HW, MPP)
    assert len(layout.cells) == len(layout.labels) > 5
    assert layout.distractors == []
    places = np.array([cell.center_yx for cell in layout.cells]).astype(int)
    assert np.mean(glass[tuple(places.T)] > 0.5) < 0.1
