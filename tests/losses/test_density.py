import functools

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.losses import density

COUNT = 12
FORMS = ("dense", "sorted")

# Whole pixels, so that ties along one axis and equal points are common.
POINTS = npst.arrays(np.float32, (COUNT, 2), elements=st.integers(0, 20))
MASKS = npst.arrays(bool, COUNT, elements=st.integers(0, 3).map(bool))

box_density = jax.jit(density.box_density, static_argnames="form")
box_energy = jax.jit(density.box_energy, static_argnames="form")
largest_distance = jax.jit(density.largest_distance)
neighbor_energy = jax.jit(density.neighbor_energy, static_argnames="num_neighbors")


def distances(points_yx: np.ndarray) -> np.ndarray:
    """Manhattan distances of all pairs, float64 [N, N]."""
    points_yx = np.asarray(points_yx, np.float64)
    return np.abs(points_yx[:, None] - points_yx[None]).sum(axis=-1)


def loop_density(points_yx: np.ndarray, mask: np.ndarray) -> np.ndarray:
    pairs, real = distances(points_yx), np.flatnonzero(mask)
    out = np.zeros(len(mask))
    for i in real:
        out[i] = sum(pairs[i, j] for j in real) / len(real)
    return out


def loop_weighted(
    points_yx: np.ndarray, mask: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted densities and energies in loops, float64."""
    pairs, real = distances(points_yx), np.flatnonzero(mask)
    density, energy = np.zeros(len(mask)), np.ones(len(mask))
    total = sum(float(weights[j]) for j in real)
    largest = max((pairs[i, j] for i in real for j in real), default=0)
    for i in real if total else ():
        density[i] = sum(float(weights[j]) * pairs[i, j] for j in real) / total
        energy[i] = density[i] / largest if largest else 1
    return density, energy


def uneven(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points over an oblong image, with ties and gaps in the mask."""
    points = rng.uniform(0, 1, (count, 2)) * [800, 1300]
    points[::7] = points[0]
    points[1::5, 0] = points[1, 0]
    return points.astype(np.float32), rng.random(count) < 0.8


@pytest.mark.parametrize("form", FORMS)
def test_by_hand(form):
    # Distances: 0-1 is 3 + 4, 0-2 is 1 + 0, 1-2 is 2 + 4.
    points = np.array([[0, 0], [3, 4], [1, 0], [50, 50]], np.float32)
    mask = np.array([True, True, True, False])
    expected = np.array([8 / 3, 13 / 3, 7 / 3, 0])
    np.testing.assert_allclose(
        box_density(points, mask, form=form), expected, rtol=1e-6
    )
    assert largest_distance(points, mask) == 7
    energy = box_energy(points, mask, form=form)
    np.testing.assert_allclose(energy, [8 / 21, 13 / 21, 7 / 21, 1], rtol=1e-6)


@pytest.mark.parametrize("form", [*FORMS, "auto"])
@given(points=POINTS, mask=MASKS)
def test_density_against_loops(form, points, mask):
    result = box_density(points, mask, form=form)
    np.testing.assert_allclose(result, loop_density(points, mask), atol=2e-5)


WEIGHTS = npst.arrays(np.float32, COUNT, elements=st.sampled_from([0, 0.02, 0.2, 1]))


@pytest.mark.parametrize("form", [*FORMS, "auto"])
@given(points=POINTS, mask=MASKS, weights=WEIGHTS)
def test_weighted_density_against_loops(form, points, mask, weights):
    expected = loop_weighted(points, mask, weights)
    found = box_density(points, mask, weights=weights, form=form)
    np.testing.assert_allclose(found, expected[0], atol=2e-5)
    found = box_energy(points, mask, weights=weights, form=form)
    np.testing.assert_allclose(found, expected[1], atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_weights_in_padding_and_their_scale_change_nothing(form, rng):
    points, mask = uneven(rng, COUNT)
    weights = rng.random(COUNT).astype(np.float32)
    clean = box_energy(points, mask, weights=weights, form=form)
    for garbage in (1e6, np.nan):
        dirty = np.where(mask, weights, np.float32(garbage))
        found = box_energy(points, mask, weights=dirty, form=form)
        np.testing.assert_array_equal(found, clean)
    small = box_energy(points, mask, weights=weights * np.float32(1e-20), form=form)
    np.testing.assert_allclose(small, clean, rtol=1e-4)


@given(points=POINTS, mask=MASKS)
def test_largest_distance_against_pairs(points, mask):
    real = points[mask]
    expected = distances(real).max() if len(real) else 0
    assert largest_distance(points, mask) == pytest.approx(expected, abs=1e-5)


@given(points=POINTS, mask=MASKS)
def test_energy_is_a_share(points, mask):
    energy = np.asarray(box_energy(points, mask, form="sorted"))
    assert (energy >= 0).all()
    assert (energy <= 1).all()
    assert (energy[~mask] == 1).all()
    turned = box_energy(points[:, ::-1], mask, form="sorted")
    np.testing.assert_allclose(turned, energy, atol=1e-6)


def test_dense_equals_sorted_for_many_boxes(rng):
    points, mask = uneven(rng, 1500)
    dense = box_density(points, mask, form="dense")
    ranked = box_density(points, mask, form="sorted")
    np.testing.assert_allclose(ranked, dense, atol=2e-4)
    pairs = distances(points[mask])
    np.testing.assert_allclose(ranked[mask], pairs.mean(axis=1), atol=2e-4)


def test_far_from_the_origin_nothing_changes(rng):
    points, mask = uneven(rng, COUNT)
    points = np.round(points)
    moved = points + np.float32(100_000)
    for form in FORMS:
        here = box_density(points, mask, form=form)
        np.testing.assert_allclose(box_density(moved, mask, form=form), here, atol=2e-4)


@pytest.mark.parametrize("form", FORMS)
def test_all_in_one_place_has_energy_one(form):
    points = np.full((COUNT, 2), [7.0, 3.0], np.float32)
    assert box_energy(points, np.ones(COUNT, bool), form=form).tolist() == [1.0] * COUNT


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [0, 1])
def test_one_or_no_box(form, count):
    points = np.full((COUNT, 2), 9.0, np.float32)
    mask = np.arange(COUNT) < count
    for size in (COUNT, count):  # padded, and with no slot to spare
        part = points[:size], mask[:size]
        assert box_density(*part, form=form).tolist() == [0.0] * size
        assert box_energy(*part, form=form).tolist() == [1.0] * size
        assert neighbor_energy(*part).tolist() == [1.0] * size
        assert largest_distance(*part) == 0


@pytest.mark.parametrize("name", [*FORMS, "neighbors"])
def test_padding_changes_neither_value_nor_gradient(name, rng):
    points, _ = uneven(rng, COUNT)
    mask = np.resize([True, True, False], COUNT)
    weight = rng.normal(size=COUNT).astype(np.float32)

    def total(points_yx, mask):
        if name == "neighbors":
            return jnp.sum(density.neighbor_energy(points_yx, mask) * weight)
        return jnp.sum(density.box_energy(points_yx, mask, form=name) * weight)

    graded = jax.jit(jax.value_and_grad(total))
    value, gradient = graded(points, mask)
    assert np.isfinite(gradient).all()
    assert (np.asarray(gradient)[~mask] == 0).all()
    for garbage in (0.0, 1e6, -1e6, 3e38):
        dirty = np.where(mask[:, None], points, np.float32(garbage))
        dirty_value, dirty_gradient = graded(dirty, mask)
        assert dirty_value == value
        np.testing.assert_array_equal(dirty_gradient, gradient)


@pytest.mark.parametrize("form", FORMS)
def test_gradient_is_finite_where_points_coincide(form):
    same = np.full((COUNT, 2), [7.0, 3.0], np.float32)
    apart = np.arange(2 * COUNT, dtype=np.float32).reshape(-1, 2)
    slope = jax.jit(jax.grad(lambda p, m: density.box_energy(p, m, form=form).sum()))
    for points in (same, apart):
        for mask in (np.ones(COUNT, bool), np.zeros(COUNT, bool)):
            assert np.isfinite(slope(points, mask)).all()


@pytest.mark.parametrize("form", FORMS)
def test_gradient_against_differences(form, rng):
    points = rng.uniform(0, 50, (COUNT, 2)).astype(np.float32)  # no ties
    mask = np.arange(COUNT) < 9
    weight = np.linspace(-1, 1, COUNT).astype(np.float32)

    def total(p, m):
        return jnp.sum(density.box_density(p, m, form=form) * weight)

    gradient = np.asarray(jax.jit(jax.grad(total))(points, mask))
    step = 1e-4
    for index in [(0, 0), (5, 1), (10, 0)]:
        shift = np.zeros((COUNT, 2))
        shift[index] = step
        up, down = (loop_density(points + s, mask) for s in (shift, -shift))
        expected = (up - down) @ weight / (2 * step)
        assert gradient[index] == pytest.approx(expected, abs=1e-3)


def test_equation_7_for_equidistant_groups():
    """Groups all a distance d apart: density is d (1 - m_j / N)."""
    # Four corners of a square on its tip are 2 r apart in Manhattan distance.
    r, sizes = 100.0, (1, 2, 3, 6)
    corners = np.array([[r, 0], [-r, 0], [0, r], [0, -r]], np.float32)
    points = np.repeat(corners, sizes, axis=0)
    expected = 2 * r * (1 - np.repeat(sizes, sizes) / sum(sizes))
    for form in FORMS:
        result = box_density(points, np.ones(COUNT, bool), form=form)
        np.testing.assert_allclose(result, expected, rtol=1e-5)
    energy = box_energy(points, np.ones(COUNT, bool), form="dense")
    np.testing.assert_allclose(energy, expected / (2 * r), rtol=1e-5)


@pytest.fixture
def scattered() -> dict[str, np.ndarray]:
    """234 scattered boxes, 20 in a tight corner cluster, one amid, one in a corner."""
    rng = np.random.default_rng(1)
    size = 800.0
    parts = {
        "scattered": rng.uniform(0, size, (234, 2)),
        "cluster": rng.normal(60, 4, (20, 2)),
        "centre": np.full((1, 2), size / 2),
        "corner": np.array([[size - 20, 20.0]]),
    }
    return {name: part.astype(np.float32) for name, part in parts.items()}


def means(energy: jax.Array, parts: dict[str, np.ndarray]) -> dict[str, float]:
    names = np.repeat(list(parts), [len(part) for part in parts.values()])
    return {name: float(np.asarray(energy)[names == name].mean()) for name in parts}


def test_energy_measures_centrality_more_than_density(scattered):
    points = np.concatenate(list(scattered.values()))
    by_part = means(box_energy(points, np.ones(256, bool), form="auto"), scattered)
    assert by_part["centre"] == pytest.approx(0.28, abs=0.03)
    assert by_part["cluster"] == pytest.approx(0.45, abs=0.04)
    assert by_part["scattered"] == pytest.approx(0.36, abs=0.03)
    assert by_part["corner"] == pytest.approx(0.49, abs=0.04)
    assert by_part["centre"] == min(by_part.values())


def test_neighbor_energy_measures_density(scattered):
    points = np.concatenate(list(scattered.values()))
    by_part = means(neighbor_energy(points, np.ones(256, bool)), scattered)
    assert by_part["cluster"] < 0.1
    assert by_part["cluster"] < by_part["scattered"] < by_part["corner"]
    assert by_part["centre"] > 3 * by_part["cluster"]


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_energy_favours_a_cluster_that_holds_many_boxes(share, rng):
    cluster = int(256 * share)
    points = np.concatenate(
        [rng.normal(100, 4, (cluster, 2)), rng.uniform(0, 800, (256 - cluster, 2))]
    ).astype(np.float32)
    energy = np.asarray(box_energy(points, np.ones(256, bool), form="auto"))
    assert energy[:cluster].mean() < 0.6 * energy[cluster:].mean()


def test_neighbor_energy_by_hand():
    # Two nearest others: 0 -> 1, 5; 1 -> 1, 4; 2 -> 4, 5; 3 -> 94, 95 (its own y).
    points = np.array([[0, 0], [1, 0], [5, 0], [99, 0], [7, 7]], np.float32)
    mask = np.array([True, True, True, True, False])
    expected = np.array([3, 2.5, 4.5, 96, 96]) / 96
    result = neighbor_energy(points, mask, num_neighbors=2)
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    # More neighbours than boxes: the mean over all others.
    pairs = distances(points[:4]).sum(axis=1) / 3
    result = neighbor_energy(points, mask, num_neighbors=50)
    np.testing.assert_allclose(result[:4], pairs / pairs.max(), rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_vmap_equals_loop(form, rng):
    images = [uneven(rng, COUNT) for _ in range(3)]
    points, mask = (np.stack(part) for part in zip(*images, strict=True))
    mask[2] = False
    one = functools.partial(density.box_energy, form=form)
    together = jax.jit(jax.vmap(one))(points, mask)
    alone = [box_energy(p, m, form=form) for p, m in zip(points, mask, strict=True)]
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-5)


def test_half_precision_points_give_float32():
    points = jnp.asarray([[0.0, 0.0], [3.0, 4.0]], jnp.bfloat16)
    energy = box_energy(points, jnp.ones(2, bool), form="dense")
    assert energy.dtype == jnp.float32
    assert energy.tolist() == [0.5, 0.5]


def test_kernel_energy_by_hand():
    """One sigma apart exp(-1/2), two sigma exp(-2); padding may hold anything."""
    points = np.array([[0, 0], [0, 3], [0, 6], [500, 0], [1, 1]], np.float32)
    mask = np.array([True, True, True, True, False])
    near, far = np.exp(-0.5), np.exp(-2)
    expected = [1 / (1 + near + far), 1 / (1 + 2 * near), 1 / (1 + near + far), 1, 1]
    result = density.kernel_energy(points, mask, bandwidth_px=3.0)
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    dirty = np.where(mask[:, None], points, np.float32(1e6))
    again = density.kernel_energy(dirty, mask, bandwidth_px=3.0)
    np.testing.assert_array_equal(result, again)
    heap = density.kernel_energy(np.full((4, 2), 7.0), np.ones(4, bool), bandwidth_px=1)
    np.testing.assert_allclose(heap, [0.25] * 4, rtol=1e-6)
    none = density.kernel_energy(points, np.zeros(5, bool), bandwidth_px=np.inf)
    assert none.tolist() == [1.0] * 5


def test_kernel_energy_measures_density(scattered):
    points = np.concatenate(list(scattered.values()))
    energy = density.kernel_energy(points, np.ones(256, bool), bandwidth_px=16.0)
    by_part = means(energy, scattered)
    assert by_part["cluster"] < 0.1
    assert by_part["scattered"] > 0.5
    assert max(by_part.values()) <= 1
