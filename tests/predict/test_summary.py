"""Rows of images by hand; that they are written is tested in test_files."""

import csv

import pytest

from cellrec_jax.predict import journal, summary


def done(name, *counts, mpp=0.0):
    return journal.Done(name, f"/{name}", 1, 1, 20, 30, mpp, counts)


def write(folder, rows, names, failed=()):
    cuts = [0.25] * len(names)
    sources = {name: f"of {name}" for name in names}
    summary.write(folder, rows, dict(failed), names, cuts, sources)
    with (folder / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("names", "counts", "score", "share"),
    [
        (("positive", "negative"), (3, 1), "positive_index", "0.75"),
        (("negative", "stroma", "positive"), (1, 9, 3), "positive_index", "0.75"),
        (("tumor_neg", "tumor_pos", "immune_pos"), (1, 3, 9), "TPS", "0.75"),
        (("tumor_neg", "tumor_pos", "immune_pos"), (0, 0, 9), "TPS", ""),
    ],
)
def test_the_share_of_positive_cells(tmp_path, names, counts, score, share):
    (row,) = write(tmp_path, [done("a", *counts)], names)
    assert row[score] == share
    assert [int(row[f"num_predicted/{name}"]) for name in names] == list(counts)
    if share:
        low, high = (float(row[f"{score}_{end}"]) for end in ("low", "high"))
        # Wilson of 3 of 4, as in tests/metrics/test_proportion.py.
        assert (low, high) == pytest.approx((0.300642, 0.954413), abs=1e-5)


def test_one_class_is_counted_once(tmp_path):
    (row,) = write(tmp_path, [done("a", 4, mpp=0.5)], ["cell"])
    assert row == {
        "image": "a",
        "height": "20",
        "width": "30",
        "mpp": "0.5",
        "num_predicted": "4",
        "threshold/cell": "0.25",
        "thresholds_from": "of cell",
        "note": "",
    }


def test_failed_images_are_among_the_others(tmp_path):
    rows = write(tmp_path, [done("10", 1, 1), done("1", 0, 2)], "ab", {"2": "damaged"})
    assert [row["image"] for row in rows] == ["1", "2", "10"]
    assert (rows[1]["num_predicted"], rows[1]["note"]) == ("", "damaged")


def test_the_share_of_all_images_together():
    rows = [done("a", 2, 0), done("b", 1, 1)]
    line = summary.score_line(rows, ["positive", "negative"])
    assert "of all cells: 0.750;" in line
    assert summary.score_line(rows, ["a", "b"]) is None
    assert summary.score_line([done("a", 0, 0)], ["positive", "negative"]) is None
