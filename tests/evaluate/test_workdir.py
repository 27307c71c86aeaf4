"""What is said and refused before and after a trained run is measured."""

import csv
import dataclasses

import numpy as np
from PIL import Image
import pytest

from cellrec_jax import errors, main
from cellrec_jax.data import sets
from cellrec_jax.data.synthetic import source as synthetic
from cellrec_jax.evaluate import workdir as evaluation
from cellrec_jax.io.console import Console
from cellrec_jax.metrics import results
from cellrec_jax.types import Traits
from cellrec_jax.workdir import model


def test_other_classes_are_refused(trained):
    experiment = model.restore(trained).experiment
    data = dataclasses.replace(experiment.data, classes="")
    split = sets.open_sets(data, 0).test
    with pytest.raises(errors.DataError, match="tumour=positive"):
        evaluation.evaluate_workdir(
            trained, split, Console(quiet=True), experiment.eval, {}
        )


def _in_two_views(model_, cut):
    """Seen twice, cut at 0.9; seen once at `cut`."""
    config = dataclasses.replace(model_.experiment.eval, views=2)
    experiment = dataclasses.replace(model_.experiment, eval=config)
    decode = model_.meta["decode"]
    once, twice = ({**decode, "thresholds": [one]} for one in (cut, 0.9))
    meta = {**model_.meta, "decode": {**twice, "once": once}}
    return dataclasses.replace(model_, experiment=experiment, meta=meta)


@pytest.mark.slow
def test_quick_is_of_one_view_at_its_own_threshold(trained, tmp_path, monkeypatch):
    usual = model.restore(trained)
    (cut,) = usual.meta["decode"]["thresholds"]
    seen_twice = _in_two_views(usual, cut)
    split = sets.open_sets(usual.experiment.data, 0).test
    rest = (split, Console(quiet=True))
    expected = evaluation.evaluate_workdir(
        trained, *rest, usual.experiment.eval, {}, tmp_path / "usual"
    )
    monkeypatch.setattr(model, "restore", lambda *_: seen_twice)
    config = seen_twice.experiment.eval
    found = evaluation.evaluate_workdir(
        trained, *rest, config, {}, tmp_path / "quick", quick=True
    )
    both = evaluation.evaluate_workdir(trained, *rest, config, {}, tmp_path / "both")
    assert found["metrics"] == expected["metrics"]
    assert both["metrics"] != expected["metrics"]
    assert (found["run"]["seen_once"], both["run"]["seen_once"]) == (True, False)
    with pytest.raises(errors.ConfigError, match="--quick"):
        evaluation.evaluate_workdir(trained, *rest, config, {}, quick=True)


def test_evaluation_finds_what_prediction_finds(trained, tmp_path):
    """Cell by cell: images as in training, smaller ones, and those that need tiles."""
    folder = tmp_path / "set"
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for index, size_hw in enumerate([(96, 128), (60, 90), (150, 200), (98, 125)]):
        record = synthetic.make_image(7, index, size_hw=size_hw)
        Image.fromarray(record.image).save(folder / "images" / f"{index}.png")
        lines = [f"{x},{y},tumour" for y, x in record.points_yx]
        (folder / "labels" / f"{index}.csv").write_text(
            "\n".join(["x,y,class", *lines])
        )
    common = ["--workdir", str(trained), "--output"]
    root = [f"--config.data.root={folder}", "--config.data.classes=tumour"]
    evaluated, predicted = tmp_path / "evaluated", tmp_path / "predicted"
    assert main.run(["--mode", "evaluate", *common, str(evaluated), *root]) == 0
    images = str(folder / "images")
    assert (
        main.run(["--mode", "predict", *common, str(predicted), "--input", images]) == 0
    )
    found = []
    for file in (evaluated / "predictions", predicted):
        with (file / "detections.csv").open() as table:
            rows = [row | {"image": row["image"][:1]} for row in csv.DictReader(table)]
        found.append(sorted(tuple(row.values()) for row in rows))
    assert {row[0] for row in found[0]} == {"0", "1", "2", "3"}
    np.testing.assert_array_equal(found[0], found[1])


def test_images_that_fill_all_slots_are_named(trained):
    """Three are kept; what is below the threshold 0.5 does not count."""
    restored = model.restore(trained)
    meta = {**restored.meta, "decode": {"thresholds": [0.5, 0.5]}}
    restored = dataclasses.replace(restored, meta=meta)

    def lines(scores, labels, per_class=True, windows=1):
        traits = Traits(max_detections=3, slots_per_class=per_class)
        made = restored.method._replace(traits=traits)
        none = np.zeros((0, 2), np.float32)
        one = results.ImageResult(
            "a", "", none, np.array(scores), np.array(labels, np.int32), None,
            np.zeros(len(scores), bool), none, np.zeros(0, np.int32), None,
        )  # fmt: skip
        return evaluation._slot_lines(
            dataclasses.replace(restored, method=made), [one], [windows]
        )

    assert restored.method.traits.slots_per_class
    assert restored.method.traits.max_detections == 12
    assert lines([], []) == lines([0.9, 0.8, 0.4], [0, 0, 0]) == []
    assert lines([0.9, 0.8, 0.7], [0, 0, 1]) == []
    assert lines([0.9, 0.8, 0.4], [0, 0, 1], per_class=False) == []
    assert len(lines([0.9, 0.8, 0.7], [0, 0, 1], per_class=False)) == 1
    (line,) = lines([0.9, 0.8, 0.5], [1, 1, 1])
    assert "1 of 1 images (such as a)" in line
    assert "the 3 that are kept" in line
    assert lines([0.9, 0.8, 0.7, 0.6, 0.5], [1] * 5, windows=2) == []
    assert len(lines([0.9, 0.8, 0.7, 0.6, 0.5, 0.5], [1] * 6, windows=2)) == 1
