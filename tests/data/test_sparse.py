import itertools
import math
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data import sparse

# (y, x), y != x, in no particular order; the last two differ in the label alone.
POINTS_YX = np.array([[9.5, 2.5], [1.5, 7.5], [4.5, 30.5], [1.5, 3.5], [1.5, 3.5]])
LABELS = np.array([0, 1, 0, 1, 0])

cells = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 40), st.integers(0, 2)),
    min_size=1,
    max_size=60,
    unique=True,
)


def arrays(rows: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(rows).reshape(-1, 3)
    return table[:, :2] + 0.5, table[:, 2]


def kept_cells(points_yx, labels, **options) -> set[tuple[float, ...]]:
    mask = sparse.kept_mask("train/7", points_yx, labels, **options)
    return {(*p, label) for p, label in zip(points_yx[mask], labels[mask], strict=True)}


@pytest.mark.parametrize(
    ("num_cells", "rate", "expected"),
    [
        (30, 0.1, 3),
        (31, 0.1, 4),
        (10, 0.7, 7),  # 0.7 * 10 is 7.000000000000001 in some orders of evaluation
        (100, 0.07, 7),  # 0.07 * 100 is 7.000000000000001
        (100, 0.29, 29),  # 0.29 * 100 is 28.999999999999996
        (3, 0.01, 1),
        (7, 1.0, 7),
        (1, 0.1, 1),
        (0, 0.1, 0),
    ],
)
def test_num_kept_is_the_ceiling(num_cells, rate, expected):
    assert sparse.num_kept(num_cells, rate) == expected


@given(num_cells=st.integers(1, 5000), percent=st.integers(1, 100))
def test_num_kept_agrees_with_integer_arithmetic(num_cells, percent):
    assert sparse.num_kept(num_cells, percent / 100) == -(-percent * num_cells // 100)


@pytest.mark.parametrize("rate", [0, 1.01, math.nan])
def test_rate_outside_its_range_is_refused(rate):
    with pytest.raises(errors.ConfigError, match=r"data\.keep_rate is") as caught:
        sparse.kept_mask("0", POINTS_YX, LABELS, rate=rate, seed=0)
    assert "\n" not in str(caught.value)


@given(rows=cells, seed=st.integers(0, 2**40), order=st.randoms(use_true_random=False))
def test_kept_cells_do_not_depend_on_the_order_of_points(rows, seed, order):
    shuffled = order.sample(rows, len(rows))
    options = {"rate": 0.3, "seed": seed}
    assert kept_cells(*arrays(rows), **options) == kept_cells(
        *arrays(shuffled), **options
    )


@given(rows=cells, seed=st.integers(0, 1000))
def test_rates_are_nested(rows, seed):
    points_yx, labels = arrays(rows)
    masks = [
        sparse.kept_mask("a", points_yx, labels, rate=step / 10, seed=seed)
        for step in range(1, 11)
    ]
    for fewer, more in itertools.pairwise(masks):
        assert np.all(more[fewer])
    one = sparse.kept_mask("a", points_yx, labels, rate=0.1, keep_one=True, seed=seed)
    assert one.sum() == 1
    assert np.all(masks[0][one])
    assert masks[-1].all()


@given(rows=cells, seed=st.integers(0, 1000))
def test_order_is_a_permutation(rows, seed):
    order = sparse.keep_order("a", *arrays(rows), seed)
    assert sorted(order) == list(range(len(rows)))


@pytest.mark.parametrize(
    ("number", "share", "expected"),
    [(0, 0.5, 0), (1, 0.9, 0), (10, 0.3, 3), (10, 0.29, 2), (100, 0.07, 7), (7, 0, 0)],
)
def test_num_withheld_is_the_floor(number, share, expected):
    assert sparse.num_withheld(number, share) == expected


@given(rows=cells, seed=st.integers(0, 1000), tenths=st.integers(1, 9))
def test_withheld_cells_are_the_last_of_the_kept_ones(rows, seed, tenths):
    """What is left to train on is what a lower rate keeps, and never nothing."""
    points_yx, labels = arrays(rows)
    options = {"rate": 0.7, "seed": seed}
    given_ = sparse.kept_mask("a", points_yx, labels, **options)
    share = tenths / 10
    seen = sparse.kept_mask("a", points_yx, labels, **options, withheld=share)
    hidden = sparse.withheld_mask("a", points_yx, labels, **options, withheld=share)
    np.testing.assert_array_equal(seen ^ hidden, given_)
    assert not (seen & hidden).any()
    assert seen.any()
    assert hidden.sum() == sparse.num_withheld(int(given_.sum()), share)
    order = sparse.keep_order("a", points_yx, labels, seed)
    assert seen[order[: seen.sum()]].all()


def test_order_is_pinned():
    # Sorted by y, x, label the rows are 4 3 1 2 0; the first five 64-bit words of
    # Philox under the key blake2b("7/train/3") then put them in this order. A change
    # here silently changes which cells every published run was trained on.
    order = sparse.keep_order("train/3", POINTS_YX, LABELS, seed=7)
    assert order.tolist() == [0, 2, 4, 1, 3]


def test_precision_of_the_points_does_not_matter():
    mask64 = sparse.kept_mask("0", POINTS_YX + 0.1, LABELS, rate=0.4, seed=1)
    mask32 = sparse.kept_mask(
        "0", (POINTS_YX + 0.1).astype(np.float32), LABELS, rate=0.4, seed=1
    )
    np.testing.assert_array_equal(mask64, mask32)


def test_seed_and_image_id_change_the_order():
    points_yx, labels = np.random.default_rng(0).uniform(0, 99, (50, 2)), np.zeros(50)
    orders = [
        sparse.keep_order(image_id, points_yx, labels, seed)
        for image_id, seed in (("1", 0), ("2", 0), ("1", 1), ("11", 1), ("1", 11))
    ]
    assert len({tuple(order) for order in orders}) == len(orders)


def test_image_without_cells():
    empty = np.zeros((0, 2), np.float32)
    assert sparse.keep_order("0", empty, np.zeros(0, np.int32), 0).shape == (0,)
    assert sparse.kept_mask("0", empty, np.zeros(0), rate=0.1, seed=0).shape == (0,)


def test_every_cell_is_kept_about_as_often():
    points_yx, labels = np.random.default_rng(0).uniform(0, 99, (20, 2)), np.zeros(20)
    kept = sum(
        sparse.kept_mask(str(i), points_yx, labels, rate=0.25, seed=0).astype(int)
        for i in range(400)
    )
    # Binomial(400, 0.25): mean 100, standard deviation 8.7; five of them.
    assert np.all(np.abs(kept - 100) < 44)


def test_two_processes_agree():
    code = (
        "import numpy as np\n"
        "from cellrec_jax.data import sparse\n"
        "points_yx = np.arange(80).reshape(40, 2) * 7 % 101 + 0.5\n"
        "labels = np.arange(40) % 2\n"
        "mask = sparse.kept_mask('a/b', points_yx, labels, rate=0.3, seed=5)\n"
        "print(np.flatnonzero(mask).tolist())\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    points_yx = np.arange(80).reshape(40, 2) * 7 % 101 + 0.5
    mask = sparse.kept_mask("a/b", points_yx, np.arange(40) % 2, rate=0.3, seed=5)
    assert outputs == [f"{np.flatnonzero(mask).tolist()}\n"] * 2
    assert mask.sum() == 12
