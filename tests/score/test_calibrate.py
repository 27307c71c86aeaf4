"""A model that finds one cell too many in annotated fields."""

import dataclasses

from etils import epath
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors, methods
from cellrec_jax.data import example, sets
from cellrec_jax.data.record import Record, Source
from cellrec_jax.evaluate import predictions
from cellrec_jax.io.console import Console
from cellrec_jax.predict import provenance
from cellrec_jax.score import calibrate, correct
from cellrec_jax.types import Detections, Method, Traits
from cellrec_jax.workdir import image_files
from cellrec_jax.workdir import model as model_lib

POINTS = np.array([[10.5, 20.5], [30.5, 50.5]], np.float32)
HW = (40, 60)


def _predict(params, model_state, batch, decode):
    """Finds both cells, the second as class 1, and with less score one at (5, 5)."""
    del params, model_state, decode
    size = batch.image.shape[0]
    places = np.concatenate([POINTS, [[5.0, 5.0]]]).astype(np.float32)
    points = jnp.tile(jnp.asarray(places)[None], (size, 1, 1))
    mask = jnp.ones((size, 3), bool) & batch.image_mask[:, None]
    scores = jnp.tile(jnp.array([[0.9, 0.8, 0.4]]), (size, 1))
    labels = jnp.tile(jnp.array([[0, 1, 0]]), (size, 1))
    return Detections(points, scores, labels, jnp.ones((size, 3, 2)) / 2, mask, None)


@pytest.fixture
def fields(tiny_experiment, monkeypatch):
    """Two fields of 40 x 60 px; the second cell of "b" is of class 0, not 1."""
    meta = {
        **{"class_names": ["positive", "negative"], "native_hw": list(HW), "mpp": 0.0},
        "decode": {
            **{"thresholds": [0.5, 0.5], "min_distance": 0.0, "scope": "own"},
            **{"rule": "", "withheld": False, "num_labels": [9, 9]},
        },
    }
    data = {"size_hw": HW, "crop_hw": HW, "root": "fields"}
    config = methods.changed(
        tiny_experiment, {f"data.{key}": value for key, value in data.items()}
    )
    trained = methods.changed(config, {"data.root": "elsewhere"})
    method = Method(None, None, _predict, Traits())
    model = model_lib.Model(trained, method, {"w": jnp.ones(2)}, {}, meta, 4, "here")
    records = {
        name: Record(name, np.zeros((*HW, 3), np.uint8), POINTS, np.array(labels))
        for name, labels in (("a", [0, 1]), ("b", [0, 0]))
    }
    source = Source("arrays", ("positive", "negative"), ("a", "b"), records.__getitem__)
    spec = example.ExampleSpec(size_hw=HW, training=False, box_size=8)
    split = sets.Split(source, source.image_ids, spec)
    monkeypatch.setattr(model_lib, "restore", lambda _: model)
    monkeypatch.setattr(sets, "open_for_evaluation", lambda *_, **__: split)
    monkeypatch.setattr(correct, "LEAST_CELLS", 1)
    monkeypatch.setattr(correct, "_LEAST_FOUND", 1)
    return model, config


def used(model, cut=0.5):
    """What predict.json says of results at a threshold of class 0."""
    return {
        **provenance.of_model(model),
        "thresholds": {"positive": cut, "negative": 0.5},
    }


HERE = epath.Path("here")
QUIET = Console(quiet=True)


@pytest.mark.parametrize(("cut", "false"), [(0.5, 0), (0.3, 2)])
def test_mistakes_at_the_thresholds_of_the_results(fields, cut, false):
    model, config = fields
    found, names = calibrate.measure(HERE, config, used(model, cut), QUIET)
    total = [[2, 1, 0], [0, 1, 0], [false, 0, 0]]
    assert found.counts.sum(axis=0).tolist() == total
    assert (names, found.num_fields) == (model.class_names, 2)
    told = calibrate.lines(found, names)
    assert told[1] == (
        "of 3 cells of positive 66.7% found as positive, 33.3% found as negative, 0.0% "
        "missed"
    )
    share = f"{false / (2 + false):.1%} of {2 + false} detections of positive"
    assert told[3] == f"at no cell are {share}, 0.0% of 2 detections of negative"


def test_results_of_another_model_are_refused(fields):
    model, config = fields
    other = {**used(model), "weights": "0123"}
    with pytest.raises(errors.ConfigError, match="another model made the results"):
        calibrate.measure(HERE, config, other, QUIET)
    unknown, _ = calibrate.measure(HERE, config, {}, QUIET)
    assert unknown.counts.sum() == 4


def test_fields_annotated_in_part_are_refused(fields):
    model, config = fields
    config = methods.changed(config, {"data.marked_share": 0.1})
    with pytest.raises(errors.ConfigError, match="all cells are annotated"):
        calibrate.measure(HERE, config, used(model), QUIET)


def test_images_of_the_training_are_refused(fields, tmp_path):
    model, config = fields
    (tmp_path / "splits.json").write_text('{"train": ["a"]}')
    config = methods.changed(config, {"data.root": "./elsewhere"})
    with pytest.raises(errors.ConfigError, match="trained this run"):
        calibrate.measure(epath.Path(tmp_path), config, used(model), QUIET)


def test_too_few_cells_are_refused(fields, monkeypatch):
    model, config = fields
    monkeypatch.setattr(correct, "LEAST_CELLS", 3)
    with pytest.raises(errors.DataError, match="1 annotated cells of negative"):
        calibrate.measure(HERE, config, used(model), QUIET)


def test_the_least_distance_is_that_of_the_results(fields):
    model, _ = fields
    changed = calibrate.at_settings(model, {**used(model), "min_distance_px": 7.0})
    assert changed.meta["decode"]["min_distance"] == 7


def test_fields_of_another_scale_are_refused(fields):
    """Results were brought to the model's pixel size, the fields' own is unknown."""
    model, config = fields
    before = used(model)
    model.meta["mpp"] = 0.5
    with pytest.raises(errors.ConfigError, match=r"was 0 um .* and is 0.5 now"):
        calibrate.measure(HERE, config, before, QUIET)
    with pytest.raises(errors.ConfigError, match="pixel size of these fields is not"):
        calibrate.measure(HERE, config, used(model), QUIET, is_scaled=True)
    assert calibrate.measure(HERE, config, used(model), QUIET)[0].num_fields == 2


def test_a_pixel_size_is_of_fields_that_do_not_say_it(fields, monkeypatch):
    model, config = fields
    seen = []
    monkeypatch.setattr(predictions, "common_mpp", lambda all_: seen.extend(all_) or 0)
    before = sets.open_for_evaluation()
    told = {"a": 0.25, "b": 0.0}

    def load(name):
        return dataclasses.replace(before.source.load(name), mpp=told[name])

    split = before._replace(source=dataclasses.replace(before.source, load=load))
    monkeypatch.setattr(sets, "open_for_evaluation", lambda *_, **__: split)
    calibrate.measure(HERE, config, used(model), QUIET, mpp=0.5)
    assert [one.mpp for one in seen] == [0.25, 0.5]


def test_copies_of_training_images_are_refused(fields, monkeypatch):
    model, config = fields
    monkeypatch.setattr(image_files, "copies", lambda *_: ["b"])
    with pytest.raises(errors.ConfigError, match=r"1 of these images trained .*\(b\)"):
        calibrate.measure(HERE, config, used(model), QUIET)
