import itertools

import jax
import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data import arrays, example
from cellrec_jax.types import Batch

NUM = 7
SPEC = example.ExampleSpec(size_hw=(12, 16), max_cells=3, box_size=4.0)


def make_source(num: int = NUM, dtype=np.uint8):
    """Image i is flat i, with i % 3 cells."""
    images = [np.full((24, 48, 3), i, dtype) for i in range(num)]
    points_yx = [np.full((i % 3, 2), (5.5, i + 1.5)) for i in range(num)]
    labels = [np.arange(i % 3) for i in range(num)]
    return arrays.from_arrays(images, points_yx, labels, class_names=("a", "b"))


@pytest.fixture
def stacked() -> Batch:
    source = make_source()
    return arrays.stack(
        [example.prepare(source.load(i), SPEC) for i in source.image_ids]
    )


def first(batches, num: int) -> list[Batch]:
    return list(itertools.islice(batches, num))


def assert_equal(left: Batch, right: Batch) -> None:
    jax.tree.map(np.testing.assert_array_equal, left, right)


def test_stack(stacked):
    assert stacked.image.shape == (NUM, 12, 16, 3)
    assert stacked.image.dtype == np.uint8
    assert stacked.example_index.tolist() == list(range(NUM))
    assert stacked.points_mask.sum(1).tolist() == [0, 1, 2, 0, 1, 2, 0]
    # (5.5, 4 + 1.5) at half the height and a third of the width.
    np.testing.assert_allclose(stacked.points_yx[4, 0], [2.75, 5.5 / 3], rtol=1e-6)


def test_stack_mixes_8_and_16_bits_as_floats():
    sources = make_source(2), make_source(2, np.uint16)
    examples = [example.prepare(s.load("000001"), SPEC) for s in sources]
    image = arrays.stack(examples).image
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[0], 1 / 255)


def test_a_stream_is_stacked_as_a_list_is(stacked):
    source = make_source()
    stream = (example.prepare(source.load(i), SPEC) for i in source.image_ids)
    assert_equal(arrays.stack(stream, NUM), stacked)
    fewer = arrays.with_slots(stacked, 2)
    assert fewer.points_mask.shape == (NUM, 2)
    np.testing.assert_array_equal(fewer.boxes_yxyx, stacked.boxes_yxyx[:, :2])
    assert fewer.image is stacked.image


def test_channels_must_agree():
    images = [np.zeros((24, 48, channels), np.uint8) for channels in (3, 1)]
    source = arrays.from_arrays(images, [np.ones((1, 2))] * 2)
    examples = [example.prepare(source.load(i), SPEC) for i in source.image_ids]
    with pytest.raises(errors.DataError, match=r"image 1 becomes \(12, 16, 1\)"):
        arrays.stack(examples)


def test_order_is_a_permutation_fixed_for_ever():
    orders = [arrays.shuffled(50, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    for one in orders:
        assert sorted(one) == list(range(50))
    assert len({tuple(one) for one in orders}) == 4
    # The sorted positions of the first raw words of Philox with this key.
    words = np.random.Philox(key=np.array([3, 2], np.uint64)).random_raw(5)
    assert arrays.shuffled(5, 3, 2).tolist() == sorted(range(5), key=lambda i: words[i])


def test_an_epoch_is_shuffled_once():
    arrays.shuffled.cache_clear()
    found = [arrays.batch_indices(100, arrays.Order(8, 3), step) for step in range(25)]
    assert arrays.shuffled.cache_info().misses == 2
    assert sorted(np.concatenate(found)) == sorted([*range(100), *range(100)])


@pytest.mark.parametrize("batch_size", [2, 3, 7, 10, 20])
def test_batches_go_through_whole_epochs(batch_size):
    steps = 70 // batch_size
    seen = np.concatenate(
        [
            arrays.batch_indices(NUM, arrays.Order(batch_size, 9), step)
            for step in range(steps)
        ]
    )
    for epoch in range(len(seen) // NUM):
        np.testing.assert_array_equal(
            seen[epoch * NUM : (epoch + 1) * NUM], arrays.shuffled(NUM, 9, epoch)
        )


def test_resume_gives_the_same_batches(stacked):
    straight = first(arrays.train_batches(stacked, arrays.Order(4, 3)), 6)
    resumed = first(arrays.train_batches(stacked, arrays.Order(4, 3), start_step=4), 2)
    for left, right in zip(straight[4:], resumed, strict=True):
        assert_equal(left, right)
    assert straight[0].example_index.tolist() == [0, 1, 2, 3]


def test_two_processes_are_one(stacked):
    whole = first(arrays.train_batches(stacked, arrays.Order(6, 3)), 3)
    parts = [
        first(arrays.train_batches(stacked, arrays.Order(6, 3, p, 2)), 3)
        for p in (0, 1)
    ]
    for step in range(3):
        joined = jax.tree.map(
            lambda a, b: np.concatenate([a, b]), parts[0][step], parts[1][step]
        )
        assert_equal(joined, whole[step])


def test_unequal_parts_are_refused(stacked):
    with pytest.raises(errors.ConfigError, match=r"batch_size=5"):
        next(arrays.train_batches(stacked, arrays.Order(5, 0, 0, 2)))


@pytest.mark.parametrize("on_device", [False, True])
def test_eval_fills_the_last_batch(stacked, on_device):
    source = arrays.to_device(stacked, 10**9) if on_device else stacked
    batches = list(arrays.eval_batches(source, 4))
    assert [batch.image_mask.tolist() for batch in batches] == [
        [True] * 4,
        [True, True, True, False],
    ]
    joined = jax.tree.map(lambda *parts: np.concatenate(parts), *batches)
    assert_equal(jax.tree.map(lambda a: a[:NUM], joined), stacked)
    assert not joined.points_mask[NUM:].any()
    assert not joined.valid[NUM:].any()
    assert joined.example_index.tolist() == list(range(8))


def test_device_batches_equal_host_batches(stacked):
    held = arrays.to_device(stacked, 10**9)
    assert isinstance(held.image, jax.Array)
    assert held.image.dtype == np.uint8
    with jax.transfer_guard("disallow"):
        on_device = first(arrays.train_batches(held, arrays.Order(4, 3)), 3)
    for left, right in zip(
        on_device,
        first(arrays.train_batches(stacked, arrays.Order(4, 3)), 3),
        strict=True,
    ):
        assert isinstance(left.image, jax.Array)
        assert_equal(left, right)


def test_a_set_over_the_limit_stays_on_the_host(stacked):
    assert arrays.to_device(stacked, 1000) is stacked


def test_from_arrays_gives_records():
    source = make_source()
    assert source.format == "arrays"
    assert source.class_names == ("a", "b")
    record = source.load(source.image_ids[5])
    assert record.points_yx.tolist() == [[5.5, 6.5], [5.5, 6.5]]
    assert record.points_yx.dtype == np.float32
    assert record.labels.tolist() == [0, 1]
    assert record.boxes_yxyx is None


def test_from_arrays_needs_points_only():
    image = np.zeros((8, 9, 1), np.uint8)
    source = arrays.from_arrays(
        [image, image],
        [np.array([[1.5, 8.5]]), []],
        boxes_yxyx=[np.array([[0, 7, 3, 9]]), []],
    )
    assert source.class_names == ("cell",)
    one, none = (source.load(i) for i in source.image_ids)
    assert one.labels.tolist() == [0]
    assert one.boxes_yxyx.tolist() == [[0, 7, 3, 9]]
    assert none.points_yx.shape == (0, 2)
    assert none.boxes_yxyx.shape == (0, 4)


IMAGE = np.zeros((8, 12, 3), np.uint8)


@pytest.mark.parametrize(
    ("image", "points_yx", "labels", "boxes_yxyx", "match"),
    [
        (IMAGE, [[8.0, 3.0]], [0], None, "points outside its"),
        (IMAGE, [[np.nan, 3.0]], [0], None, "points outside its"),
        (IMAGE, [[2.0, 3.0]], [1], None, r"labels outside 0\.\.0"),
        (IMAGE, [[2.0, 3.0]], [0, 0], None, r"1 points but labels of \(2,\)"),
        (IMAGE, [[2.0, 3.0]], [0], [[1, 2, 1, 4]], "empty or inverted boxes"),
        (IMAGE, [[2.0, 3.0]], [0], np.zeros((0, 4)), "1 points but 0 boxes"),
        (IMAGE[..., 0], [[2.0, 3.0]], [0], None, r"shape \(8, 12\)"),
        (IMAGE / 255, [[2.0, 3.0]], [0], None, "float64 is not uint8"),
    ],
)
def test_from_arrays_refuses(image, points_yx, labels, boxes_yxyx, match):
    boxes = None if boxes_yxyx is None else [np.array(boxes_yxyx)]
    with pytest.raises(errors.DataError, match=f"image 0: .*{match}"):
        arrays.from_arrays(
            [image], [np.array(points_yx)], [np.array(labels)], boxes_yxyx=boxes
        )
