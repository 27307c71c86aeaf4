import pytest

from cellrec_jax.bench import slide
from cellrec_jax.bench.report import Settings
from cellrec_jax.data.pixels import slides

pytest.importorskip("ml_collections")


@pytest.mark.slow
def test_all_ways_are_timed_on_a_slide_that_can_be_read(tmp_path):
    file = slide.write_slide(tmp_path / "slide.tif", (600, 900))
    described = slides.describe(file)
    sizes = [level.size_hw for level in described.levels]
    assert sizes == [(600, 900), (300, 450)]
    assert described.mpp == pytest.approx(slide.MPP)
    rows = slide.run(Settings(sizes_hw=((600, 900),), repeats=1), lambda _: None).rows
    ways = ["slide to files", "OpenSlide loop", "network alone"]
    assert [row["way"] for row in rows] == ways
    assert {row["windows"] for row in rows} == {1}
    for row in rows[:2]:
        assert row["network_share"] == pytest.approx(1 - row["idle_share"])
    seconds = [row["median_ms"] / 1e3 for row in rows]
    for row, took in zip(rows[:2], seconds, strict=False):
        assert row["mpx_per_s"] == pytest.approx(0.54 / took)
        assert row["s_per_mm2"] == pytest.approx(took / (0.54 * 0.0625))
