from cellrec_jax.bench import density
from cellrec_jax.bench.report import Settings


def test_rows():
    said = []
    found = density.run(Settings(sizes=(5, 9), repeats=2), said.append)
    assert [row["boxes"] for row in found.rows] == [5, 9]
    assert len(said) == 2
    for row in found.rows:
        for name in ("dense_ms", "sorted_ms", "dense_over_sorted", "dense_compile_s"):
            assert row[name] > 0
        assert row["dense_iqr_ms"] >= 0
    assert "DENSE_UP_TO" in found.notes[0]


def test_missing_peer_is_named(monkeypatch):
    monkeypatch.setattr(density, "_has_torch", lambda: False)
    found = density.run(Settings(sizes=(5,), repeats=1), lambda _: None)
    assert "torch_ms" not in found.rows[0]
    assert "PyTorch is not installed" in found.notes[1]


def test_advice_is_the_largest_size_at_which_dense_does_not_lose():
    ratios = {64: 0.5, 128: 1.05, 256: 1.2, 512: 3.0}
    rows = [{"boxes": n, "dense_over_sorted": r} for n, r in ratios.items()]
    assert "as fast up to 128 boxes" in density._advice(rows)
