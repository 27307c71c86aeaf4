"""Pairs from tables of images as runs leave them, by hand."""

import csv

import pytest

from cellrec_jax.io import table as io_table
from cellrec_jax.sweep import pairs, plan, state, table

METRIC = "F1@12px/positive"


def _sweep(axes=(), metric=METRIC):
    names = ("q",) if axes else ()
    return plan.Sweep(
        name="trial",
        title="A trial",
        rows={
            "full": plan.Row("c", "Full", {}, names, {}),
            "ours": plan.Row("c", "Ours", {}, (), {}),
        },
        metrics=("F1",),
        axes={"q": plan.Axis({value: {} for value in axes})} if axes else {},
        pairs=(plan.Pair("full", "ours", metric),),
    )


@pytest.fixture
def leave(tmp_path):
    """Writes what a run counted, {image: (matched, predicted, truth)}."""

    def write(row, counts, seed=0, fold=None, q="", metric=METRIC, settings=()):
        run = plan.Run(row, "c", {"q": q} if q else {}, seed, fold, {})
        workdir = tmp_path / run.name
        rows = [
            {
                "image": image,
                "num_matched/positive": matched,
                "num_predicted/positive": predicted,
                "num_truth/positive": truth,
                "num_matched": 0,
                "num_predicted": 5,
                "num_truth": 5,
            }
            for image, (matched, predicted, truth) in counts.items()
        ]
        (workdir / "predictions").mkdir(parents=True)
        path = workdir / "predictions" / "per_image.csv"
        io_table.write_rows(path, rows, list(rows[0]))
        return state.Job(run, workdir, dict(settings)), {"metrics": {metric: {}}}

    return write


def test_images_of_a_class_in_the_same_seeds(leave, tmp_path):
    """Seed 0: F1 of image a 1 against 1/2, of b 1/2 alike; seed 1: all alike."""
    good, poor = {"a": (2, 2, 2), "b": (1, 2, 2)}, {"a": (1, 2, 2), "b": (1, 2, 2)}
    done = [
        leave("full", good),
        leave("ours", poor),
        leave("full", poor, seed=1),
        leave("ours", poor, seed=1),
        leave("full", good, seed=2),  # without its like
    ]
    sweep = _sweep()
    (line,) = lines = pairs.compare(sweep, done)
    assert (line.num_seeds, line.num_images, line.axes) == (2, 2, {})
    assert line.found.total.by_seed == pytest.approx((0.25, 0))
    assert line.found.mean.value == pytest.approx(0.125)
    half = table.interval((0.25, 0.0)).half
    text = pairs.markdown(sweep, lines).splitlines()[-1]
    assert text.startswith("| Full - Ours | F1@12px/positive | 2 | 2 | 0 | +0.125 [")
    assert text.endswith(f"+0.250], ± {half:.3f} |")
    pairs.write_csv(tmp_path / "t.csv", sweep, lines)
    with (tmp_path / "t.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["row"], row["against"], row["metric"]) == ("full", "ours", METRIC)
    assert float(row["mean"]) == pytest.approx(0.125)
    assert float(row["total_half_over_seeds"]) == pytest.approx(half)
    assert float(row["mean_high"]) == pytest.approx(0.25)


def test_all_classes_together(leave):
    metric = "F1@12px"
    done = [leave(row, {"a": (2, 2, 2)}, metric=metric) for row in ("full", "ours")]
    (line,) = pairs.compare(_sweep(metric=metric), done)
    assert line.found.total.value == 0  # of columns without a class
    assert line.found.total.by_seed == (0,)


def test_one_row_stands_against_each_value_of_an_axis(leave):
    counts = {"a": (2, 2, 2), "b": (2, 2, 2)}
    done = [
        leave("full", {**counts, "a": (1, 2, 2)}, q="0.1"),
        leave("full", counts, q="0.4"),
        leave("ours", counts),
    ]
    sweep = _sweep(axes=("0.1", "0.4"))
    lines = pairs.compare(sweep, done)
    assert [line.axes["q"] for line in lines] == ["0.1", "0.4"]
    assert [line.found.mean.value for line in lines] == pytest.approx([-0.25, 0])
    assert "| Full - Ours | 0.1 | F1@12px/positive |" in pairs.markdown(sweep, lines)


def test_folds_of_a_seed_are_one_set(leave):
    done = [
        leave(row, {image: (matched, 2, 2)}, fold=fold)
        for row, matched in (("full", 2), ("ours", 1))
        for fold, image in enumerate("ab")
    ]
    (line,) = pairs.compare(_sweep(), done)
    assert (line.num_seeds, line.num_images) == (1, 2)
    assert line.found.mean.value == pytest.approx(0.5)


def test_only_images_of_all_runs_count(leave):
    done = [
        leave("full", {"a": (2, 2, 2), "b": (0, 2, 2)}),
        leave("ours", {"c": (2, 2, 2), "a": (1, 2, 2)}),
    ]
    (line,) = pairs.compare(_sweep(), done)
    assert line.num_images == 1
    assert line.found.total.value == pytest.approx(0.5)


def test_what_is_not_there_is_left_out(leave):
    counts = {"a": (1, 1, 1)}
    full, ours = leave("full", counts), leave("ours", counts)
    lacking = ours[0], {"metrics": {}}
    said = []

    def compare(*done):
        said.clear()
        lines = pairs.compare(_sweep(), done, said.append)
        assert len(said) == (len(lines) == 0 or len(done) > 2)
        return [line.num_seeds for line in lines]

    assert compare() == []
    assert "no run of either is done" in said[0]
    assert compare(full) == []
    assert said[0].startswith(f"left out of full - ours, {METRIC}: full/seed0 ")
    assert compare(full, lacking) == []
    assert "ours/seed0 lacks the metric; full/seed0 " in said[0]
    assert compare(full, ours, leave("ours", counts, seed=1)) == [1]
    assert "full" not in said[0].partition(METRIC)[2]
    assert "ours/seed1 " in said[0]
    assert compare(full, ours) == [1]
    (ours[0].workdir / "predictions" / "per_image.csv").unlink()
    assert compare(full, ours) == []
    assert "no image" in said[0]


def test_empty_images_count_as_the_runs_say(leave):
    settings = {"eval.empty_is_one": True}
    one = leave("full", {"a": (0, 0, 0), "b": (1, 1, 1)}, settings=settings)
    other = leave("ours", {"a": (0, 2, 0), "b": (1, 1, 1)}, settings=settings)
    (line,) = pairs.compare(_sweep(), [one, other])
    assert line.found.mean.value == pytest.approx(0.5)
    assert line.found.num_skipped == 0
