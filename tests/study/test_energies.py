"""Kinds of boxes and what is measured of them by hand; a run with its checkpoints."""

import json
import shutil

import numpy as np
from PIL import Image
import pytest

from cellrec_jax import errors
from cellrec_jax.io import table as io_table
from cellrec_jax.methods.calibrated_rcnn.sampled import Sampled
from cellrec_jax.study import __main__ as command
from cellrec_jax.study import energies

CELLS = np.array([[0.0, 0, 10, 20], [50, 50, 60, 70]], np.float32)


def _boxes(rois, positive, mask):
    rois, empty = np.array(rois, np.float32), np.zeros(len(rois), np.float32)
    return Sampled(rois, rois, empty, empty, np.array(positive), np.array(mask))


def test_kinds_by_overlap():
    """The first cell is annotated; half of the second is covered, or less."""
    boxes = _boxes(
        [
            [0, 0, 10, 20],
            [0, 0, 10, 19],  # on the annotated one, but not matched: on a cell
            [50, 50, 60, 60],  # half of the other
            [50, 50, 60, 59],
            [80, 0, 90, 20],
            [50, 50, 60, 70],  # padding
        ],
        [True, False, False, False, False, False],
        [True, True, True, True, True, False],
    )
    found = energies.kinds(boxes, CELLS, 0.5)
    assert [energies.KINDS[one] for one in found] == [
        "annotated",
        "unannotated",
        "unannotated",
        "background",
        "background",
    ]
    nothing = energies.kinds(boxes, np.zeros((0, 4), np.float32), 0.5)
    assert nothing.tolist() == [0, 2, 2, 2, 2]


def test_means_and_areas_by_hand():
    """Of 2 x 2 pairs low energy is right in 2.5, a high score in 3."""
    kind = np.array([0, 1, 1, 2, 2])
    energy = np.array([0.1, 0.2, 0.4, 0.4, 0.3])
    score = np.array([0.9, 0.8, 0.3, 0.1, 0.5])
    found = energies.summary(energy, score, kind)
    assert found["energy_annotated"] == pytest.approx(0.1)
    assert found["energy_unannotated"] == pytest.approx(0.3)
    assert found["energy_background"] == pytest.approx(0.35)
    counts = [found[f"boxes_{name}"] for name in energies.KINDS]
    assert counts == [1, 2, 2]
    assert found["AUC_energy"] == 2.5 / 4
    assert found["AUC_score"] == 3 / 4
    full = energies.summary(energy[:1], score[:1], kind[:1])
    assert full["energy_unannotated"] is full["AUC_energy"] is None
    assert set(found) < set(energies.COLUMNS)


def test_checkpoints_nearest_to_the_papers_pictures():
    assert energies.nearest([50, 100, 250, 400, 700, 990], 1000) == [100, 400, 700, 990]
    assert energies.nearest([900, 1000], 1000) == [900, 1000]
    panel = energies.Panel(900, 0.9, *[np.zeros(0)] * 4)
    last = panel._replace(step=1000, share=1.0)
    line = energies.far([panel, last], "BDE")
    assert "--config.checkpoint.every=100 --config.checkpoint.keep=10" in line
    near = [panel._replace(share=share) for share in (0.12, 0.4, 0.66, 1.0)]
    assert energies.far(near, "BDE") == ""


@pytest.mark.slow
def test_windows_are_the_same_and_hold_all_cells(detectors):
    run = energies.open_run(detectors["BDE"])
    assert run.steps == (1, 2, 3, 4)
    assert run.seen.points_mask.sum() < run.whole.points_mask.sum()
    first, second = (list(energies.windows(run, 2)) for _ in range(2))
    assert len(first) == 2 * len(run.image_ids) == 8
    annotated = 0
    for one, again in zip(first, second, strict=True):
        image = np.asarray(one.batch.image[0])
        np.testing.assert_array_equal(image, again.batch.image[0])
        assert image.shape == (64, 64, 3)
        cells = {tuple(box) for box in one.cells_yxyx.round(3).tolist()}
        mask = np.asarray(one.batch.points_mask[0])
        kept = np.asarray(one.batch.boxes_yxyx[0])[mask]
        # A window of all annotations holds those that training sees.
        assert {tuple(box) for box in kept.round(3).tolist()} <= cells
        annotated += len(kept)
    assert 0 < annotated < sum(len(one.cells_yxyx) for one in first)
    assert (np.asarray(first[0].batch.image) != np.asarray(first[4].batch.image)).any()


@pytest.mark.slow
def test_a_row_a_checkpoint_and_both_figures(detectors, tmp_path, capsys):
    words = [f"{label}={run}" for label, run in detectors.items()]
    out = tmp_path / "e.png"
    assert command.run(["energies", *words, "--draws", "2", "--out", str(out)]) == 0
    rows = io_table.read_rows(tmp_path / "e.csv")
    assert [(row["label"], int(row["step"])) for row in rows] == [
        (label, step) for label in ("plain", "BDE") for step in (1, 2, 3, 4)
    ]
    assert [float(row["share"]) for row in rows[:4]] == [0.25, 0.5, 0.75, 1.0]
    for row in rows:
        boxes = sum(int(row[f"boxes_{kind}"]) for kind in energies.KINDS)
        assert 0 < boxes <= 8 * 16
        assert 0 < float(row["energy_background"]) < 1
    assert rows[0]["energy_background"] != rows[3]["energy_background"]
    with Image.open(tmp_path / "e_boxes.png") as figure:
        # 10, 40, 70 and 100 % of four steps are 1, 2, 3 and 4.
        assert figure.width == pytest.approx(4 * 3.0 * 150, abs=1)
        pixels = np.asarray(figure.convert("RGB")).astype(int)
    assert (np.abs(pixels - (230, 20, 20)).max(-1) < 3).any()
    assert "no checkpoints near" in capsys.readouterr().out  # 25 % is not 10 %
    again = tmp_path / "again.png"
    words = ["energies", "--from", str(tmp_path / "e.csv"), "--out", str(again)]
    assert command.run(words) == 0
    assert again.read_bytes() == out.read_bytes()


@pytest.mark.slow
def test_the_image_is_one_of_training(detectors):
    (first, *_) = energies.panels(detectors["BDE"], "2")
    other = energies.panels(detectors["BDE"])[0]
    assert (first.image != other.image).any()
    with pytest.raises(errors.ConfigError, match="--image 7: choose among 0, 1, 2, 3"):
        energies.panels(detectors["BDE"], "7")


@pytest.mark.slow
def test_a_run_with_one_checkpoint_says_which_flags_keep_more(detectors, tmp_path):
    workdir = tmp_path / "one"
    shutil.copytree(detectors["BDE"], workdir)
    for step in (1, 2, 3):
        shutil.rmtree(workdir / "checkpoints" / str(step))
    with pytest.raises(errors.ConfigError) as error:
        energies.open_run(str(workdir))
    assert "of step 4 alone" in str(error.value)
    assert "--config.checkpoint.every=1 --config.checkpoint.keep=10" in str(error.value)


@pytest.mark.slow
def test_other_methods_are_refused(full):
    assert json.loads((full / "config.json").read_text())["method"] == "multitask"
    with pytest.raises(errors.ConfigError, match="is of multitask"):
        energies.open_run(str(full))
