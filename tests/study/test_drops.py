"""Drops of hand-made detections, and of drawn ones against a slow reference."""

import csv
import json

import numpy as np
import pytest

from cellrec_jax import config, errors, methods
from cellrec_jax.evaluate import saved
from cellrec_jax.metrics import samples
from cellrec_jax.metrics.results import ImageResult
from cellrec_jax.study import __main__ as command
from cellrec_jax.study import drops

RADIUS_PX = 6.0
CUT = 0.4


def _image(image_id, cells_yx, found_yx, scores):
    """Boxes of 10 px; a detection is right if it lies on a cell."""
    cells, found = np.reshape(cells_yx, (-1, 2)), np.reshape(found_yx, (-1, 2))
    return ImageResult(
        image_id=image_id,
        group="",
        pred_points_yx=found.astype(np.float32),
        pred_scores=np.asarray(scores, np.float32),
        pred_labels=np.zeros(len(found), np.int32),
        pred_boxes_yxyx=np.concatenate([found - 5, found + 5], 1).astype(np.float32),
        pred_ignored=np.zeros(len(found), bool),
        true_points_yx=cells.astype(np.float32),
        true_labels=np.zeros(len(cells), np.int32),
        true_boxes_yxyx=np.concatenate([cells - 5, cells + 5], 1).astype(np.float32),
    )


def _write(folder, images, *, kept, seed=0, fold=0, cut=CUT, **data):
    """A finished work directory, as far as it is read."""
    data = {"keep_rate": kept, "num_folds": 3, "fold": fold} | data
    experiment = methods.freeze(
        {"method": "calibrated_rcnn", "seed": seed, "data": data}
    )
    saved.save(folder / "predictions" / saved.FILE, images, ("cell",), RADIUS_PX)
    (folder / "config.json").write_text(json.dumps(config.to_json(experiment)))
    metrics = {
        "AP": {"value": 0.5},
        f"F1@{RADIUS_PX:g}px": {"thresholds": {"cell": cut}},
    }
    (folder / "results.json").write_text(json.dumps({"metrics": metrics}))
    return str(folder)


CELLS = [[20.0, 20.0], [20.0, 60.0]]


def _finds(*numbers):
    """Images of two cells each, of which so many are found, and nothing else."""
    return [
        _image(f"{index}", CELLS, CELLS[:number], [0.9] * number)
        for index, number in enumerate(numbers)
    ]


@pytest.fixture
def named(tmp_path):
    """All labels: everything is found. Few: a half by plain, three quarters by ours."""
    return {
        label: [
            _write(tmp_path / label / "few", _finds(*few), kept=0.1),
            _write(tmp_path / label / "all", _finds(2, 2), kept=1.0),
        ]
        for label, few in (("plain", (1, 1)), ("ours", (2, 1)))
    }


def test_drops_by_hand(named):
    found = {(row["row"], row["metric"]): row for row in drops.compare(named)}
    assert len(found) == 2 * 4
    plain, ours = found["plain", "AP"], found["ours", "AP"]
    assert (plain["sparse"], plain["all"], plain["drop"]) == (0.5, 1.0, 0.5)
    assert (ours["sparse"], ours["all"], ours["drop"]) == (0.75, 1.0, 0.25)
    assert (ours["ratio"], ours["of all"], ours["gain"]) == (0.5, 0.75, 0.25)
    assert (plain["ratio"], plain["gain"], plain["above 0"]) == (1.0, None, None)
    assert (ours["runs"], ours["images"], ours["kept"]) == (1, 2, "0.1, 1")
    # Ours is better in the first image alone, of which a quarter of draws have none.
    assert (ours["gain_low"], ours["gain_high"]) == (0.0, 0.5)
    assert ours["above 0"] == pytest.approx(0.75, abs=0.05)
    f1 = found["ours", "F1@6px"]
    assert f1["sparse"] == pytest.approx(6 / 7)
    assert f1["gain"] == pytest.approx((1 - 2 / 3) - (1 - 6 / 7))
    eleven = found["plain", "AP11"]
    assert eleven["sparse"] == pytest.approx(6 / 11)  # recall 0, 0.1 .. 0.5
    assert found["ours", "recall"]["sparse"] == 0.75


def _drawn(rng, fold, quality):
    """Three images; `quality` is how many cells are found, among false detections."""
    images = []
    for index in range(3):
        cells = 30.0 * np.argwhere(np.ones((3, 4)))[rng.permutation(12)[:8]] + 20
        hits = cells[rng.uniform(size=8) < quality] + rng.uniform(-1, 1, 2)
        false = rng.uniform(200, 300, (rng.integers(1, 6), 2))
        scores = np.concatenate(
            [rng.uniform(0.2, 1, len(hits)), rng.uniform(0, 0.8, len(false))]
        )
        found = np.concatenate([hits, false])
        images.append(_image(f"{fold}/{index}", cells, found, scores))
    return images


def _slow_ap(images):
    """Area under the precision that no later point exceeds; images one by one."""
    found = [
        (score, bool((np.abs(one.true_points_yx - point).max(1) < 4).any()))
        for one in images
        for point, score in zip(one.pred_points_yx, one.pred_scores, strict=True)
    ]
    found.sort(key=lambda pair: -pair[0])
    total = sum(len(one.true_points_yx) for one in images)
    hits = [hit for _, hit in found]
    precision = [sum(hits[: n + 1]) / (n + 1) for n in range(len(hits))]
    return sum(max(precision[n:]) for n, hit in enumerate(hits) if hit) / total


def _slow_f1(images):
    matched = predicted = total = 0
    for one in images:
        kept = one.pred_points_yx[one.pred_scores >= CUT]
        near = np.abs(kept[:, None] - one.true_points_yx[None]).max(-1) < 4
        matched += int(near.any(1).sum()) if len(kept) else 0
        predicted, total = predicted + len(kept), total + len(one.true_points_yx)
    return 2 * matched / (predicted + total)


@pytest.mark.parametrize(("metric", "slow"), [("AP", _slow_ap), ("F1@6px", _slow_f1)])
def test_draws_are_of_all_folds_images_for_all_runs(tmp_path, metric, slow):
    rng, images, named = np.random.default_rng(3), {}, {"plain": [], "ours": []}
    state = {}
    for label, kept, fold in [
        (label, kept, fold)
        for label in named
        for kept in (0.1, 1.0)
        for fold in range(3)
    ]:
        quality = {("plain", 0.1): 0.4, ("ours", 0.1): 0.7}.get((label, kept), 0.9)
        truth = state.setdefault(fold, np.random.default_rng(fold).bit_generator.state)
        rng.bit_generator.state = truth  # the same cells
        own = _drawn(rng, fold, quality)
        images[label, kept, fold] = own
        folder = tmp_path / f"{label}{kept}{fold}"
        named[label].append(_write(folder, own, kept=kept, fold=fold))
    number = 60
    rows = drops.compare(named, num_bootstrap=number, seed=5)
    (row,) = [r for r in rows if r["row"] == "ours" and r["metric"] == metric]
    weights = samples.draw(9, number, 5)

    def gain(draw):
        value = {}
        for label, kept in (
            ("plain", 0.1),
            ("plain", 1.0),
            ("ours", 0.1),
            ("ours", 1.0),
        ):
            by_fold = []
            for fold in range(3):
                repeated = [
                    one
                    for one, times in zip(
                        images[label, kept, fold],
                        draw[3 * fold : 3 * fold + 3],
                        strict=True,
                    )
                    for _ in range(times)
                ]
                by_fold.append(slow(repeated) if repeated else np.nan)
            value[label, kept] = np.mean(by_fold)
        plain = value["plain", 1.0] - value["plain", 0.1]
        return plain - (value["ours", 1.0] - value["ours", 0.1])

    gains = np.array([gain(draw) for draw in weights])
    assert row["gain"] == pytest.approx(gains[0])
    drawn = gains[1:][np.isfinite(gains[1:])]
    assert len(drawn) > 30
    wanted = np.quantile(drawn, [0.025, 0.975])
    np.testing.assert_allclose([row["gain_low"], row["gain_high"]], wanted)
    assert row["above 0"] == np.mean(drawn > 0)
    assert (row["runs"], row["images"]) == (3, 9)


def test_only_seeds_and_folds_that_all_have_count(named, tmp_path):
    """A second fold that ours lacks is left out of the reference, too."""
    other = [_image("x", CELLS, CELLS[:0], [])]
    for kept in (0.1, 1.0):
        folder = tmp_path / f"more{kept}"
        named["plain"].append(_write(folder, other, kept=kept, fold=1))
    rows = [row for row in drops.compare(named) if row["metric"] == "AP"]
    assert [(row["runs"], row["images"]) for row in rows] == [(2, 3), (1, 2)]
    assert [row["all"] for row in rows] == [0.5, 1.0]
    assert rows[1]["ratio"] == 0.5


def test_one_annotation_an_image_is_the_least_and_rates_can_be_named(named, tmp_path):
    for label, few in (("plain", (1, 0)), ("ours", (1, 1))):
        folder = tmp_path / label / "one"
        named[label].append(_write(folder, _finds(*few), kept=1.0, keep_one=True))
    rows = drops.compare(named)
    assert (rows[0]["kept"], rows[0]["sparse"]) == ("one an image, 1", 0.25)
    (first, *_) = drops.compare(named, sparse=0.1)
    assert (first["kept"], first["sparse"]) == ("0.1, 1", 0.5)


def test_what_cannot_be_compared_is_refused(named, tmp_path):
    with pytest.raises(errors.ConfigError, match="ours: no seed and fold"):
        drops.compare({**named, "ours": named["ours"][:1]})
    again = _write(tmp_path / "again", _finds(1, 1), kept=0.1)
    with pytest.raises(errors.ConfigError, match="of one seed, fold and keep rate"):
        drops.compare({"plain": [*named["plain"], again]})
    other = [_image("5", CELLS, CELLS, [0.9, 0.9])]
    few = _write(tmp_path / "other", other, kept=0.1)
    with pytest.raises(errors.ConfigError, match="other test images"):
        drops.compare({**named, "ours": [few, named["ours"][1]]})
    with pytest.raises(errors.ConfigError, match="no results of test images"):
        drops.compare({"plain": [str(tmp_path)]})


def test_command_writes_the_table(named, tmp_path, capsys):
    out = tmp_path / "drops.csv"
    words = [f"{label}={tmp_path}/{label}/*" for label in named]
    assert command.run(["drops", *words, "--draws", "20", "--out", str(out)]) == 0
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(drops.COLUMNS)
    assert {
        row["row"]: float(row["drop"]) for row in rows if row["metric"] == "AP"
    } == {
        "plain": 0.5,
        "ours": 0.25,
    }
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(rows)


@pytest.mark.slow
def test_boxes_that_a_file_lacks_are_predicted_again(trained):
    whole = drops._read(str(trained))
    model_values = json.loads((trained / "results.json").read_text())["metrics"]
    weights = np.ones((1, len(whole.results)), np.int64)
    found = drops._measure(whole, weights)
    for name in ("AP", "AP11", "recall", "F1@12px"):
        assert found[name][0] == pytest.approx(model_values[name]["value"])
    again = drops._predict(drops.epath.Path(trained), whole.experiment)
    anew = drops._measure(whole._replace(results=again), weights)
    for name, values in found.items():
        np.testing.assert_allclose(anew[name], values, atol=1e-6)


def _row(name, *, runs, few, many, gain=None, low=None, high=None):
    counts = {"row": name, "metric": "AP", "kept": "0.1, 1", "runs": runs}
    values = {"images": 9 * runs, "sparse": few, "all": many, "drop": many - few}
    ends = {"gain": gain, "gain_low": low, "gain_high": high, "above 0": None}
    row = counts | values | {"of all": None, "ratio": None} | ends
    return {key: "" if row[key] is None else str(row[key]) for key in drops.COLUMNS}


def test_join_weighs_by_runs_and_adds_intervals_in_quadrature():
    two = [
        _row("plain", runs=2, few=0.5, many=0.8),
        _row("ours", runs=2, few=0.7, many=0.8, gain=0.2, low=0.14, high=0.23),
        _row("there alone", runs=2, few=0.7, many=0.8, gain=0.2, low=0.1, high=0.3),
    ]
    third = [
        _row("plain", runs=1, few=0.5, many=0.8),
        _row("ours", runs=1, few=0.4, many=0.8, gain=-0.1, low=-0.22, high=0.08),
    ]
    plain, ours = drops.join([two, third])
    assert (plain["row"], ours["row"]) == ("plain", "ours")
    assert (ours["runs"], ours["images"]) == (3, 27)
    np.testing.assert_allclose(
        [ours[key] for key in ("sparse", "all", "drop", "gain")], [0.6, 0.8, 0.2, 0.1]
    )
    # Two thirds of 0.06 and a third of 0.12; two thirds of 0.03 and a third of 0.18.
    np.testing.assert_allclose(ours["gain_low"], 0.1 - np.hypot(0.04, 0.04))
    np.testing.assert_allclose(ours["gain_high"], 0.1 + np.hypot(0.02, 0.06))
    np.testing.assert_allclose([ours["of all"], ours["ratio"]], [0.75, 2 / 3])
    assert plain["gain"] is None
    assert plain["ratio"] == 1.0


def test_join_of_tables_without_a_common_row_is_refused():
    one, other = (_row(name, runs=1, few=0.5, many=0.8) for name in ("a", "b"))
    with pytest.raises(errors.ConfigError, match="--join"):
        drops.join([[one], [other]])


def test_join_of_tables_with_two_references_is_refused():
    plain, ours = (_row(name, runs=1, few=0.5, many=0.8) for name in ("plain", "ours"))
    with pytest.raises(errors.ConfigError, match="not one row: ours, plain"):
        drops.join([[plain, ours], [ours, plain]])


def test_command_joins_tables(tmp_path, capsys):
    rows = [_row("plain", runs=1, few=0.5, many=0.75)]
    files = [str(tmp_path / name) for name in ("one.csv", "other.csv")]
    for path in files:
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, drops.COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    assert command.run(["drops", "--join", *files]) == 0
    assert "| plain | AP | 0.1, 1 | 2 | 18 | 0.500 | 0.750 |" in capsys.readouterr().out
    with pytest.raises(errors.ConfigError, match="--join"):
        command.run(["drops"])
