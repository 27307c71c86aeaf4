"""Labels that are drawn for validation, and those that training does not see."""

import dataclasses

import numpy as np
import pytest

from cellrec_jax import errors, geometry
from cellrec_jax.config import DataConfig
from cellrec_jax.data import drawn, example, sets
from cellrec_jax.data.record import Record, Source

CONFIG = DataConfig(
    synthetic_train=3,
    synthetic_val=0,
    synthetic_test=1,
    synthetic_hw=(192, 160),
    size_hw=(192, 160),
    classes="tumour=positive+negative",
    keep_rate=0.5,
    threshold_share=0.4,
    box_size=20.0,
)


def rows_of(points_yx):
    return {tuple(point) for point in np.asarray(points_yx).round(2).tolist()}


def test_training_and_threshold_share_the_kept_labels():
    """What is withheld is what the same run keeps otherwise, less what it sees."""
    opened = sets.open_sets(CONFIG, 0)
    whole = sets.open_sets(dataclasses.replace(CONFIG, threshold_share=0.0), 0)
    assert opened.fitting is opened.withheld
    assert opened.withheld.labels == sets.Labels(1.0, withheld=True)
    assert whole.fitting is whole.val
    number = 0
    for image_id in opened.train.image_ids:
        record = opened.train.source.load(image_id)
        seen, _ = example.sample_cells(record, opened.train.spec)
        kept, _ = example.sample_cells(
            whole.train.source.load(image_id), whole.train.spec
        )
        held = opened.withheld.source.load(image_id)
        assert not rows_of(seen.points_yx) & rows_of(held.points_yx)
        together = rows_of(seen.points_yx) | rows_of(held.points_yx)
        assert together == rows_of(kept.points_yx)
        assert held.num_cells == len(record.points_yx)
        number += len(held.points_yx)
    assert number > 3
    assert (
        sets.survey(opened.train).num_kept == sets.survey(whole.train).num_kept - number
    )


def test_nothing_is_learnt_within_half_a_box_of_withheld_labels():
    opened = sets.open_sets(CONFIG, 0)
    images = sets.load_train(opened.train).images
    for index, image_id in enumerate(opened.train.image_ids):
        held_yx = opened.withheld.source.load(image_id).points_yx
        rows, columns = np.indices((192, 160))
        middles = np.stack([rows, columns], axis=-1) + 0.5
        away = np.linalg.norm(middles[None] - held_yx[:, None, None], axis=-1)
        np.testing.assert_array_equal(images.valid[index], (away > 10).all(axis=0))


def test_withheld_labels_are_moved_as_those_that_are_seen():
    moved = dataclasses.replace(CONFIG, jitter_px=3.0)
    plain, jittered = (sets.open_sets(c, 0).withheld.source for c in (CONFIG, moved))
    first = plain.image_ids[0]
    between = plain.load(first).points_yx - jittered.load(first).points_yx
    distance = np.hypot(*between.T)
    assert 0 < distance.max() <= 3.01


def test_validation_images_beside_withheld_labels_are_refused():
    both = dataclasses.replace(CONFIG, synthetic_val=2)
    with pytest.raises(errors.ConfigError, match=r"threshold_share=0.4: the 2 valid"):
        sets.open_sets(both, 0)


def test_a_random_split_has_no_validation_images_where_labels_are_withheld(
    bcdata_folder,
):
    config = dataclasses.replace(CONFIG, root=str(bcdata_folder))
    opened = sets.open_sets(config, 3)
    plain = sets.open_sets(dataclasses.replace(config, threshold_share=0.0), 3)
    assert opened.test.image_ids == plain.test.image_ids
    assert opened.val.image_ids == ()
    together = {*plain.train.image_ids, *plain.val.image_ids}
    assert set(opened.train.image_ids) == together


def test_a_share_of_the_validation_labels_is_kept_and_told():
    config = dataclasses.replace(
        CONFIG, threshold_share=0.0, synthetic_val=2, val_keep_rate=0.25
    )
    opened = sets.open_sets(config, 0)
    for image_id in opened.val.image_ids:
        whole = opened.test.source.load(image_id)
        part = opened.val.source.load(image_id)
        assert len(part.labels) == int(np.ceil(0.25 * len(whole.labels)))
        assert rows_of(part.points_yx) < rows_of(whole.points_yx)
        assert part.num_cells == len(whole.labels)
    assert opened.test.source.load(opened.test.image_ids[0]).num_cells is None


def test_ignored_cells_are_not_cells_of_which_labels_are_a_part():
    """Two of three cells lie where annotations count."""
    points_yx = np.array([[10.5, 5.5], [10.5, 15.5], [10.5, 35.5]], np.float32)
    ignore = np.zeros((20, 40), bool)
    ignore[:, 30:] = True
    image, labels = np.zeros((20, 40, 3), np.uint8), np.zeros(3, np.int32)
    record = Record("a", image, points_yx, labels, ignore=ignore)
    source = Source("arrays", ("cell",), ("a",), lambda _: record)
    assert drawn.sampled(source, 0.5, 0).load("a").num_cells == 2
    assert drawn.sampled(source, 1.0, 0) is source


def test_marked_shares_are_of_what_is_measured():
    config = dataclasses.replace(CONFIG, threshold_share=0.0, marked_share=0.25)
    opened = sets.open_sets(config, 0)
    assert opened.train.labels == sets.Labels()
    assert opened.val.labels == opened.test.labels == sets.Labels(0.25)
    whole = sets.open_for_evaluation(config, 0, whole=True)
    assert whole.labels == sets.Labels(0.25)


def test_places_are_those_of_the_file():
    """A point beyond the last px belongs to it."""
    valid = np.array([[True, False]])
    points_yx = np.array([[0.2, 0.9], [0.2, 1.1], [1.0, 2.0]])
    assert example.lie_in(valid, points_yx).tolist() == [True, False, False]
    assert example.lie_in(None, points_yx).tolist() == [True] * 3
    assert geometry.point_to_pixel(points_yx)[2].tolist() == [1, 2]
