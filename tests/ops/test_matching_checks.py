import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.ops import matching, matching_checks

BATCH, PROPOSALS, CELLS, CLASSES = 2, 6, 4, 3


@pytest.fixture
def case(rng) -> dict[str, np.ndarray]:
    """Arguments of `match` without padding."""
    return {
        "points_yx": rng.uniform(0, 60, (BATCH, PROPOSALS, 2)).astype(np.float32),
        "objectness": rng.uniform(0, 1, (BATCH, PROPOSALS)).astype(np.float32),
        "class_probs": np.full((BATCH, PROPOSALS, CLASSES), 0.3, np.float32),
        "true_yx": rng.uniform(0, 60, (BATCH, CELLS, 2)).astype(np.float32),
        "labels": rng.integers(0, CLASSES, (BATCH, CELLS)).astype(np.int32),
        "cell_mask": np.ones((BATCH, CELLS), bool),
        "proposal_mask": np.ones((BATCH, PROPOSALS), bool),
    }


def sides(case) -> tuple[tuple, tuple]:
    proposals = ("points_yx", "objectness", "class_probs", "proposal_mask")
    cells = ("true_yx", "labels", "cell_mask")
    return tuple(case[name] for name in proposals), tuple(case[name] for name in cells)


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("objectness", (1, 2), np.nan, "objectness of image 1, row 2 are not finite"),
        ("objectness", (1, 2), 3e38, r"image 1, row 2 .* or beyond 1e\+15"),
        ("points_yx", (0, 3, 1), np.inf, "proposal coordinates of image 0, row 3"),
        ("points_yx", (0, 3, 1), -1e26, "proposal coordinates of image 0, row 3"),
        ("class_probs", (1, 0, 2), -np.inf, "class probabilities of image 1, row 0"),
        ("true_yx", (0, 1, 0), 1e26, "cell coordinates of image 0, row 1"),
        ("labels", (1, 0), 3, r"label 3 of image 1, cell 0 is not in 0\.\.2"),
    ],
)
def test_bad_values(case, name, place, value, message):
    case[name][place] = value
    with pytest.raises(ValueError, match=message):
        matching.match(**case)
    mask = "cell_mask" if name in ("true_yx", "labels") else "proposal_mask"
    case[mask][place[:2]] = False
    matching_checks.check_values(*sides(case))


def test_unknown_backend(case):
    with pytest.raises(ValueError, match="backend 'gpu': use one of"):
        matching.match(**case, backend="gpu")


def test_too_few_proposals(case):
    case["proposal_mask"][1, :3] = False
    with pytest.raises(ValueError, match="image 1 has 4 cells but only 3 proposals"):
        matching.match(**case)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("cell_mask", lambda x: x[:, 1:], r"cell_mask is \(2, 3\), should be \(2, 4\)"),
        ("points_yx", lambda x: x[0], r"points_yx is \(6, 2\), should be \(2, 6, 2\)"),
        ("class_probs", lambda x: x[..., 0], r"class_probs is \(2, 6\), should be"),
        ("class_probs", lambda x: x[..., :0], "no classes"),
        ("objectness", lambda x: x[0], "give one image a first axis of 1"),
        ("labels", lambda x: x[0], "give one image a first axis of 1"),
        ("labels", lambda x: x * 1.0, "labels is float64, should be an integer type"),
        ("cell_mask", lambda x: x * 1.0, "cell_mask is float64, should be bool"),
        ("proposal_mask", lambda x: x * 1, "proposal_mask is int64, should be bool"),
    ],
)
def test_bad_shapes_and_dtypes(case, name, change, message):
    with pytest.raises(ValueError, match=message):
        matching.match(**{**case, name: change(case[name])})


def test_the_dtype_of_masks_is_checked_under_jit_too(case):
    case["cell_mask"] = case["cell_mask"].astype(np.float32)
    with pytest.raises(ValueError, match="cell_mask is float32, should be bool"):
        jax.eval_shape(lambda case: matching.match(**case), case)


@pytest.mark.parametrize("value", [-1, np.inf, np.nan, 1e300])
def test_bad_weights(case, value):
    weights = matching.MatchWeights(objectness=value)
    with pytest.raises(
        ValueError, match=f"weight objectness is {value}".replace("+", r"\+")
    ):
        matching.match(**case, weights=weights)


def test_weights_are_static(case):
    def matched(distance):
        return matching.match(**case, weights=matching.MatchWeights(distance))

    with pytest.raises(ValueError, match="weight distance is traced; weights are stat"):
        jax.eval_shape(matched, 0.05)
    known = jnp.float32(0.05)
    assert jax.eval_shape(lambda: matched(known)).matched.shape == (BATCH, PROPOSALS)


def test_the_largest_values_have_finite_costs(case):
    largest = matching_checks.LARGEST
    weights = matching.MatchWeights(largest, largest, largest)
    case["points_yx"][:] = -largest
    case["true_yx"][:] = largest
    case["objectness"][:] = largest
    case["class_probs"][:] = -largest
    matching_checks.check_weights(weights._asdict())
    matching_checks.check_values(*sides(case))
    cost = matching.matching_cost(
        *(case[name][0] for name in list(case)[:5]), weights=weights
    )
    assert np.isfinite(cost).all()


def test_drop_unreal(case):
    case["points_yx"][0, 1, 0] = -1e26
    case["objectness"][0, 2] = np.nan
    case["class_probs"][1, 3, 1] = 3e38
    case["true_yx"][1, 2, 1] = np.inf
    case["labels"][0] = [-1, 7, 2, 0]
    case = {k: v.astype(float) if v.dtype == np.float32 else v for k, v in case.items()}
    proposals, cells = jax.jit(matching_checks.drop_unreal)(*sides(case))
    proposals, cells = jax.device_get((proposals, cells))
    assert [x.dtype for x in proposals] == [np.float32] * 3 + [np.bool_]
    assert [x.dtype for x in cells] == [np.float32, np.int32, np.bool_]
    assert np.argwhere(~proposals[3]).tolist() == [[0, 1], [0, 2], [1, 3]]
    assert np.argwhere(~cells[2]).tolist() == [[1, 2]]
    for values, mask in ((proposals[0], proposals[3]), (cells[0], cells[2])):
        assert (values[~mask] == 0).all()
    assert cells[1][0].tolist() == [0, 2, 2, 0]
