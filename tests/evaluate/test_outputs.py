"""Overlays and the rule of the tables; the other files are tested in test_run."""

import csv
import json
from types import SimpleNamespace

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.config import EvalConfig
from cellrec_jax.evaluate import outputs
from cellrec_jax.metrics.results import ImageResult


@pytest.mark.parametrize(("overlay_score", "drawn"), [(0.0, [0, 3]), (0.6, [0, 1])])
def test_each_class_is_drawn_from_its_own_threshold(tmp_path, overlay_score, drawn):
    """Thresholds 0.8 and 0.2: a score of 0.7 is drawn in the second class alone."""
    points = np.array([[10, 10], [10, 40], [10, 70], [40, 10]], np.float32)
    result = ImageResult(
        image_id="a",
        group="",
        pred_points_yx=points,
        pred_scores=np.array([0.9, 0.7, 0.1, 0.3], np.float32),
        pred_labels=np.array([0, 0, 1, 1]),
        pred_boxes_yxyx=None,
        pred_ignored=np.zeros(4, bool),
        true_points_yx=np.zeros((0, 2), np.float32),
        true_labels=np.zeros(0, np.int32),
        true_boxes_yxyx=np.zeros((0, 4), np.float32),
    )
    model = SimpleNamespace(
        class_names=("a", "b"),
        meta={"decode": {"thresholds": [0.8, 0.2]}},
    )
    image = np.full((60, 90, 3), 255, np.uint8)
    source = SimpleNamespace(load=lambda _: SimpleNamespace(image=image))
    config = EvalConfig(overlay_score=overlay_score)
    split = SimpleNamespace(source=source)
    outputs.draw_overlays(tmp_path, [result], model, config, split)
    with Image.open(tmp_path / "figures" / "overlay_a.png") as png:
        pixels = np.asarray(png)
    changed = [
        i
        for i, (y, x) in enumerate(points.astype(int))
        if (pixels[y - 9 : y + 9, x - 9 : x + 9] != 255).any()
    ]
    assert changed == drawn


@pytest.mark.parametrize(
    ("config", "matched"),
    [
        (EvalConfig(), 2),
        (EvalConfig(protocol="nearest"), 1),
        (EvalConfig(strict=True), 1),
    ],
)
def test_the_table_of_images_counts_by_the_rule_of_the_metrics(
    tmp_path, config, matched
):
    """Both predictions are nearest to one cell; the other cell is at the radius."""
    result = ImageResult(
        image_id="a",
        group="",
        pred_points_yx=np.array([[5, 10], [5, 13]], np.float32),
        pred_scores=np.array([0.9, 0.7], np.float32),
        pred_labels=np.zeros(2, np.int32),
        pred_boxes_yxyx=None,
        pred_ignored=np.zeros(2, bool),
        true_points_yx=np.array([[5, 10], [5, 25]], np.float32),
        true_labels=np.zeros(2, np.int32),
        true_boxes_yxyx=None,
    )
    model = SimpleNamespace(
        class_names=("cell",), meta={"decode": {"thresholds": [0.5]}}
    )
    outputs.write_tables(tmp_path, [result], model, 12.0, config)
    with (tmp_path / "predictions" / "per_image.csv").open() as table:
        (row,) = csv.DictReader(table)
    assert int(row["num_matched"]) == matched


def test_the_table_of_images_that_are_annotated_in_part(tmp_path):
    """Of two positive labels one is found, and the negative one; a detection more."""
    result = ImageResult(
        image_id="a",
        group="",
        pred_points_yx=np.array([[5, 10], [5, 40], [5, 70]], np.float32),
        pred_scores=np.array([0.9, 0.8, 0.7], np.float32),
        pred_labels=np.array([0, 0, 1]),
        pred_boxes_yxyx=None,
        pred_ignored=np.zeros(3, bool),
        true_points_yx=np.array([[5, 10], [90, 90], [5, 70]], np.float32),
        true_labels=np.array([0, 0, 1]),
        true_boxes_yxyx=None,
    )
    names = ("positive", "negative_error")  # a name that ends as a column does
    model = SimpleNamespace(
        class_names=names, meta={"decode": {"thresholds": [0.5, 0.5]}}
    )
    outputs.write_tables(tmp_path, [result], model, 12.0, EvalConfig(), partly=True)
    with (tmp_path / "predictions" / "per_image.csv").open() as table:
        (row,) = csv.DictReader(table)
    assert float(row.pop("recall_estimated")) == pytest.approx(2 / 3)
    assert float(row.pop("positive_index_predicted")) == pytest.approx(2 / 3)
    assert row == {
        "image": "a",
        "group": "",
        "num_labels": "3",
        "num_predicted": "3",
        "num_matched": "2",
        "num_labels/positive": "2",
        "num_predicted/positive": "2",
        "num_matched/positive": "1",
        "num_labels/negative_error": "1",
        "num_predicted/negative_error": "1",
        "num_matched/negative_error": "1",
    }


def test_two_folders_of_one_name_have_results_of_their_own(tmp_path):
    first, second = (str(tmp_path / name / "images") for name in "xy")
    assert outputs.folder_for(tmp_path, first).name == "evaluate-images"
    for root, name in ((first, "evaluate-images"), (second, "evaluate-images-2")):
        folder = outputs.folder_for(tmp_path, root)
        assert folder.name == name
        folder.mkdir()
        content = json.dumps({"run": {"root": root}})
        (folder / "results.json").write_text(content)
        assert outputs.folder_for(tmp_path, root) == folder  # again


def test_another_threshold_has_results_of_its_own(tmp_path):
    own = outputs.folder_for(tmp_path, "x", whole=False, threshold=0.3)
    both = outputs.folder_for(tmp_path, "x", threshold=0.3)
    assert (own.name, both.name) == ("evaluate-at-0.3", "evaluate-x-at-0.3")


def test_images_seen_once_have_results_of_their_own(tmp_path):
    own = outputs.folder_for(tmp_path, "x", whole=False, quick=True)
    both = outputs.folder_for(tmp_path, "x", threshold=0.3, quick=True)
    assert (own.name, both.name) == ("evaluate-quick", "evaluate-x-at-0.3-quick")
