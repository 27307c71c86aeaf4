"""Panels of detections whose places are known, from what runs leave behind."""

import json
import shutil

from matplotlib.axes import Axes
import numpy as np
from PIL import Image
import pytest

from cellrec_jax import errors, methods
from cellrec_jax.data import sets
from cellrec_jax.evaluate import saved
from cellrec_jax.io import table as io_table
from cellrec_jax.study import __main__ as command
from cellrec_jax.study import panels


@pytest.fixture(scope="module")
def known(detectors, tmp_path_factory):
    """Work directories whose detections of each image are known, and its cells.

    The first cell is found with a score of 0.9, the second with 0.5, and 0.7 is false.
    """
    found, cells = {}, {}
    for label, source in detectors.items():
        workdir = tmp_path_factory.mktemp("known") / label
        shutil.copytree(source, workdir)
        config = methods.from_json(json.loads((workdir / "config.json").read_text()))
        path = workdir / "predictions" / saved.FILE
        before = saved.load(path)
        results = []
        for one in before.results:
            points = np.array([*one.true_points_yx[:2], (-90.0, -50.0)], np.float32)
            scores = np.array([0.9, 0.5, 0.7], np.float32)
            results.append(
                one._replace(
                    pred_points_yx=points,
                    pred_scores=scores,
                    pred_labels=np.zeros(3, int),
                    pred_ignored=np.zeros(3, bool),
                )
            )
            cells[one.image_id] = one.true_points_yx
        saved.save(path, results, before.class_names, before.radius_px)
        found[label] = str(workdir)
        split = sets.open_for_evaluation(config.data, config.seed, whole=False)
    assert set(split.image_ids) == set(cells)
    return found, cells


@pytest.mark.slow
def test_counts_at_a_threshold_and_at_the_runs_own(known):
    found, cells = known
    runs = {label: [workdir] for label, workdir in found.items()}
    (plain, bde) = panels.read(runs, "7", 0.6)
    assert (plain.label, bde.label, plain.keep_rate) == ("plain", "BDE", 0.5)
    (row, _) = panels.rows([plain, bde])
    number = len(cells["7"])
    assert (row["cells"], row["found"]) == (number, 1)
    assert (row["missed"], row["false"]) == (number - 1, 1)
    low = panels.read({"BDE": [found["BDE"]]}, "7", 0.4)
    assert panels.rows(low)[0]["found"] == 2
    high = panels.read({"BDE": [found["BDE"]]}, "7", 0.8)
    assert panels.rows(high)[0]["false"] == 0
    (own,) = panels.read({"BDE": [found["BDE"]]}, "7", 0.0)
    points = np.array([0.9, 0.5, 0.7]) >= own.threshold
    assert len(own.points_yx) == points.sum()
    centers = (plain.boxes_yxyx[:, :2] + plain.boxes_yxyx[:, 2:]) / 2
    inside = (plain.boxes_yxyx[:, :2] > 0).all(1) & (
        plain.boxes_yxyx[:, 2:] < (96, 128)
    ).all(1)
    assert inside.any()
    np.testing.assert_allclose(centers[inside], cells["7"][inside], atol=1e-3)


@pytest.mark.slow
def test_images_and_seeds_that_are_refused(known):
    found, _ = known
    with pytest.raises(errors.ConfigError, match="has no test image 0; --image takes"):
        panels.read({"BDE": [found["BDE"]]}, "0")
    with pytest.raises(errors.ConfigError, match=r"keep rate 0\.5; give one of its"):
        panels.read({"all": list(found.values())})


def _panel(label, rate, size_hw=(48, 64)):
    return panels.Panel(
        label=label,
        keep_rate=rate,
        run=f"{label}{rate}",
        image_id="7",
        image=np.full((*size_hw, 3), 200, np.uint8),
        points_yx=np.array([[10.0, 20], [30, 40]]),
        boxes_yxyx=np.array([[5.0, 10, 15, 30]]),
        num_found=1,
        threshold=0.6,
    )


def test_rows_are_labels_and_columns_are_rates(tmp_path, monkeypatch):
    titles, points = {}, []
    title, scatter = Axes.set_title, Axes.scatter

    def set_title(axes, text, **options):
        place = axes.get_subplotspec()
        titles[place.rowspan.start, place.colspan.start] = text
        return title(axes, text, **options)

    def note(axes, x, y, **options):
        points.append((list(x), list(y), options["marker"]))
        return scatter(axes, x, y, **options)

    monkeypatch.setattr(Axes, "set_title", set_title)
    monkeypatch.setattr(Axes, "scatter", note)
    shown = [_panel("BDE", 1.0), _panel("plain", 0.1), _panel("BDE", 0.1)]
    panels.draw(tmp_path / "p.png", shown)
    assert {place: text.partition(":")[0] for place, text in titles.items()} == {
        (0, 0): "BDE, 10 %",
        (0, 1): "BDE, 100 %",
        (1, 0): "plain, 10 %",
    }
    assert all(text.endswith("1 of 1 found, 1 false") for text in titles.values())
    assert points[0] == ([20, 40], [10, 30], "D")
    with Image.open(tmp_path / "p.png") as figure:
        assert figure.width == pytest.approx(2 * 3.6 * 150, abs=1)


@pytest.mark.slow
def test_the_command(known, tmp_path):
    found, _ = known
    words = [f"{label}={workdir}" for label, workdir in found.items()]
    out = tmp_path / "p.png"
    assert command.run(["panels", *words, "--image", "6", "--out", str(out)]) == 0
    rows = io_table.read_rows(tmp_path / "p.csv")
    assert tuple(rows[0]) == panels.COLUMNS
    assert [row["label"] for row in rows] == ["plain", "BDE"]
    assert {row["image"] for row in rows} == {"6"}
    assert {row["threshold"] for row in rows} == {"0.6"}
    assert out.read_bytes().startswith(b"\x89PNG")
