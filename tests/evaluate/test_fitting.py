"""Operating points and metrics, by hand."""

import dataclasses
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.config import DataConfig, EvalConfig, Experiment
from cellrec_jax.data import transforms
from cellrec_jax.data.record import Source, changed
from cellrec_jax.data.sets import Labels, Split
from cellrec_jax.evaluate import fitting, predictions
from cellrec_jax.io.console import Console
from cellrec_jax.metrics import counting
from cellrec_jax.predict import compiled, stream, views
from cellrec_jax.predict.frame import Frame
from cellrec_jax.types import Detections, Method, Traits


def test_metrics_of_the_two_images(results):
    """Image a: 1 cell, found. Image b: 1 cell, found, and 1 false positive."""
    config = EvalConfig(bootstrap=0)
    fitted = counting.fit_operating_point(results * 10, 12.0, ("cell",), (0.0,))
    decode = fitting.to_json(fitted)
    assert decode["num_labels"] == [20]
    assert decode["scope"] == "own"
    assert decode["min_distance"] == 0
    found = fitting.metrics(results, ("cell",), config, 12.0, decode)
    assert found["precision@12px"]["value"] == 2 / 3
    assert found["recall@12px"]["value"] == 1.0
    assert found["count_mae"]["value"] == 0.5
    assert found["recall"]["value"] == 1.0
    assert found["mean_F1@12px"]["num_skipped"] == 0


def test_whether_an_empty_image_counts_is_asked_for_by_the_config(results):
    """F1 1 and 2/3 of the two images; the third has nothing."""
    nothing = np.zeros((0, 2), np.float32)
    empty = results[0]._replace(
        pred_points_yx=nothing,
        pred_scores=np.zeros(0, np.float32),
        pred_labels=np.zeros(0, np.int32),
        pred_ignored=np.zeros(0, bool),
        true_points_yx=nothing,
        true_labels=np.zeros(0, np.int32),
    )
    results = [*(one._replace(pred_boxes_yxyx=None) for one in results), empty]
    results[2] = results[2]._replace(pred_boxes_yxyx=None)
    decode = {"thresholds": [0.0], "num_labels": [2], "min_distance": 0.0}
    for count, value in ((False, 5 / 6), (True, 8 / 9)):
        config = EvalConfig(bootstrap=0, empty_is_one=count)
        found = fitting.metrics(results, ("cell",), config, 12.0, decode)
        assert found["mean_F1@12px"]["value"] == pytest.approx(value)


def test_a_shared_threshold_is_asked_for_by_the_config(results):
    """Scores 0.9 and 0.4 on cells of class 0, 0.6 beside those of class 1."""
    points_yx = np.array([[10.0, 10], [10, 60], [60, 10]])
    one = results[0]._replace(
        pred_points_yx=points_yx,
        pred_scores=np.array([0.9, 0.4, 0.6], np.float32),
        pred_labels=np.array([0, 0, 1]),
        pred_ignored=np.zeros(3, bool),
        true_points_yx=np.array([[10.0, 10], [10, 60], [90, 90]]),
        true_labels=np.array([0, 0, 1]),
    )
    own, shared = (
        fitting.fit([one] * 50, ("a", "b"), EvalConfig(shared_threshold=yes), 0.0)
        for yes in (False, True)
    )
    np.testing.assert_allclose(own.thresholds, [0.2, 0.5], rtol=1e-6)
    np.testing.assert_allclose(shared.thresholds, [0.2, 0.2], rtol=1e-6)


@pytest.mark.parametrize(
    ("scope", "chosen"),
    [(None, [7, 0]), ("own", [7, 0]), ("shared", [7, 7]), ("default", [0, 0])],
)
def test_labels_that_chose(results, scope, chosen):
    """Of a shared threshold all did, of the default none; old ones say no scope."""
    decode = {"thresholds": [0.4, 0.4], "num_labels": [7, 0], "scope": scope}
    np.testing.assert_array_equal(fitting.num_chosen(decode), chosen)
    config = EvalConfig(bootstrap=0)
    found = fitting.metrics(results, ("a", "b"), config, 12.0, decode)["F1@12px"]
    assert found["num_threshold_labels"] == dict(zip("ab", chosen, strict=True))


def test_protocols_and_strictness_of_the_config(results):
    """Predictions lie exactly on the cells: at radius 0 only strict misses them."""
    decode = {"thresholds": [0.0], "num_labels": [2], "min_distance": 0.0}
    for strict, expected in {False: 0.8, True: 0.0}.items():
        config = EvalConfig(bootstrap=0, strict=strict, beside="nearest")
        found = fitting.metrics(results, ("cell",), config, 0.0, decode)
        for name in ("F1@0px", "F1(nearest)@0px"):
            assert found[name]["value"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("asked", "share", "withheld", "rule"),
    [
        ("auto", 1.0, False, "f1"),
        ("auto", 0.1, False, "known_share"),
        ("auto", 0.0, False, "lee_liu"),
        ("auto", 0.02, True, "lee_liu"),
        ("auto", 1.0, True, "lee_liu"),
        ("known_share", 0.02, True, "known_share"),
        ("f1", 0.1, False, "f1"),
    ],
)
def test_the_rule_is_that_of_the_labels(asked, share, withheld, rule):
    labels = Labels(share, withheld)
    assert fitting.rule_name(EvalConfig(threshold_rule=asked), labels) == rule


def test_drawn_labels_know_their_share(results):
    """Of images with 1 of 4 and 1 of 6 cells 2 of 10 are labelled."""
    first, second = results
    drawn = [first._replace(num_cells=4), second._replace(num_cells=6)]
    assert fitting.share_of(drawn, Labels()) == pytest.approx(0.2)
    assert fitting.share_of(drawn, Labels(0.5)) == pytest.approx(0.1)
    assert fitting.share_of(drawn, Labels(0.0)) == 0
    assert fitting.share_of(results, Labels(0.5)) == 0.5
    assert fitting.fit(drawn, ("a",), EvalConfig(), 0.0).rule == "known_share"
    assert fitting.fit(results, ("a",), EvalConfig(), 0.0).rule == "f1"


def _loaded(split, labels, share=0.2, **options):
    console = Told()
    frame = Frame((40, 60), 0.25, (80, 90), "squeeze", 8.0, 1, "auto")
    data = DataConfig(threshold_share=share, box_size=20.0)
    experiment = Experiment("vicar", None, data=data, eval=EvalConfig(**options))
    fitting.load(experiment, split._replace(labels=labels), frame, console)
    return console.lines


class Told(Console):
    """Keeps its lines."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def line(self, text):
        self.lines.append(text)


def test_withheld_labels_are_counted_before_the_training(split):
    """Of 3 one is ignored. 2 labels choose nothing, as fewer than 20; 20 do."""
    (line,) = _loaded(split, Labels(withheld=True), radius_px=10.0)
    assert line.startswith("2 labels of training images are withheld, too few")
    assert "20 are needed" in line
    assert "--config.data.threshold_share=0.2" in line
    many = split._replace(image_ids=split.image_ids * 10)
    (line,) = _loaded(many, Labels(withheld=True), radius_px=10.0)
    assert line.startswith("20 labels")
    assert "they choose" in line
    (line,) = _loaded(split, Labels(withheld=True), radius_px=10.0, threshold=0.3)
    assert "choose" not in line
    assert "box_size=24" in _loaded(split, Labels(withheld=True))[-1]
    assert _loaded(split, Labels()) == []


def test_labels_that_cannot_choose_are_refused_before_the_training(split):
    none = changed(split.source, lambda r: transforms.select_cells(r, r.labels > 0))
    with pytest.raises(errors.ConfigError, match=r"threshold_share=0.2: no training"):
        _loaded(split._replace(source=none), Labels(withheld=True))
    with pytest.raises(errors.ConfigError, match=r"marked_share"):
        _loaded(split, Labels(0.0), threshold_rule="known_share")


def test_a_share_that_is_not_known_is_asked_for():
    config = EvalConfig(threshold_rule="known_share")
    with pytest.raises(errors.ConfigError, match=r"config\.data\.marked_share"):
        fitting.rule_name(config, Labels(0.0))


def test_labels_that_are_a_part_choose_by_their_rule(results):
    """Detections at 0.8 and at 0.3 are on labels; between them are 20 beside none.

    Those are false if all cells have labels, but not if only a tenth has.
    """
    points_yx = np.array([[10.0, 10], [10, 60], [60, 10]])
    one = results[0]._replace(
        pred_points_yx=np.r_[points_yx, [[90.0, 90 + i] for i in range(20)]],
        pred_scores=np.r_[0.9, 0.8, 0.3, np.full(20, 0.35)].astype(np.float32),
        pred_labels=np.zeros(23, int),
        pred_ignored=np.zeros(23, bool),
        pred_boxes_yxyx=None,
        true_points_yx=points_yx[1:],
        true_labels=np.zeros(2, int),
    )
    cuts = {}
    for labels in (Labels(), Labels(0.1), Labels(0.0)):
        fitted = fitting.fit([one] * 10, ("a",), EvalConfig(), 0.0, labels=labels)
        stored = fitting.to_json(fitted)
        ((low, high),) = stored["intervals"]
        assert low <= stored["thresholds"][0] <= high
        cuts[stored["rule"]] = pytest.approx(stored["thresholds"][0])
    # Of ten images 20 detections (10 on labels) or 230 (20): F1 is 20/40 and 40/250,
    # 2 m / (n / 10 + 20) is 20/22 and 40/43, m^2 / (20 n) 0.25 and 0.087.
    assert cuts == {"f1": 0.575, "known_share": 0.15, "lee_liu": 0.575}


def test_radius_in_micrometres_needs_a_pixel_size():
    config = EvalConfig(radius_um=3.0)
    assert fitting.radius_px(config, 0.25) == 12.0
    with pytest.raises(errors.ConfigError, match=r"--config\.data\.mpp"):
        fitting.radius_px(config, 0.0)
    assert fitting.radius_px(EvalConfig(radius_px=5.0), 0.25) == 5.0


def test_distances_in_micrometres_need_a_pixel_size():
    config = EvalConfig(min_distances_um=(0.0, 2.0))
    assert fitting.min_distances_px(config, 0.25) == (0.0, 8.0)
    with pytest.raises(errors.ConfigError, match=r"min_distances_um .*data\.mpp"):
        fitting.min_distances_px(config, 0.0)
    assert fitting.min_distances_px(EvalConfig(), 0.25) == (0.0,)


def _validator(predict, scenes, labels=fitting.ALL, **options):
    method = Method(init=None, loss_fn=None, predict=predict)
    experiment = Experiment("vicar", None, eval=EvalConfig(**options))
    source = Source("arrays", ("cell",), (), lambda _: None)
    split = Split(source, (), None, labels=labels)
    return fitting.validator(experiment, method, scenes, split)


def test_validation_fits_the_distance_and_scores_by_f1_without_boxes(scenes, predict):
    """A twin 3 px beside each cell goes when distances are tried, and F1 rises."""

    def twins(params, model_state, batch, decode):
        found = predict(params, model_state, batch, decode)
        moved = found.points_yx + jnp.array([[[5.0, 3.0]]])  # of the squeezed image
        points = jnp.concatenate([found.points_yx, moved], axis=1)
        double = [jnp.concatenate([x, x], axis=1) for x in found[1:5]]
        return Detections(points, *double)

    state = SimpleNamespace(params={}, model_state={})
    scores = {}
    for distances in ((0.0,), (0.0, 6.0)):
        validate = _validator(twins, scenes, min_distances=distances)
        fitted, scores[distances] = validate(state)
        assert fitted.min_distance == distances[-1]
    assert list(scores[(0.0,)]) == ["F1@12px"]
    assert scores[(0.0, 6.0)]["F1@12px"] == pytest.approx(0.8)


def test_a_threshold_of_one_view_is_fitted_beside_that_of_several(split, predict):
    """Scores are 0.75, but in a mirrored view nothing is found: half of it is left."""

    def one_view(params, model_state, batch, decode):
        found = predict(params, model_state, batch, decode)
        upright = batch.image[:, 0, 0, 0] < 0.5
        return found._replace(
            scores=jnp.full_like(found.scores, 0.75),
            mask=found.mask & upright[:, None],
        )

    marked = np.zeros((40, 60, 3), np.uint8)
    marked[:, 30:] = 255  # a half turn or a mirror puts white in the corner
    record = split.source.load("a")
    record = dataclasses.replace(record, image=marked)
    source = dataclasses.replace(
        split.source, image_ids=("a",), load={"a": record}.__getitem__
    )
    split = split._replace(source=source, image_ids=("a",))
    frame = Frame((40, 60), 0.25, (80, 90), "squeeze", 8.0, 1, "auto")
    looked = dataclasses.replace(frame, views=views.of(2, (1.0,)))
    method = Method(None, None, one_view, Traits())
    network = stream.Network(compiled.jit_predict(method, 1), {}, {}, 1)
    found = {}
    for name, how in (("once", frame), ("views", looked)):
        images = tuple(predictions.scenes(split, how))
        results, fitted = fitting.fit_on(images, network, ("cell",), EvalConfig())
        found[name] = results[0].pred_scores.max(), fitted
    assert found["once"][1].once is None
    assert found["once"][0] == pytest.approx(0.75)
    assert found["views"][0] == pytest.approx(0.375, abs=0.01)
    stored = fitting.to_json(found["views"][1])
    assert stored["once"] == fitting.to_json(found["once"][1])


def test_distances_are_those_of_the_training_images(split, predict):
    """Files of twice their pixel size: a twin 3 px away is 6 px there."""
    frame = Frame((40, 60), 0.125, (80, 90), "squeeze", 8.0, 1, "auto", squeeze=True)
    scenes = tuple(predictions.scenes(split, frame))
    assert {scene.ratio for scene in scenes} == {2.0}

    def twins(params, model_state, batch, decode):
        found = predict(params, model_state, batch, decode)
        moved = found.points_yx + jnp.array([[[0.0, 4.5]]])  # 3 px of the file
        points = jnp.concatenate([found.points_yx, moved], axis=1)
        double = [jnp.concatenate([x, x], axis=1) for x in found[1:5]]
        return Detections(points, *double)

    state = SimpleNamespace(params={}, model_state={})
    for distance, f1 in ((5.0, 0.5), (7.0, 0.8)):
        _, scores = _validator(twins, scenes, min_distances=(distance,))(state)
        assert scores["F1@12px"] == pytest.approx(f1)


def test_validation_scores_by_ap_with_boxes(scenes, predict):
    state = SimpleNamespace(params={}, model_state={})
    _, scores = _validator(predict, scenes)(state)
    assert list(scores) == ["AP11"]
    assert scores["AP11"] > 0


def test_validation_of_a_part_of_the_cells_scores_by_its_rule(scenes, predict):
    """Two labels on two of three detections: 2 x 2 / (0.5 x 3 + 2), 2^2 / (2 x 3)."""
    state = SimpleNamespace(params={}, model_state={})
    for labels, name, value in (
        (Labels(0.5), "F1_estimated@12px", 4 / 3.5),
        (Labels(0.0), "lee_liu@12px", 4 / 6),
    ):
        _, scores = _validator(predict, scenes, labels)(state)
        assert scores == {name: pytest.approx(value)}


def test_a_fixed_threshold_is_not_fitted(results):
    config = EvalConfig(threshold=0.5)
    fitted = fitting.fit(results, ("cell",), config, 0.0)
    assert fitting.to_json(fitted) == {
        "thresholds": [0.5],
        "num_labels": [0],
        "scope": "fixed",
        "rule": "f1",
        "withheld": False,
        "intervals": [[None, None]],
        "min_distance": 0.0,
    }
    assert fitted.value == pytest.approx(0.8)
    assert fitting.fit([], ("cell",), config, 0.0).thresholds.tolist() == [0.5]
