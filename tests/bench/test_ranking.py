import numpy as np
import pytest

from cellrec_jax.bench import kernel, machine
from cellrec_jax.bench import ranking as bench
from cellrec_jax.bench import ranking_reference as reference
from cellrec_jax.bench.report import Report, Settings

PEAKS = machine.Peaks({2**20: 1.0}, 1.0)


@pytest.fixture(autouse=True)
def few_features(monkeypatch):
    monkeypatch.setattr(bench, "_DIM", 6)
    monkeypatch.setattr(bench, "POOL", 8)
    monkeypatch.setattr(reference, "POOL", 8)
    monkeypatch.setattr(kernel, "has_torch", lambda: False)


def measured(monkeypatch, cases):
    """Rows, of which none may be wrong; peaks are not measured."""
    monkeypatch.setattr(kernel.machine, "peaks", lambda: PEAKS)
    settings = Settings(repeats=1, limit_s=60)
    found = kernel.measure("ranking", cases, settings, lambda _: None, x="rows")
    assert not found.wrong
    assert all(row["median_ms"] > 0 for row in found.rows)
    return [row["contestant"] for row in found.rows]


@pytest.mark.parametrize("direction", [kernel.FORWARD, kernel.BOTH])
def test_pass_is_right(monkeypatch, direction):
    names = measured(monkeypatch, [bench.pass_case(20, direction)])
    assert names == ["log_p_classification", "plain JAX", "copy"]


@pytest.mark.slow
def test_solves_are_right(monkeypatch):
    assert len(measured(monkeypatch, [bench.solve_case(20)])) == 3


def test_run_notes_where_the_solves_end(monkeypatch):
    monkeypatch.setattr(kernel, "measure", lambda _, cases, *__, **___: report(cases))
    found = bench.run(Settings(sizes=(8, 20)), lambda _: None)
    assert [row["rows"] for row in found.rows] == [8, 8, 8, 20, 20, 20]
    assert "solve, 8 rows: the least total is" in found.notes[0]


def report(cases):
    return Report(tuple(case.point for case in cases))


def test_references_against_every_row():
    # 20 rows, each of the 8 of the pool two or three times, counted one by one.
    features, positive, negative = bench._draw(20)
    rows = np.asarray(features, np.float64)
    np.testing.assert_array_equal(rows[8:16], rows[:8])
    pooled = reference.pooled(features, positive, negative)
    one_by_one = reference.Counted(rows, positive, negative)
    weights = np.linspace(-1, 1, 6)
    for found, expected in zip(
        pooled.total(weights), one_by_one.total(weights), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    totals = [
        reference.least_total(features, positive, negative),
        reference.sgd_total(features, positive, negative),
        one_by_one.total(np.zeros(6))[0],
    ]
    assert totals == sorted(totals)


def test_features_that_do_not_fit_are_not_drawn(monkeypatch):
    monkeypatch.setattr(bench, "_draw", lambda size: pytest.fail(f"drew {size} rows"))
    monkeypatch.setattr(kernel.machine, "memory_bytes", lambda: 1000)
    found = kernel.measure(
        "ranking", [bench.solve_case(2000)], Settings(), lambda _: None, x="rows"
    )
    assert not found.rows
    assert "more than a quarter of the memory" in found.notes[0]
