"""What a model finds beside what is annotated; the model itself is a stand-in."""

from types import SimpleNamespace

from etils import epath
import numpy as np
import pytest

from cellrec_jax import config
from cellrec_jax.cells import Cells
from cellrec_jax.check import by_model, opened
from cellrec_jax.evaluate import saved
from cellrec_jax.metrics.results import ImageResult
from cellrec_jax.predict.frame import Frame
from tests.check import fakes


def _result(pred_yx, true_yx, scores, **more):
    number = len(pred_yx)
    values = {
        "image_id": "a",
        "group": "",
        "pred_points_yx": np.array(pred_yx, np.float32).reshape(-1, 2),
        "pred_scores": np.array(scores, np.float32),
        "pred_labels": np.zeros(number, int),
        "pred_boxes_yxyx": None,
        "pred_ignored": np.zeros(number, bool),
        "true_points_yx": np.array(true_yx, np.float32).reshape(-1, 2),
        "true_labels": np.zeros(len(true_yx), int),
        "true_boxes_yxyx": None,
    }
    return ImageResult(**values | more)


def test_detections_without_an_annotation_near_best_first():
    one = _result(
        [(10, 10), (12, 10), (50, 10), (80, 10), (90, 90)],
        [(10, 11)],
        [0.9, 0.8, 0.7, 0.95, 0.6],
        pred_ignored=np.array([False, False, False, False, True]),
        pred_boxes_yxyx=np.tile([0.0, 0, 4, 6], (5, 1)),
    )
    other = _result([(20, 30)], [], [0.85], image_id="b")
    found = by_model.unannotated([one, other], 5.0, ("cell",))
    # The second detection of a cell is none of another.
    assert [(f.image, f.y, f.text) for f in found] == [
        ("a", 80, "cell, score 0.95"),
        ("b", 20, "cell, score 0.85"),
        ("a", 50, "cell, score 0.70"),
    ]
    assert found[0].box_yxyx == (0, 0, 4, 6)
    assert found[0].weight == "note"


class _Model:
    """Finds all cells of the grid of `fakes.write_set`."""

    class_names = ("tumour",)
    frame = Frame((fakes.H, fakes.W), 0.0, (fakes.H, fakes.W), "squeeze", 16, 8, "auto")

    def __init__(self, root, **keys):
        data = config.DataConfig(root=str(root), box_size=16, **keys)
        experiment = SimpleNamespace(data=data, eval=config.EvalConfig(radius_px=5.0))
        decode = {"thresholds": [0.5], "min_distance": 0.0}
        self.model = SimpleNamespace(experiment=experiment, meta={"decode": decode})

    def predict_many(self, scenes):
        points = np.array(fakes.grid_xy(24), np.float32)[:, ::-1] + 0.5
        scores = np.linspace(0.9, 0.6, len(points), dtype=np.float32)
        labels = np.zeros(len(points), np.int32)
        for scene in scenes:
            yield scene, Cells(points, scores, labels, scores[:, None])


@pytest.fixture
def sparse_set(tmp_path):
    """Of 24 cells of each of 10 images 18 are annotated, as it were at random."""
    root = tmp_path / "set"
    fakes.write_set(root)
    for seed in range(10):
        kept = np.random.default_rng(seed).permutation(24)[:18]
        rows = [(*fakes.grid_xy(24)[i], "tumour") for i in sorted(kept)]
        fakes.write_table(root, str(seed), rows)
    return root


def _ask(monkeypatch, root, workdir, model):
    monkeypatch.setattr(by_model.predictor, "load", lambda *_, **__: model)
    with opened.opened(root) as found:
        ids = found.source.image_ids
        return by_model.ask(epath.Path(workdir), found.source, ids, root)


def test_by_the_precision_of_its_own_test_images(monkeypatch, sparse_set, tmp_path):
    """Of its own detections above the threshold 9 of 10 are right."""
    right = [(10.0 * i, 5.0) for i in range(9)]
    own = _result([*right, (7, 80), (60, 80)], right, [*[0.9] * 10, 0.3])
    saved.save(tmp_path / "predictions" / saved.FILE, [own, own], ("tumour",), 5.0)
    asked = _ask(monkeypatch, sparse_set, tmp_path, _Model("elsewhere"))
    assert asked.notes == ()
    assert asked.estimate.precision[0] == pytest.approx(0.9)
    assert asked.estimate.share == pytest.approx(1 - 18 / (0.9 * 24))
    assert len(asked.findings) == 10 * 6
    assert asked.findings[0].text.startswith("tumour, score 0.9")


def test_without_predictions_by_the_ranking(monkeypatch, sparse_set, tmp_path):
    asked = _ask(monkeypatch, sparse_set, tmp_path, _Model("elsewhere"))
    assert asked.estimate.by == "ranking"
    assert asked.estimate.share == pytest.approx(0.25, abs=0.08)
    assert "holds no predictions" in asked.notes[0]


def test_a_test_set_in_part_tells_no_precision(monkeypatch, sparse_set, tmp_path):
    own = _result([(5, 6)], [(5, 6)], [0.9])
    saved.save(tmp_path / "predictions" / saved.FILE, [own, own], ("tumour",), 5.0)
    model = _Model("elsewhere", marked_share=0.5)
    asked = _ask(monkeypatch, sparse_set, tmp_path, model)
    assert asked.estimate.by == "ranking"
    assert "annotated in part" in asked.notes[0]


def test_images_that_trained_it_do_not_count(monkeypatch, sparse_set, tmp_path):
    splits = tmp_path / "splits.json"
    splits.write_text('{"train": ["0", "1", "2"], "test": ["3"]}')
    asked = _ask(monkeypatch, sparse_set, tmp_path, _Model(sparse_set))
    assert asked.estimate.num_annotated == 7 * 18
    assert len(asked.findings) == 10 * 6  # these are of all images
    assert len(asked.notes) == 1
    splits.write_text(str({"train": [str(i) for i in range(10)]}).replace("'", '"'))
    asked = _ask(monkeypatch, sparse_set, tmp_path, _Model(sparse_set))
    assert asked.estimate.num_annotated == 10 * 18
    assert "trained on these images" in asked.notes[1]
