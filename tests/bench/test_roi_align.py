from cellrec_jax.bench import roi_align as bench
from cellrec_jax.bench.report import Settings

CASE = bench.Case("tiny", side_px=96, channels=3, num_rois=5, backward=True)


def test_boxes_lie_inside():
    _, rois_yxyx = bench._draw(bench.CASES[0]._replace(channels=1), batch=1)
    assert rois_yxyx.shape == (1, 256, 4)
    assert rois_yxyx.min() >= 0
    assert rois_yxyx.max() <= 800


def test_rows(monkeypatch):
    monkeypatch.setattr(bench, "CASES", (CASE,))
    monkeypatch.setattr(bench, "_STRIDES", (4,))  # compiles faster
    found = bench.run(Settings(repeats=1), lambda _: None)
    assert [row["pass"] for row in found.rows] == ["forward", "forward and backward"]
    for row in found.rows:
        for name in ("gather_ms", "einsum_ms", "einsum_over_gather"):
            assert row[name] > 0
    assert "gather" in found.notes[0]


def test_long_case_is_skipped_on_a_cpu(monkeypatch):
    monkeypatch.setattr(bench, "_measure", lambda case, *_: {"case": case.name})
    monkeypatch.setattr(bench.jax, "default_backend", lambda: "cpu")
    found = bench.run(Settings(), lambda _: None)
    assert "paper, testing" not in [row["case"] for row in found.rows]
    assert "paper, testing skipped" in found.notes[1]
