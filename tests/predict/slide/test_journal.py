import threading

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.cells import Cells
from cellrec_jax.data.pixels.slide_reader import BadBlock
from cellrec_jax.predict.slide.journal import Journal, Row


def _row(number=2, *, boxes=False):
    return Row(
        Cells(
            np.arange(2 * number, dtype=np.float32).reshape(-1, 2),
            np.linspace(0.1, 0.9, number, dtype=np.float32),
            np.arange(number, dtype=np.int32),
            np.ones((number, 3), np.float32),
            np.ones((number, 4), np.float32) if boxes else None,
        ),
        np.arange(number, dtype=np.int32),
        (BadBlock((0, 256, 128, 300), "damaged"),),
        full=3,
    )


@pytest.mark.parametrize("boxes", [False, True])
@pytest.mark.parametrize("number", [0, 3])
def test_rows_come_back(tmp_path, boxes, number):
    journal = Journal(tmp_path / "a")
    assert journal.rows() == set()
    assert journal.begin({"file": ["a", 1], "mpp": 0.5}) == ""
    row = _row(number, boxes=boxes)
    journal.write(7, row)
    assert journal.rows() == {7}
    found = journal.read(7)
    for name in ("points_yx", "scores", "labels", "class_probs"):
        expected = getattr(row.cells, name)
        np.testing.assert_array_equal(getattr(found.cells, name), expected)
    assert (found.cells.boxes_yxyx is None) is not boxes
    assert (found.bad, found.full) == (row.bad, 3)
    assert journal.begin({"file": ["a", 1], "mpp": 0.5}) == ""
    assert journal.rows() == {7}


def test_other_settings_are_refused_and_a_changed_file_begins_anew(tmp_path):
    journal = Journal(tmp_path / "a")
    journal.begin({"file": ["a", 1], "mpp": 0.5})
    journal.write(0, _row())
    journal.finish({"form": {}}, {"a.csv": (3, "12ab")})
    with pytest.raises(errors.ConfigError, match=r"mpp \(0.5 there, 0.25 now\)"):
        journal.begin({"file": ["a", 1], "mpp": 0.25})
    with pytest.raises(errors.ConfigError, match="another slide of that name"):
        journal.begin({"file": ["b", 1], "mpp": 0.5})
    assert journal.rows() == {0}
    assert "has changed" in journal.begin({"file": ["a", 2], "mpp": 0.5})
    assert journal.rows() == set()
    assert journal.done() is None
    assert journal.stamps() == {"a.csv": [3, "12ab"]}  # until it is written anew


def test_other_settings_begin_anew_where_that_is_asked_for(tmp_path):
    journal = Journal(tmp_path / "a")
    journal.begin({"file": ["a", 1], "mpp": 0.5})
    journal.write(0, _row())
    why = journal.begin({"file": ["a", 1], "mpp": 0.25}, overwrite=True)
    assert "(--mpp (0.5 there, 0.25 now))" in why
    assert journal.rows() == set()
    journal.write(1, _row())
    assert journal.begin({"file": ["a", 1], "mpp": 0.25}, overwrite=True) == ""
    assert journal.rows() == {1}


def test_parts_that_begin_together_keep_each_others_rows(tmp_path, monkeypatch):
    """Both after the file has changed."""
    journal = Journal(tmp_path / "a")
    journal.begin({"file": ["a", 1]})
    real, threads = Journal._json, []

    def second():
        journal.begin({"file": ["a", 2]})
        journal.write(3, _row())

    def read(*given):
        found = real(*given)
        if not threads:
            threads.append(threading.Thread(target=second))
            threads[0].start()
            threads[0].join(0.2)
        return found

    monkeypatch.setattr(Journal, "_json", read)
    assert "has changed" in journal.begin({"file": ["a", 2]})
    threads[0].join()
    assert journal.rows() == {3}


def test_rows_that_are_cut_off_or_damaged_are_found_again(tmp_path):
    journal = Journal(tmp_path / "a")
    journal.begin({"file": ["a", 1]})
    paths = [tmp_path / "a" / "rows" / f"00000{number}.npz" for number in range(3)]
    for number in range(3):
        journal.write(number, _row())
    content = paths[0].read_bytes()
    paths[0].write_bytes(content[: len(content) // 2])
    assert journal.rows() == {1, 2}
    paths[1].write_bytes(bytes(60) + content[60:])
    with pytest.raises(errors.DataError, match="finds that row anew"):
        journal.read(1)
    assert journal.rows() == {2}
    journal.write(0, _row())
    assert journal.rows() == {0, 2}


def test_regions_that_differ_are_told_by_their_files(tmp_path):
    journal = Journal(tmp_path / "a")
    plan = {"file": ["a", 1], "roi": "12ab", "roi_file": "x.json", "looked_at": "3"}
    journal.begin(plan)
    assert journal.begin({**plan, "roi_file": "moved.json"}) == ""
    other = {**plan, "roi": "98fe", "looked_at": "4"}
    with pytest.raises(errors.ConfigError) as told:
        journal.begin({**other, "roi_file": "y.json"})
    assert "--roi (x.json there, y.json now);" in str(told.value)
    assert "98fe" not in str(told.value)
    with pytest.raises(errors.ConfigError, match=r"--roi \(x.json has changed"):
        journal.begin(other)
    with pytest.raises(errors.ConfigError, match=r"--roi \(x.json there, off now"):
        journal.begin({**other, "roi": "", "roi_file": None})
