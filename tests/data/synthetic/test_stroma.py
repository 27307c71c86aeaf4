import numpy as np
import pytest

from cellrec_jax.data.synthetic import stroma

MPP = 0.3
ROOM = np.ones((200, 300), np.float32)
ROOM[:, :120] = 0
CELLS_YX = np.random.default_rng(5).uniform((0, 120), (200, 300), (15, 2))


@pytest.fixture(scope="module")
def plans() -> list[stroma.Stroma]:
    cells_yx = CELLS_YX.astype(np.float32)
    return [
        stroma.plan(np.random.default_rng(seed), ROOM, cells_yx, 0.7, MPP)
        for seed in range(12)
    ]


def test_kinds_differ_in_shape(plans):
    """In um: round cells of 2, plump spindles of 5 x 2, thin ones below 1.1."""
    found = {
        name: np.array([n.radii for plan in plans for n in getattr(plan, name)]) * MPP
        for name in stroma.Stroma._fields
    }
    for radii in found.values():
        assert len(radii) > 5
        assert np.all(radii[:, 0] >= radii[:, 1])
    assert 1.7 <= found["negative"].min() <= found["negative"].max() <= 2.7
    assert found["doubtful"][:, 1].min() >= 1.5
    assert found["unmarked"][:, 1].max() <= 1.05
    assert found["unmarked"][:, 0].min() >= 3.5


def test_what_is_marked_is_never_brown(plans):
    assert all(n.dab == 0 for plan in plans for n in plan.negative)
    assert any(n.dab > 0 for plan in plans for n in [*plan.doubtful, *plan.unmarked])


def test_spindles_follow_the_fibres(plans):
    def turns(name):
        angles = [n.angle for plan in plans for n in getattr(plan, name)]
        return np.mean(np.cos(2 * (np.array(angles) - 0.7)))

    assert turns("unmarked") > 0.3
    assert turns("doubtful") > 0.2
    assert abs(turns("negative")) < 0.3  # round ones have no direction


def test_they_stay_in_their_room_and_off_cells(plans):
    for plan in plans:
        for nucleus in [n for kind in plan for n in kind]:
            assert nucleus.center_yx[1] >= 120
            away = np.hypot(*(CELLS_YX - nucleus.center_yx).T)
            assert away.min() > 4.1 / MPP


def test_fibres_lie_in_their_room():
    drawn = [
        stroma.fibres(np.random.default_rng(seed), ROOM, 0.7, MPP) for seed in range(8)
    ]
    for made in drawn:
        assert (made.dtype, made.shape) == (np.float32, ROOM.shape)
        assert made.min() >= 0
        assert np.all(made[:, :120] == 0)
    assert max(made.max() for made in drawn) > 0.5
