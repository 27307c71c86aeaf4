"""Cells won and lost, by hand; and two runs whose detections are known."""

import csv
import shutil
from types import SimpleNamespace

import numpy as np
from PIL import Image
import pytest

from cellrec_jax import errors
from cellrec_jax.io import table as io_table
from cellrec_jax.study import changes, maps


def test_outcomes_are_of_the_partner_whatever_its_class():
    found = changes.Detected(
        np.array([[10.0, 10], [10, 19], [50, 50]]), np.array([1, 0, 1])
    )
    true_yx = np.array([[10.0, 12], [10, 22], [80, 80]])
    seen, false = changes.outcome(found, true_yx, 5.0, False)
    assert seen.tolist() == [1, 0, -1]
    assert false.tolist() == [False, False, True]
    assert changes.outcome(found, true_yx, 2.0, True)[0].tolist() == [-1, -1, -1]


def test_kinds_of_changes():
    labels = np.array([0, 0, 1, 1, 0, 1, 1])
    before = np.array([1, 0, -1, 1, -1, 1, 0])
    after = np.array([0, 1, 1, -1, 1, 1, -1])
    found = changes.changes(labels, before, after)
    assert {kind: cells.tolist() for kind, cells in found.items()} == {
        "corrected": [0],
        "spoiled": [1],
        "recovered": [2],
        "lost": [3],
    }


@pytest.fixture
def two(full, ours, tmp_path):
    """Copies whose detections are the cells, but for two of an image in the first.

    And the name of this image, which has most cells.
    """
    run = maps.open_run(str(full))
    load = run.split.source.load
    most = max(run.split.image_ids, key=lambda name: len(load(name).labels))
    workdirs = []
    for place, source in (("before", ours), ("after", full)):
        workdir = tmp_path / place
        shutil.copytree(source, workdir)
        workdirs.append(str(workdir))
        rows = []
        for image_id in run.split.image_ids:
            record = load(image_id)
            rows += io_table.detection_rows(
                image_id,
                record.points_yx,
                np.ones(len(record.labels)),
                record.labels,
                run.model.class_names,
            )
        if place == "before":
            first = next(i for i, row in enumerate(rows) if row["image"] == most)
            other = {"positive": "other", "other": "positive"}
            rows[first]["class"] = other[rows[first]["class"]]
            del rows[first + 1]
            rows.append({**rows[0], "x": -500.0, "y": -500.0, "class": "positive"})
        path = workdir / "predictions" / "detections.csv"
        io_table.write_detections(path, rows)
    assert len(load(most).labels) > 2
    return workdirs, most


@pytest.mark.slow
def test_two_runs(two, tmp_path):
    workdirs, most = two
    compared = changes.compare(*workdirs)
    kinds = compared.changed[most]
    sizes = {kind: len(cells) for kind, cells in kinds.items()}
    assert sizes == {"corrected": 1, "spoiled": 0, "recovered": 1, "lost": 0}
    assert kinds["corrected"].tolist() == [0]
    assert kinds["recovered"].tolist() == [1]
    found = changes.totals(compared)
    assert sum(one["corrected"] for one in found.values()) == 1
    assert sum(one["recovered"] for one in found.values()) == 1
    assert found["positive"]["false_before"] == 1
    assert found["positive"]["false_after"] == found["other"]["false_before"] == 0
    back = changes.compare(*workdirs[::-1]).changed[most]
    assert [len(back[kind]) for kind in changes.KINDS] == [0, 1, 0, 1]
    changes.draw(tmp_path / "c.png", compared, ("Ours", "Ours++"))
    with Image.open(tmp_path / "c.png") as figure:
        assert figure.width == pytest.approx(3 * 3.6 * 150, abs=1)


def test_other_images_are_refused(monkeypatch):
    """The second run was tested on another image of the same folder."""
    source = SimpleNamespace(class_names=("positive", "other"))
    ids = {"one": ("a", "b"), "two": ("a", "c")}
    monkeypatch.setattr(
        changes,
        "_read",
        lambda name: ({}, SimpleNamespace(source=source, image_ids=ids[name])),
    )
    with pytest.raises(errors.ConfigError, match="other test images"):
        changes.compare("one", "two")


@pytest.mark.slow
def test_a_run_without_detections(two):
    path = f"{two[0][0]}/predictions/detections.csv"
    with open(path, newline="") as file:
        header = next(csv.reader(file))
    io_table.write_rows(path, [], header)
    with pytest.raises(errors.DataError, match="no detections"):
        changes.compare(*two[0])
