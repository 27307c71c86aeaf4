import numpy as np
import pytest

from cellrec_jax.bench import coverage
from cellrec_jax.bench.report import Settings
from cellrec_jax.evaluate import saved


@pytest.mark.parametrize("way", coverage.WAYS)
def test_intervals_cover_what_all_labels_say(way):
    """And both rules lose little where F1 of a part loses much; 25 draws."""
    results = coverage.simulate(6, 60)
    row = coverage.measure("made", results, 12.0, 0.2, way, 25)
    assert row["labels"] == pytest.approx(0.2 * 6 * 60, rel=0.08)
    for part in ("recall", "precision", "F1", "count", "cut"):
        assert row[f"covers_{part}"] >= 0.8
    assert row["warned"] <= 0.1
    for rule in ("lee_liu", "known_share"):
        assert 0 <= row[f"lost_{rule}"] < 0.5 * row["lost_f1"]


def test_draws_are_parts_that_seeds_change():
    (one,) = coverage.simulate(1, 50)
    for way in coverage.WAYS:
        parts = [coverage._thinned(one, 0.3, way, seed) for seed in (1, 1, 2)]
        rows = [{tuple(p) for p in part.true_points_yx.tolist()} for part in parts]
        assert rows[0] == rows[1] != rows[2]
        assert rows[0] < {tuple(p) for p in one.true_points_yx.tolist()}
    assert len(coverage._thinned(one, 0.3, "share", 1).true_labels) == 15


def test_files_of_the_command_line_are_measured(monkeypatch, tmp_path):
    path = tmp_path / saved.FILE
    saved.save(path, coverage.simulate(2, 20), ("cell",), 9.0)
    seen = []

    def measure(name, results, radius_px, share, way, number):
        seen.append((name, len(results), radius_px, share, way, number))
        return {"set": name}

    monkeypatch.setattr(coverage, "measure", measure)
    found = coverage.run(Settings(results=(path,), repeats=3), lambda _: None)
    assert len(found.rows) == len(seen) == 6
    assert seen[0] == (str(path), 2, 9.0, 0.1, "share", 3)
    coverage.run(Settings(), lambda _: None)
    assert seen[-1][:2] == (coverage.SIMULATED, 8)
    assert seen[-1][-1] == coverage.REPEATS


def test_counts_above_a_cut_are_those_of_the_scores():
    scores = np.array([0.9, 0.5, 0.5, 0.1], np.float32)
    found = [coverage._num_above(scores, cut) for cut in (1, 0.5, 0.3, 0)]
    assert found == [0, 3, 3, 4]
