from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from cellrec_jax.ops import matching

BATCH, PROPOSALS, CELLS, CLASSES = 2, 20, 12, 3
BACKENDS = ("host", "device")

match = jax.jit(matching.match, static_argnames=("backend", "weights"))


def problem(
    seed: int,
    kind: str = "random",
    batch: int = BATCH,
    num_proposals: int = PROPOSALS,
    num_cells: int = CELLS,
) -> dict[str, np.ndarray]:
    """Arguments of `match`, padded, for images of 60 x 90 px."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, (60, 90), (batch, num_proposals, 2))
    cells = rng.uniform(0, (60, 90), (batch, num_cells, 2))
    objectness = rng.uniform(0, 1, (batch, num_proposals))
    probs = rng.dirichlet(np.ones(CLASSES), (batch, num_proposals))
    if kind == "tied":
        points, cells = np.round(points / 30) * 30, np.round(cells / 30) * 30
        objectness, probs = np.round(objectness), np.round(probs)
    if kind == "clustered":
        cells = cells / 15 + 20
    fill = rng.integers(0, num_cells + 1, (batch, 1))
    if kind == "full":
        fill = np.full((batch, 1), num_cells)
    if kind == "empty":
        fill[0] = 0
    proposal_mask = rng.random((batch, num_proposals)) < 0.9
    proposal_mask |= (kind == "full") | (np.arange(num_proposals) < num_cells)
    return {
        "points_yx": points.astype(np.float32),
        "objectness": objectness.astype(np.float32),
        "class_probs": probs.astype(np.float32),
        "true_yx": cells.astype(np.float32),
        "labels": rng.integers(0, CLASSES, (batch, num_cells)).astype(np.int32),
        "cell_mask": np.arange(num_cells) < fill,
        "proposal_mask": proposal_mask,
    }


def slow_cost(case: dict[str, np.ndarray], image: int) -> np.ndarray:
    """Eq. 2 in loops, f64 [N, M]."""
    cost = np.zeros((case["labels"].shape[1], case["objectness"].shape[1]))
    for j, cell_yx in enumerate(case["true_yx"][image].astype(np.float64)):
        for i, point_yx in enumerate(case["points_yx"][image].astype(np.float64)):
            cost[j, i] = 0.05 * np.hypot(*(point_yx - cell_yx))
            cost[j, i] -= case["objectness"][image, i]
            cost[j, i] -= case["class_probs"][image, i, case["labels"][image, j]]
    return cost


def check_optimal(case: dict[str, np.ndarray], result: matching.Match) -> None:
    """Valid pairs, at SciPy's least total cost."""
    for image, found in enumerate(np.asarray(result.proposal_idx)):
        real, usable = case["cell_mask"][image], case["proposal_mask"][image]
        cost = slow_cost(case, image)
        assert (found[~real] == -1).all()
        assert usable[found[real]].all()
        assert len(set(found[real])) == real.sum()
        rows, columns = optimize.linear_sum_assignment(cost[real][:, usable])
        least = cost[real][:, usable][rows, columns].sum()
        assert cost[real, found[real]].sum() == pytest.approx(least, abs=1e-4)
        matched = np.zeros(len(usable), bool)
        matched[found[real]] = True
        np.testing.assert_array_equal(result.matched[image], matched)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["random", "tied", "clustered", "full", "empty"])
@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_total_cost_is_least(kind, backend, seed):
    case = problem(seed, kind)
    check_optimal(case, match(**case, backend=backend))


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_as_many_cells_as_proposals(backend, seed):
    case = problem(seed, "full", num_proposals=CELLS)
    check_optimal(case, match(**case, backend=backend))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("squeeze", [1.0, 12.0])
def test_many_proposals(backend, squeeze, monkeypatch):
    """Candidates suffice for scattered cells, and are too few for crowded ones."""
    monkeypatch.setattr(matching.host_matching, "_SMALL", 0)
    case = problem(3, "full", 2, 700, 90)
    case["points_yx"] *= 6
    case["true_yx"] *= 6 / squeeze
    check_optimal(case, match(**case, backend=backend))


def test_by_hand():
    """The nearer proposal wins unless its scores are lower by more than 0.05 a px."""
    case = {
        "points_yx": np.array([[[0, 0], [0, 10], [5, 30]]], np.float32),
        "objectness": np.array([[0.1, 0.9, 0.5]], np.float32),
        "class_probs": np.array([[[1, 0], [0.5, 0.5], [0, 1]]], np.float32),
        "true_yx": np.array([[[0, 0], [0, 30]]], np.float32),
        "labels": np.array([[0, 1]], np.int32),
        "cell_mask": np.ones((1, 2), bool),
    }
    cost = matching.matching_cost(*(case[name][0] for name in list(case)[:5]))
    root = np.sqrt(925)
    expected = [[-1.1, 0.5 - 1.4, 0.05 * root - 0.5], [1.4, 1 - 1.4, 0.25 - 1.5]]
    np.testing.assert_allclose(cost, expected, atol=1e-6)
    for backend in BACKENDS:
        result = match(**case, backend=backend)
        assert result.proposal_idx.tolist() == [[0, 2]]
        assert result.matched.tolist() == [[True, False, True]]
        free = matching.MatchWeights(distance=0.0)
        assert match(**case, backend=backend, weights=free).proposal_idx.tolist() == [
            [1, 2]
        ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_garbage_in_padding_changes_nothing(backend):
    case = problem(0)
    expected = match(**case, backend=backend)
    cells, proposals = ~case["cell_mask"], ~case["proposal_mask"]
    assert cells.any()
    assert proposals.any()
    case["true_yx"][cells] = np.nan
    case["labels"][cells] = -1
    for name in ("points_yx", "objectness", "class_probs"):
        case[name][proposals] = np.inf
    result = match(**case, backend=backend)
    np.testing.assert_array_equal(result.proposal_idx, expected.proposal_idx)


@pytest.mark.parametrize("backend", BACKENDS)
def test_under_jit_what_has_no_finite_cost_is_left_out(backend):
    case = problem(1)
    case["cell_mask"][:, :4] = True
    spoiled = {name: array.copy() for name, array in case.items()}
    spoiled["objectness"][0, 3] = np.nan
    spoiled["points_yx"][0, 4, 1] = np.inf
    spoiled["points_yx"][1, 6, 0] = 1e26
    spoiled["class_probs"][1, 7, 0] = 3e38
    spoiled["true_yx"][1, 2, 0] = np.nan
    result = match(**spoiled, backend=backend)
    case["proposal_mask"][0, [3, 4]] = False
    case["proposal_mask"][1, [6, 7]] = False
    case["cell_mask"][1, 2] = False
    check_optimal(case, result)


@pytest.mark.parametrize("backend", BACKENDS)
def test_more_cells_than_proposals_under_jit(backend):
    case = problem(2, "full", num_proposals=PROPOSALS, num_cells=CELLS)
    case["proposal_mask"] = np.arange(PROPOSALS) < np.array([[5], [0]])
    found = np.asarray(match(**case, backend=backend).proposal_idx)
    assert sorted(found[0][found[0] >= 0]) == [0, 1, 2, 3, 4]
    assert (found[1] == -1).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_gradient(backend):
    case = problem(4)

    def loss(objectness: jax.Array, points_yx: jax.Array) -> jax.Array:
        moved = {**case, "objectness": objectness, "points_yx": points_yx}
        found = matching.match(**moved, backend=backend)
        picked = jnp.take_along_axis(objectness, jnp.maximum(found.proposal_idx, 0), 1)
        return jnp.sum(jnp.where(case["cell_mask"], picked, 0.0))

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
    by_objectness, by_points = gradient(case["objectness"], case["points_yx"])
    matched = match(**case, backend=backend).matched
    np.testing.assert_array_equal(by_objectness, matched.astype(np.float32))
    assert not by_points.any()


def test_vmap_of_the_host_is_refused():
    case = problem(5)
    stacked = {name: array[None] for name, array in case.items()}
    with pytest.raises(NotImplementedError, match="vmap"):
        jax.vmap(lambda case: matching.match(**case, backend="host"))(stacked)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("sizes", [(0, 4), (5, 0)])
def test_nothing_to_match(backend, sizes):
    case = problem(0, "random", 2, *sizes)
    case["cell_mask"][:] = False
    result = match(**case, backend=backend)
    assert (np.asarray(result.proposal_idx) == -1).all()
    assert not np.asarray(result.matched).any()


def test_the_largest_values_have_finite_costs():
    largest = matching.LARGEST
    far = jnp.full((2, 2), largest)
    cost = matching.matching_cost(
        -far,
        far[0],
        -far,
        far,
        jnp.zeros(2, int),
        weights=matching.MatchWeights(largest, largest, largest),
    )
    assert np.isfinite(cost).all()


def test_values_that_are_not_real_are_masked():
    objectness = np.ones((1, 4))
    objectness[0, 2] = np.nan
    points_yx, class_probs = np.zeros((1, 4, 2)), np.zeros((1, 4, 3))
    points_yx[0, 1, 0], class_probs[0, 3, 1] = -1e26, 3e38
    true_yx = np.array([[[0.0, 0.0], [np.inf, 0], [1, 1], [2, 2]]])
    labels, mask = np.array([[-1, 7, 2, 0]]), np.ones((1, 4), bool)
    proposals, cells = matching._drop_unreal(
        (points_yx, objectness, class_probs, mask), (true_yx, labels, mask)
    )
    assert proposals[3].tolist() == [[True, False, False, False]]
    assert cells[2].tolist() == [[True, False, True, True]]
    assert cells[1].tolist() == [[0, 2, 2, 0]]
    for values, used in ((proposals[0], proposals[3]), (cells[0], cells[2])):
        assert (values[~used] == 0).all()


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((1001, 100), "device"),
        ((1000, 501), "host"),
        ((26_000, 20_000), "device"),
        ((1000, 26_000), "device"),
    ],
)
def test_choose_backend(sizes, expected):
    assert len(jax.local_devices(backend="cpu")) > 1
    assert matching.choose_backend(*sizes) == expected


@pytest.mark.parametrize(("platform", "calls"), [("cpu", True), ("cuda", False)])
def test_accelerators_take_the_device(platform, calls):
    case = problem(0, "random", 2, 20, 12)
    match = jax.jit(lambda case: matching.match(**case))
    text = match.trace(case).lower(lowering_platforms=(platform,)).as_text()
    assert ("callback" in text) == calls


@pytest.mark.parametrize(
    ("backend", "num_proposals", "expected"),
    [
        pytest.param("auto", CELLS, "host", marks=pytest.mark.on_cpu),
        ("auto", 4 * CELLS, "device"),
        ("host", 4 * CELLS, "host"),
        ("device", CELLS, "device"),
    ],
)
def test_which_backend_runs(backend, num_proposals, expected, monkeypatch):
    ran = []
    for name in BACKENDS:

        def record(*problem, name=name, **_):
            ran.append(name)
            return jnp.full(problem[1][1].shape, -1, jnp.int32)

        monkeypatch.setattr(matching, f"_on_{name}", record)
    matching.match(**problem(0, num_proposals=num_proposals), backend=backend)
    assert ran == [expected]


@pytest.mark.parametrize("sizes", [(20, 12), (12, 20)])
def test_too_many_points_for_callbacks(sizes, monkeypatch):
    monkeypatch.setattr(matching, "MAX_HOST_POINTS", 19)
    case = problem(0, "random", 2, *sizes)
    with pytest.raises(ValueError, match="use matching backend 'device'"):
        jax.eval_shape(lambda case: matching.match(**case, backend="host"), case)


def double(case: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    wider = {np.dtype(np.float32): np.float64, np.dtype(np.int32): np.int64}
    return {k: v.astype(wider.get(v.dtype, v.dtype)) for k, v in case.items()}


def test_float64_is_not_sent_to_the_host():
    """The limit on the number of points counts on four bytes for each."""
    with jax.enable_x64(True):
        graph = jax.make_jaxpr(lambda case: matching.match(**case, backend="host"))(
            double(problem(0))
        )
    (call,) = (e for e in graph.eqns if e.primitive.name == "pure_callback")
    assert max(x.aval.dtype.itemsize for x in call.invars) == 4


def test_the_device_takes_float64():
    case = double(problem(0))
    with jax.enable_x64(True):
        found = jax.eval_shape(lambda: matching.match(**case, backend="device"))
    assert found.proposal_idx.dtype == np.int32


@pytest.mark.parametrize("backend", BACKENDS)
def test_bfloat16_scores(backend):
    case = problem(6)
    halves = {
        name: jnp.asarray(case[name], jnp.bfloat16)
        for name in ("objectness", "class_probs")
    }
    case.update({k: np.asarray(v, np.float32) for k, v in halves.items()})
    expected = match(**case, backend=backend).proposal_idx
    result = match(**{**case, **halves}, backend=backend).proposal_idx
    np.testing.assert_array_equal(result, expected)
