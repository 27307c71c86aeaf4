"""From peaks to labels: patches in their order, and rounds with nothing to select."""

import dataclasses

import numpy as np
import pytest

from cellrec_jax import methods
from cellrec_jax.config import CheckpointConfig, DataConfig
from cellrec_jax.data import arrays, sets
from cellrec_jax.data.example import ExampleSpec
from cellrec_jax.io.console import Console
from cellrec_jax.methods.heatmap_pu import method as heatmap_pu
from cellrec_jax.methods.refine_options import RefineOptions
from cellrec_jax.rounds import candidates as pc
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds import relabel
from cellrec_jax.rounds.remaining import Held
from cellrec_jax.types import Traits
from cellrec_jax.workdir import model as model_lib
from tests.rounds import peaks

CONFIG = RefineOptions(match_px=3.0, network="small", patch_px=13, epochs=1)


def _labels(eval_set, points):
    return {image_id: round_labels.given(points) for image_id in eval_set.image_ids}


def _judge(candidates, labels, eval_set, config, folder):
    checkpoints, quiet = CheckpointConfig(), Console(quiet=True)
    return relabel.judge(
        candidates, labels, eval_set, config, 0, folder, checkpoints, quiet
    )


def test_withheld_labels_stay_hidden_in_all_rounds():
    """None of a round's own labels is withheld; the places of the first ones are."""
    config = DataConfig(
        synthetic_train=1,
        synthetic_val=0,
        synthetic_test=0,
        synthetic_hw=(96, 64),
        size_hw=(96, 64),
        classes="cell=positive+negative",
        threshold_share=0.5,
    )
    opened = sets.open_sets(config, 0)
    (image_id,) = opened.train.image_ids
    points_yx = opened.train.source.load(image_id).points_yx
    own = {image_id: round_labels.given(points_yx)}
    images = sets.load_train(relabel.with_labels(opened.train, own)).images
    assert images.points_mask.sum() == len(points_yx)
    before = sets.load_train(opened.train).images
    assert before.points_mask.sum() < len(points_yx)
    assert not before.valid.all()
    np.testing.assert_array_equal(images.valid, before.valid)


def test_withheld_labels_shorten_what_is_added():
    """Of 36 unlabelled peaks 12 are cells, and 18 are chosen; then as none were."""
    eval_set = peaks.eval_set([np.zeros((40, 60, 1), np.uint8)])
    y, x = np.meshgrid(np.arange(5) * 8 + 4, np.arange(8) * 7 + 4, indexing="ij")
    points = np.stack([y.ravel(), x.ravel()], axis=1).astype(np.float32)
    found = peaks.candidates(np.zeros(40), points)
    features = np.where(np.arange(40) < 16, 1.0, 0.1) + np.arange(40) / 1000
    kinds = np.where(np.arange(40) < 4, pc.POSITIVE, pc.UNLABELED).astype(np.int8)
    judged = relabel.Judged(
        found, kinds, None, np.zeros(40), features[:, None], 0.5, {}, ()
    )
    labels = _labels(eval_set, points[:4])
    config = dataclasses.replace(CONFIG, top_share=0.5, bottom_share=0.1)

    def added(held_yx, stop_below):
        changed = dataclasses.replace(config, stop_below=stop_below)
        held = Held([held_yx], cells_each=1.0)
        result = relabel.relabel(judged, labels, eval_set, changed, 1, held)
        assert result.remaining.chosen.peaks == 18
        (own,) = result.labels.values()
        origins = np.array(own.origins)
        cells = own.points_yx[origins == round_labels.POSITIVE]
        return cells, np.sum(origins == round_labels.NEGATIVE)

    cells, background = added(points[4:16] + 1, 0.5)
    assert sorted(cells.tolist()) == points[4:16].tolist()
    assert background == 3
    assert [len(cells), background] == [12, 3]
    cells, background = added(points[4:16] + 1, 0.0)
    assert [len(cells), background] == [18, 3]
    cells, background = added(points[:4], 0.5)
    assert [len(cells), background] == [0, 0]


def test_labels_move_to_the_network_s_frame():
    eval_set = peaks.eval_set([np.zeros((40, 60, 1), np.uint8)], size_hw=(20, 30))
    (moved,) = relabel.to_network(_labels(eval_set, [[10.0, 20.0]]), eval_set)
    np.testing.assert_allclose(moved.points_yx, [[5.0, 10.0]])


@pytest.mark.parametrize(
    ("image", "points", "note"),
    [
        ([], [], "the detector found no peak"),
        ([0, 0], [[30, 30], [20, 50]], "no peak is at a label"),
        ([0], [[10, 10]], "every peak is at a label"),
    ],
)
def test_rounds_with_nothing_to_select_say_so(image, points, note, tmp_path):
    eval_set = peaks.eval_set([np.zeros((40, 60, 1), np.uint8)])
    labels = _labels(eval_set, [[10.0, 10.0]])
    judged = _judge(peaks.candidates(image, points), labels, eval_set, CONFIG, tmp_path)
    assert judged.classifier is None
    assert np.isnan(judged.scores).all()
    (reason,) = judged.notes
    assert reason.startswith("the patch classifier had nothing to learn from: ")
    assert note in reason
    found = relabel.relabel(judged, labels, eval_set, CONFIG, 1)
    changed = round_labels.difference(labels, found.labels)
    assert (changed.added, changed.removed) == (0, 0)
    assert note in " ".join(found.ranking.notes)


@pytest.mark.slow
def test_selected_peaks_are_written_in_the_frame_of_the_file(tmp_path):
    """Two blobs and two empty places at half size; the shares select one of each."""
    image = np.full((80, 120, 1), 40, np.uint8)
    places = np.array([[20, 20], [20, 90], [60, 30], [60, 90]], np.float32)
    for y, x in places[:2].astype(int):
        image[y - 4 : y + 4, x - 4 : x + 4] = 220
    eval_set = peaks.eval_set([image], size_hw=(40, 60))
    labels = _labels(eval_set, places[:1])
    config = dataclasses.replace(
        CONFIG, top_share=0.4, bottom_share=0.4, moved_share=0.0, epochs=3
    )
    found = peaks.candidates([0, 0, 0, 0], places / 2)
    judged = _judge(found, labels, eval_set, config, tmp_path)
    np.testing.assert_array_equal(judged.kinds, [pc.POSITIVE] + [pc.UNLABELED] * 3)
    result = relabel.relabel(judged, labels, eval_set, config, 1)
    (own,) = result.labels.values()
    assert own.origins[0] == round_labels.GIVEN
    chosen = dict(zip(own.origins[1:], own.points_yx[1:].tolist(), strict=True))
    assert chosen[round_labels.POSITIVE] == places[1].tolist()
    assert chosen[round_labels.NEGATIVE] in places[2:].tolist()


@pytest.mark.slow
def test_judged_peaks_keep_the_note_of_their_prior(tmp_path):
    eval_set = peaks.eval_set([np.zeros((40, 60, 1), np.uint8)])
    config = dataclasses.replace(CONFIG, prior_rule="penl1")
    found = peaks.candidates([0, 0, 0], [[10, 10], [30, 30], [20, 50]])
    judged = _judge(found, _labels(eval_set, [[10, 10]]), eval_set, config, tmp_path)
    assert judged.classifier is not None
    assert judged.prior == pytest.approx(2 / 3)
    assert "too few for 5 folds" in judged.notes[0]


def test_peaks_in_the_padding_are_no_candidates():
    """A wide image in a square frame: the map's highest and lowest lie below it."""
    image = np.full((32, 64, 1), 100, np.uint8)
    source = arrays.from_arrays([image], [np.array([[10.5, 20.5]], np.float32)])
    spec = ExampleSpec(size_hw=(64, 64), max_cells=8, training=False, resize="pad")
    eval_set = sets.load_eval(sets.Split(source, source.image_ids, spec))
    heights = np.zeros((1, 64, 64), np.float32)
    heights[0, 10, 20], heights[0, 20, 50] = 0.8, 0.6
    model = _model_of_a_map()
    find = relabel.find_candidates
    alone = find(dataclasses.replace(model, params=heights.copy()), eval_set)
    assert alone.points_yx.tolist() == [[10.5, 20.5], [20.5, 50.5]]
    low = find(dataclasses.replace(model, params=0.9 * heights), eval_set, 0.9)
    assert low.points_yx.tolist() == [[10.5, 20.5]]
    heights[0, 50, 30], heights[0, 60, 5] = 9.0, -9.0
    padded = find(dataclasses.replace(model, params=heights), eval_set)
    for one, other in zip(alone, padded, strict=True):
        np.testing.assert_array_equal(one, other)


def _model_of_a_map():
    """A detector whose parameters are its map."""
    options = heatmap_pu.ModelOptions(window_px=3, max_detections=8)

    def candidates(params, model_state, batch, decode):
        del model_state
        return heatmap_pu._detect_all(params, batch, decode, options)

    method = heatmap_pu.make(heatmap_pu.Options(), num_classes=1)
    method = method._replace(traits=Traits(candidates=candidates))
    decode = {"thresholds": [0.5], "min_distance": 0.0}
    meta = {"decode": decode, "native_hw": (64, 64)}
    return model_lib.Model(
        methods.freeze({"method": "heatmap_pu"}), method, None, {}, meta, 0
    )


BY_SCORE = RefineOptions(
    rounds=1, match_px=3.0, rank="score", take="threshold", carry_over=False
)


def test_labels_taken_by_score_and_threshold_are_renewed(tmp_path):
    """A detection that is gone is dropped, a given label without one stays."""
    eval_set = peaks.eval_set([np.zeros((40, 60, 1), np.uint8)])
    given = np.array([[5.0, 5.0], [5.0, 50.0]], np.float32)
    before = round_labels.given(np.concatenate([given, [[20, 20], [20, 40]]]))
    before = before._replace(
        origins=("given", "given", "pseudo_positive", "pseudo_negative"),
        rounds=np.array([0, 0, 1, 1], np.int32),
        ranks=np.array([np.nan, np.nan, 0.9, 0.1], np.float32),
    )
    labels = dict.fromkeys(eval_set.image_ids, before)
    points = [[5, 6], [20, 41], [30, 30], [20, 20], [35, 50]]
    found = peaks.candidates(np.zeros(5), points)._replace(
        heights=np.float32([0.9, 0.6, 0.3, 0.29, 0.01])
    )
    judged = _judge(found, labels, eval_set, BY_SCORE, tmp_path)
    assert judged.classifier is None
    assert judged.notes == ()
    # The first is at a given label; what was taken before counts no more.
    kinds = [pc.POSITIVE, *[pc.UNLABELED] * 4]
    assert judged.kinds.tolist() == kinds

    def renewed(**changed):
        config = dataclasses.replace(BY_SCORE, **changed)
        result = relabel.relabel(
            judged, labels, eval_set, config, 2, threshold=np.float64(np.float32(0.3))
        )
        (own,) = result.labels.values()
        assert own.origins[:2] == ("given", "given")
        np.testing.assert_array_equal(own.points_yx[:2], given)
        return list(
            zip(
                own.points_yx[2:].tolist(), own.origins[2:], own.rounds[2:], strict=True
            )
        )

    cells = [([20, 41], "pseudo_positive", 2), ([30, 30], "pseudo_positive", 2)]
    background = [([35, 50], "pseudo_negative", 2)]
    assert renewed(bottom_share=0.25) == [*cells, *background]
    assert renewed(bottom_share=0.0) == cells


def test_by_share_the_surest_by_score_are_added_to_all_labels(tmp_path):
    """Those of the last round stay."""
    eval_set = peaks.eval_set([np.zeros((40, 60, 1), np.uint8)])
    before = round_labels.given([[5.0, 5.0], [20.0, 20.0]])
    before = before._replace(origins=("given", "pseudo_positive"))
    labels = dict.fromkeys(eval_set.image_ids, before)
    found = peaks.candidates(
        np.zeros(4), [[20, 20], [20, 41], [30, 30], [5, 40]]
    )._replace(heights=np.float32([0.9, 0.2, 0.8, 0.7]))
    config = dataclasses.replace(
        BY_SCORE, take="share", top_share=0.34, bottom_share=0.34
    )
    judged = _judge(found, labels, eval_set, config, tmp_path)
    (own,) = relabel.relabel(judged, labels, eval_set, config, 2).labels.values()
    np.testing.assert_array_equal(own.points_yx[2:], [[30, 30], [20, 41]])
    assert own.origins[1:] == ("pseudo_positive", "pseudo_positive", "pseudo_negative")
    np.testing.assert_array_equal(own.ranks[2:], np.float32([0.8, 0.2]))


def test_stains_of_equal_grey_are_ranked_by_colours_alone(tmp_path):
    """Red cells, one of them labelled, and green ones; the mean is 100 everywhere."""
    image = np.full((40, 60, 3), 100, np.uint8)
    red, green = (150, 75, 75), (75, 150, 75)
    points = np.array([[10, 10], [10, 30], [10, 50], [30, 10], [30, 30], [30, 50]])
    for (y, x), color in zip(points, [red] * 3 + [green] * 3, strict=True):
        image[y - 9 : y + 9, x - 9 : x + 9] = color
    eval_set = peaks.eval_set([image])
    labels = _labels(eval_set, points[:1])
    found = peaks.candidates(np.zeros(6), points)

    def scores(colors):
        config = dataclasses.replace(CONFIG, patch_colors=colors, top_share=0.4)
        judged = _judge(found, labels, eval_set, config, tmp_path / colors)
        result = relabel.relabel(judged, labels, eval_set, config, 1)
        return result.ranking.positive_scores, result.ranking.notes

    ranked, notes = scores("all")
    assert notes == ()
    assert ranked[1:3].min() > ranked[3:].max()
    ranked, notes = scores("grey")
    assert np.isnan(ranked).all()
    assert "tell no two unlabelled peaks apart" in notes[0]
