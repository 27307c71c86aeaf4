import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from cellrec_jax import errors, geometry
from cellrec_jax.data import corrupt
from cellrec_jax.data.record import Record

SIZE_HW = (20, 41)
cells = st.lists(
    st.tuples(st.integers(0, 19), st.integers(0, 40), st.integers(0, 2)),
    min_size=1,
    max_size=40,
    unique=True,
)
seeds = st.integers(0, 2**40)


def arrays(rows) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(rows).reshape(-1, 3)
    return table[:, :2].astype(np.float32) + np.float32(0.5), table[:, 2]


def flip(rows, share, image_id="train/7", seed=3):
    return corrupt.flip_labels(
        image_id, *arrays(rows), share=share, num_classes=3, seed=seed
    )


def shift(rows, shift_px, image_id="train/7", seed=3, form="disc", size_hw=SIZE_HW):
    options = {"shift_px": shift_px, "seed": seed, "form": form}
    return corrupt.shift_points(image_id, *arrays(rows), size_hw, **options)


MANY = [(i % 97, (7 * i) % 501, i % 3) for i in range(3000)]


@given(rows=cells, share=st.floats(0, 1), seed=seeds)
def test_the_share_of_flips(rows, share, seed):
    changed = flip(rows, share, seed=seed)
    num_flipped = np.count_nonzero(changed != arrays(rows)[1])
    assert abs(num_flipped - share * len(rows)) < 1 + 1e-6
    assert set(changed) <= {0, 1, 2}
    assert not np.any(flip(rows, 0, seed=seed) != arrays(rows)[1])
    assert np.all(flip(rows, 1, seed=seed) != arrays(rows)[1])


def test_the_share_holds_over_images_of_few_cells():
    rows = MANY[:3]
    flips = sum(
        np.count_nonzero(flip(rows, 0.2, image_id=str(i)) != arrays(rows)[1])
        for i in range(1000)
    )
    # 0.6 an image: Bernoulli(0.6), 600 in all with a deviation of 15.5; five of them.
    assert abs(flips - 600) < 78


def test_other_classes_are_drawn_alike():
    labels = arrays(MANY)[1]
    step = (flip(MANY, 1.0) - labels) % 3
    assert abs(np.count_nonzero(step == 1) - 1500) < 137  # five deviations of 27.4


@given(rows=cells, seed=seeds, order=st.randoms(use_true_random=False))
def test_draws_do_not_depend_on_the_order_of_points(rows, seed, order):
    index = order.sample(range(len(rows)), len(rows))
    shuffled = [rows[i] for i in index]
    np.testing.assert_array_equal(
        flip(rows, 0.5, seed=seed)[index], flip(shuffled, 0.5, seed=seed)
    )
    np.testing.assert_array_equal(
        shift(rows, 4.0, seed=seed)[index], shift(shuffled, 4.0, seed=seed)
    )


@given(rows=cells, seed=seeds)
def test_flips_are_nested(rows, seed):
    labels = arrays(rows)[1]
    fewer = labels
    for share in (0.2, 0.4, 0.4, 1.0):
        more = flip(rows, share, seed=seed)
        flipped = fewer != labels
        np.testing.assert_array_equal(more[flipped], fewer[flipped])
        fewer = more


def test_shifts_are_nested():
    small, large = (shift(MANY, px, size_hw=(999, 999)) for px in (1.0, 4.0))
    points_yx = arrays(MANY)[0]
    # Away from the border, where nothing is cut off.
    free = (points_yx > 5).all(axis=1)
    np.testing.assert_allclose(
        (large - points_yx)[free], 4 * (small - points_yx)[free], atol=2e-4
    )


@pytest.mark.parametrize("form", corrupt.SHIFT_FORMS)
def test_lengths_of_shifts(form):
    rows = [(y + 100, x + 100, k) for y, x, k in MANY]
    offset = shift(rows, 8.0, form=form, size_hw=(900, 900)) - arrays(rows)[0]
    length = np.hypot(*offset.T)
    # Within five standard errors: a disc's mean square is R^2 / 2, and nothing outside.
    if form == "disc":
        assert length.max() <= 8.001
        assert np.mean(length**2) == pytest.approx(32, abs=1.7)
    else:
        assert np.std(offset, axis=0) == pytest.approx(8, abs=0.52)
    assert np.mean(offset, axis=0) == pytest.approx(0, abs=0.75)


@given(rows=cells, seed=seeds, px=st.floats(0, 100))
def test_points_stay_inside(rows, seed, px):
    for form in corrupt.SHIFT_FORMS:
        moved = shift(rows, px, seed=seed, form=form)
        assert moved.dtype == np.float32
        assert geometry.inside(moved, SIZE_HW).all()


PINNED_LABELS = [0, 2, 1, 1, 1]
PINNED_POINTS = [
    [7.62132, 0.0],
    [3.0139, 8.90909],
    [2.33638, 30.61375],
    [2.92623, 0.84428],
    [2.38524, 4.8023],
]


def test_draws_are_pinned():
    # A change here silently changes the labels of every published run.
    rows = [(9, 2, 0), (1, 7, 1), (4, 30, 0), (1, 3, 1), (1, 3, 0)]
    assert flip(rows, 0.6).tolist() == PINNED_LABELS
    np.testing.assert_allclose(shift(rows, 4.0), PINNED_POINTS, atol=1e-5)


def test_seed_image_and_purpose_change_the_draw():
    drawn = {flip(MANY[:50], 0.5, i, s).tobytes() for i in "12" for s in (0, 1, 12)}
    moved = {shift(MANY[:50], 2.0, i, s).tobytes() for i in "12" for s in (0, 1, 12)}
    assert len(drawn) == len(moved) == 6


def record(boxes: bool = True) -> Record:
    points_yx, labels = arrays(MANY[:9])
    points_yx %= 18
    boxes_yxyx = geometry.boxes_around(points_yx, (4, 6)) if boxes else None
    image = np.zeros((*SIZE_HW, 3), np.uint8)
    return Record("a", image, points_yx, labels.astype(np.int32), boxes_yxyx)


def test_a_record_and_its_boxes():
    clean = record()
    out = corrupt.corrupt_record(
        clean, num_classes=3, flip_share=0.5, shift_px=3.0, seed=1
    )
    assert np.count_nonzero(out.labels != clean.labels) in (4, 5)
    assert out.labels.dtype == np.int32
    assert not np.array_equal(out.points_yx, clean.points_yx)
    np.testing.assert_allclose(
        out.boxes_yxyx, geometry.boxes_around(out.points_yx, (4, 6)), atol=1e-5
    )
    assert out.boxes_yxyx.dtype == np.float32
    assert out.image is clean.image
    plain = corrupt.corrupt_record(record(boxes=False), num_classes=3, shift_px=3.0)
    assert plain.boxes_yxyx is None


def test_nothing_to_change():
    clean = record()
    assert corrupt.corrupt_record(clean, num_classes=1) is clean
    empty = np.zeros((0, 2), np.float32), np.zeros(0, np.int32)
    options = {"share": 0.5, "num_classes": 2, "seed": 0}
    assert corrupt.flip_labels("0", *empty, **options).shape == (0,)
    moved = corrupt.shift_points("0", *empty, SIZE_HW, shift_px=3.0, seed=0)
    assert moved.shape == (0, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flip_share": -0.1}, r"data\.flip_labels is -0.1"),
        ({"flip_share": 0.1, "num_classes": 1}, "no other class"),
        ({"shift_px": math.inf}, r"data\.jitter_px is inf"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(errors.ConfigError, match=message) as caught:
        corrupt.corrupt_record(record(), **({"num_classes": 3} | options))
    assert "\n" not in str(caught.value)
